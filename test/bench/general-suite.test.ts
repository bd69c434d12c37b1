/** The general suite from end to end, as small as it gets: it measures, and leaves nothing behind however it ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Result } from '../../bench/general/result.ts';
import { mounts } from '../../bench/support/mounts.ts';
import { marked } from '../../bench/support/processes.ts';
import { noMounts } from '../support/mounts.ts';

const main = resolve(import.meta.dirname, '../../bench/main.ts');
const MARK = 'MLO_TEST_BENCH';

interface Started {
  directory: string;
  output: () => string;
  kill: (signal: NodeJS.Signals) => void;
  exited: Promise<number | null>;
}

/** Everything it makes is below a directory of its own; everything it starts carries a mark. */
function start(args: string[]): Started {
  const directory = mkdtempSync(join(tmpdir(), 'bench-test-'));
  const words = [
    '--disable-warning=ExperimentalWarning',
    main,
    ...args,
    '--quick',
    '--no-drop',
    '--rounds',
    '1',
    '--dir',
    directory,
  ];
  const child = spawn(process.execPath, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 150_000,
    killSignal: 'SIGKILL',
    env: { ...process.env, [MARK]: directory },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  return {
    directory,
    output: () => said,
    kill: (signal) => void child.kill(signal),
    exited: new Promise((done) => child.on('exit', (code) => done(code))),
  };
}

const mountedBelow = (directory: string) => mounts().filter(({ mountpoint }) => mountpoint.startsWith(directory));

/** Waits until nothing of a run is left; says what is when that takes too long. */
async function nothingLeft(directory: string): Promise<void> {
  for (const until = performance.now() + 40_000; ; await sleep(100)) {
    const left = [
      ...mountedBelow(directory).map(({ mountpoint }) => mountpoint),
      ...marked(MARK, directory).map(({ command }) => command),
      ...readdirSync(directory).filter((name) => name.startsWith('ml-overlay-bench-')),
    ];
    if (left.length === 0) return;
    assert.ok(performance.now() < until, `left behind: ${left.join(', ')}`);
  }
}

async function until(condition: () => boolean, what: () => string): Promise<void> {
  for (const end = performance.now() + 90_000; !condition(); await sleep(50)) {
    assert.ok(performance.now() < end, what());
  }
}

test('one work is measured on the source, the disk and the overlay, and the store counts what was read', {
  skip: noMounts,
}, async () => {
  const started = start(['strided', '--json', join(tmpdir(), `bench-result-${process.pid}.json`)]);
  const json = join(tmpdir(), `bench-result-${process.pid}.json`);
  try {
    assert.equal(await started.exited, 0, started.output());
    await nothingLeft(started.directory);
    const result = JSON.parse(readFileSync(json, 'utf8')) as Result;
    assert.deepEqual(
      result.cells.map(({ system, failed }) => [system, failed]),
      [
        ['source', undefined],
        ['native disk', undefined],
        ['overlay', undefined],
      ],
    );
    const [source, native, overlay] = result.cells;
    // 64 KiB of each of 32 MiB; the kernel may read ahead, the overlay fetches whole chunks
    const asked = 32 * 65_536;
    assert.ok(source!.figures.cold!.store!.bytesRead >= asked);
    assert.equal(native!.figures.cold!.store!.bytesRead, 0);
    assert.ok(overlay!.figures.cold!.store!.bytesRead >= asked);
    assert.equal(overlay!.figures.warm!.store!.bytesRead, 0);
    assert.ok(overlay!.peakBytes > 2 ** 24);
    assert.match(started.output(), /\| overlay +\|.*×/);
  } finally {
    rmSync(started.directory, { recursive: true, force: true });
    rmSync(json, { force: true });
  }
});

for (const signal of ['SIGINT', 'SIGKILL'] as const) {
  test(`nothing stays behind after ${signal} in the middle`, { skip: noMounts }, async () => {
    const started = start(['epochs']);
    try {
      await until(
        () => mountedBelow(started.directory).some(({ mountpoint }) => mountpoint.endsWith('/mount/overlay')),
        () => `the overlay was never mounted:\n${started.output()}`,
      );
      started.kill(signal);
      assert.equal(await started.exited, signal === 'SIGINT' ? 130 : null);
      await nothingLeft(started.directory);
    } finally {
      started.kill('SIGKILL');
      rmSync(started.directory, { recursive: true, force: true });
    }
  });
}
