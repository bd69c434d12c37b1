/**
 * Which lines of src/ the tests ran: V8's own counts (NODE_V8_COVERAGE) of every process, those of the daemons that tests
 * start included, folded into one set of lines.
 *
 * Our own and not c8: a run starts thousands of processes, of which each leaves a megabyte, nearly all of it about Node itself;
 * c8 wants them all at the end. And c8 takes comments and types for lines that ran. Here a line counts when it holds code after
 * types were stripped, and is covered when in some process any of that code ran.
 */
import { chmodSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

interface Range {
  startOffset: number;
  endOffset: number;
  count: number;
}

interface Report {
  result: { url: string; functions: { ranges: Range[] }[] }[];
}

interface Line {
  number: number;
  /** Offsets of its first character that is code, and behind its last. */
  start: number;
  end: number;
}

/** The lines of a TypeScript file that hold code: no blank ones, no comments, no types. */
export function codeLines(source: string): Line[] {
  const text = stripTypeScriptTypes(source); // every character stays where it was
  const lines: Line[] = [];
  let offset = 0;
  let inComment = false;
  for (const [index, line] of text.split('\n').entries()) {
    const code = line.trim();
    const start = offset + line.length - line.trimStart().length;
    offset += line.length + 1;
    if (code.startsWith('/*')) inComment = true;
    const comment = inComment || code === '' || code.startsWith('//');
    if (inComment && code.includes('*/')) inComment = false;
    if (!comment) lines.push({ number: index + 1, start, end: start + code.length });
  }
  return lines;
}

class SourceFile {
  readonly name: string;
  readonly lines: readonly Line[];
  readonly #covered: Uint8Array;
  readonly #length: number;
  coveredLines = 0;

  constructor(name: string, source: string) {
    this.name = name;
    this.lines = codeLines(source);
    this.#covered = new Uint8Array(this.lines.length);
    this.#length = source.length;
  }

  add(functions: readonly { ranges: Range[] }[]): void {
    if (this.coveredLines === this.lines.length) return;
    // Outer ranges come before those inside them, so the last word on each character is the innermost one's.
    const ran = new Uint8Array(this.#length);
    for (const { ranges } of functions) {
      for (const { startOffset, endOffset, count } of ranges) ran.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    }
    for (const [index, { start, end }] of this.lines.entries()) {
      if (this.#covered[index] !== 0 || !ran.subarray(start, end).includes(1)) continue;
      this.#covered[index] = 1;
      this.coveredLines++;
    }
  }

  /** "12-15, 20": the lines that no process ran. */
  missing(most: number): string {
    const spans: { from: number; to: number }[] = [];
    let open: { from: number; to: number } | undefined;
    for (const [index, { number }] of this.lines.entries()) {
      if (this.#covered[index] !== 0) {
        open = undefined;
      } else if (open !== undefined) {
        open.to = number; // across what is no code
      } else {
        open = { from: number, to: number };
        spans.push(open);
      }
    }
    spans.sort((a, b) => b.to - b.from - (a.to - a.from));
    const largest = spans.slice(0, most).sort((a, b) => a.from - b.from);
    const said = largest.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
    return spans.length > most ? `${said}, ...` : said;
  }
}

const GOAL_PERCENT = 90;
const WORST = 20;
const SPANS = 4;

export class Coverage {
  readonly #files = new Map<string, SourceFile>();
  readonly #directories = new Set<string>();
  #processes = 0;

  constructor(root: string, pattern = 'src/**/*.ts') {
    for (const path of globSync(pattern, { cwd: root }).sort()) {
      const file = join(root, path);
      this.#files.set(pathToFileURL(file).href, new SourceFile(relative(root, file), readFileSync(file, 'utf8')));
    }
  }

  /** A directory for NODE_V8_COVERAGE. Open to all: some processes run as other users. */
  directory(): string {
    const directory = mkdtempSync(join(tmpdir(), 'coverage-'));
    this.#directories.add(directory);
    chmodSync(directory, 0o1777);
    return directory;
  }

  /** Takes in what processes that have ended left in a directory, and removes it. */
  take(directory: string): void {
    for (const name of readdirSync(directory)) {
      let report: Report;
      try {
        report = JSON.parse(readFileSync(join(directory, name), 'utf8')) as Report;
      } catch {
        continue; // of a process that was killed while it wrote
      }
      this.#processes++;
      for (const { url, functions } of report.result) this.#files.get(url)?.add(functions);
    }
    this.#remove(directory);
  }

  /** Removes what was not taken. */
  clear(): void {
    for (const directory of this.#directories) this.#remove(directory);
  }

  #remove(directory: string): void {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    this.#directories.delete(directory);
  }

  get percent(): number {
    let lines = 0;
    let covered = 0;
    for (const file of this.#files.values()) {
      lines += file.lines.length;
      covered += file.coveredLines;
    }
    return lines === 0 ? 100 : (covered / lines) * 100;
  }

  /** The worst files by uncovered lines, and the sum. */
  report(): string {
    const files = [...this.#files.values()].filter(({ lines }) => lines.length > 0);
    const uncovered = (file: SourceFile): number => file.lines.length - file.coveredLines;
    const worst = files.filter((file) => uncovered(file) > 0).sort((a, b) => uncovered(b) - uncovered(a));
    const shown = worst.slice(0, WORST);
    const width = Math.max(0, ...shown.map(({ name }) => name.length));
    const rows = shown.map((file) => {
      const share = ((file.coveredLines / file.lines.length) * 100).toFixed(0).padStart(3);
      return `  ${file.name.padEnd(width)}  ${share} %  ${String(uncovered(file)).padStart(4)}  ${file.missing(SPANS)}`;
    });
    const more = worst.length > WORST ? [`  and ${worst.length - WORST} more files with uncovered lines`] : [];
    const lines = files.reduce((sum, file) => sum + file.lines.length, 0);
    const verdict = this.percent >= GOAL_PERCENT ? 'ok' : 'MISSED';
    return [
      'Coverage: lines of code that no test ran, and the longest stretches of them',
      ...rows,
      ...more,
      `src/: ${this.percent.toFixed(1)} % of ${lines.toLocaleString('en-US')} lines in ${files.length} files ran, in ` +
        `${this.#processes.toLocaleString('en-US')} processes (goal ${GOAL_PERCENT} %: ${verdict})`,
    ].join('\n');
  }
}
