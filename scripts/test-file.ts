/** Runs one test file in a process group of its own, with a hard limit. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Finished } from './event-reporter.ts';
import { MARK, type Traces } from './leftovers.ts';

export interface FileResult {
  file: string;
  tests: Finished[];
  /** What went wrong beside the tests: a timeout, a crash. */
  complaints: string[];
  output: string;
  seconds: number;
}

/** What hangs in a test has a watchdog of its own: this is for a test file that comes to no end by itself. */
const LIMIT_SECONDS = 900;
const OUTPUT_MOST = 200_000;

/** A file that needs longer says so near its top: `// time limit: 900 s`. */
export function limitOf(file: string): number {
  const said = /\btime limit: (\d+) s\b/.exec(readFileSync(file, 'utf8').slice(0, 2000))?.[1];
  return said === undefined ? LIMIT_SECONDS : Number(said);
}

/** `coverageDirectory`: where the file's process and all it starts say which code they ran. */
export async function runFile(
  file: string,
  traces: Traces,
  limitSeconds: number,
  coverageDirectory?: string,
): Promise<FileResult> {
  const directory = mkdtempSync(join(tmpdir(), 'test-events-'));
  const events = join(directory, 'events');
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${join(import.meta.dirname, 'event-reporter.ts')}`,
      `--test-reporter-destination=${events}`,
      file,
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: {
        ...process.env,
        [MARK]: traces.mark,
        TMPDIR: traces.directory,
        ...(coverageDirectory === undefined ? {} : { NODE_V8_COVERAGE: coverageDirectory }),
      },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < OUTPUT_MOST) output += text;
    });
  }
  const complaints: string[] = [];
  const timer = setTimeout(() => {
    complaints.push(`not done after ${limitSeconds} s: killed`);
    killGroup(child.pid);
  }, limitSeconds * 1000);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('exit', (...how) => resolve(how));
    child.once('error', () => resolve([127, null]));
  });
  clearTimeout(timer);
  killGroup(child.pid); // children it forgot
  const tests = readEvents(events);
  rmSync(directory, { recursive: true, force: true });
  if (signal !== null && complaints.length === 0) complaints.push(`ended by ${signal}`);
  if (complaints.length === 0 && code !== 0 && tests.every((test) => test.passed))
    complaints.push(`ended with ${code}`);
  if (complaints.length === 0 && tests.length === 0) complaints.push('no test in it');
  return { file, tests, complaints, output, seconds: (performance.now() - started) / 1000 };
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // nobody left in it
  }
}

function readEvents(path: string): Finished[] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Finished);
  } catch {
    return [];
  }
}
