/**
 * `warmup --pin` on a real mount whose cache is smaller than the data, with a policy that keeps nothing else for long: what is
 * pinned is served without the store, whatever is read, over remounts and kill -9, until it is unpinned.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SlowStore, startSlowStore } from '../../bench/slow-store/client.ts';
import type { UnpinAnswer } from '../../src/cli/warmup-control.ts';
import { type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { type Result, statsOf } from './warmup-stage.ts';

const SECONDS = 120;
const FILE = 64 * 1024;
const KEPT = 8;
const REST = 40;
const CACHE = 20 * FILE;
/** Not a glob. */
const DIRECTORY = 'ke*pt';
/** Not UTF-8, as a byte string. */
const ODD = 'odd\xff\xfe';

function write(source: string, name: string, fill: number, size = FILE): void {
  writeFileSync(Buffer.from(join(source, name), 'latin1'), Buffer.alloc(size, fill));
}

function makeSource(): string {
  const source = temporaryDirectory('behind');
  for (const directory of [`${DIRECTORY}/deep`, 'rest', 'keXpt'])
    mkdirSync(join(source, directory), { recursive: true });
  for (let at = 0; at < KEPT; at++) write(source, `${DIRECTORY}/${at % 2 === 0 ? 'deep/' : ''}${at}`, at);
  for (let at = 0; at < REST; at++) write(source, `rest/${at}`, 100 + at);
  write(source, 'keXpt/file', 50);
  write(source, ODD, 51);
  return source;
}

class Stage {
  readonly source: string;
  readonly slow: SlowStore;
  readonly #cache = temporaryDirectory('cache');
  mount!: Mounted;

  constructor(source: string, slow: SlowStore) {
    this.source = source;
    this.slow = slow;
  }

  async mountAgain(more = ''): Promise<void> {
    const options = `ro,prefetch=off,cache-policy=lru,disable=keep-cache,sample-opens=off${more}`;
    const words = ['--cache', `${this.#cache}:${CACHE}`, '-o', options, '--attr-ttl', '0'];
    const mountpoint = this.mount?.mountpoint;
    this.mount = await mountOverlay({
      source: this.slow.mountpoint,
      options: words,
      ...(mountpoint && { mountpoint }),
    });
  }

  at(name: string): string {
    return join(this.mount.mountpoint, name);
  }

  /** Compares every byte below a path with the source. */
  async read(name: string): Promise<void> {
    const { status, stdout, stderr } = await run('diff', ['-r', join(this.source, name), this.at(name)], {
      seconds: SECONDS,
    });
    assert.equal(status, 0, stdout + stderr);
  }

  async readRestTwice(): Promise<void> {
    for (let time = 0; time < 2; time++) await this.read('rest');
  }

  /** What reading costs the store, in bytes. */
  async cost(read: () => Promise<void>): Promise<number> {
    await this.slow.reset();
    await read();
    return (await this.slow.counts()).bytesRead;
  }

  async warmup<T = Result>(words: readonly string[]): Promise<T> {
    const done = await this.mount.command(['warmup', '--json', ...words], SECONDS);
    assert.equal(done.status, 0, `${words.join(' ')}: ${done.stdout}${done.stderr}`);
    return JSON.parse(done.stdout) as T;
  }

  async refused(words: readonly string[]): Promise<string> {
    const { status, stderr } = await this.mount.command(['warmup', ...words], SECONDS);
    assert.equal(status, 1, `${words.join(' ')}: ${stderr}`);
    return stderr;
  }

  async assertKept(when: string): Promise<void> {
    await this.readRestTwice();
    assert.equal(await this.cost(() => this.read(DIRECTORY)), 0, `${when}: it costs the store nothing`);
  }
}

async function onStage(body: (stage: Stage) => Promise<void>, options = ''): Promise<void> {
  const source = makeSource();
  const slow = await startSlowStore({
    source,
    mountpoint: temporaryDirectory('slow'),
    latencyMs: 0.2,
    bandwidth: 1e9,
    ttlMs: 0,
  });
  const stage = new Stage(source, slow);
  try {
    await stage.mountAgain(options);
    await withWatchdog(stage.mount, 2 * SECONDS, () => body(stage));
    await stage.mount.unmount();
  } finally {
    await slow.stop();
  }
}

test('what is pinned stays over everything that is read, a remount and kill -9, and goes when it is unpinned', {
  skip: noMounts,
}, async () => {
  await onStage(async (stage) => {
    const list = join(temporaryDirectory('list'), 'list');
    const pinned = await stage.warmup(['--pin', stage.at(DIRECTORY)]);
    assert.deepEqual([pinned.action, pinned.state, pinned.files.pinned], ['pin', 'done', KEPT]);
    assert.deepEqual([pinned.bytes.fetched, pinned.bytes.pinned], [KEPT * FILE, KEPT * FILE]);
    writeFileSync(list, Buffer.from(`${stage.mount.mountpoint}/${ODD}\n`, 'latin1'));
    assert.equal((await stage.warmup(['--pin', '--from-file', list])).files.pinned, 1);
    await stage.read('keXpt');
    await stage.assertKept('in the mount that pinned it');
    assert.equal(await stage.cost(() => stage.read('keXpt')), FILE, 'what a glob would have named is not pinned');
    const { pins, pinnedBytes } = (await statsOf(stage.mount)).cache;
    assert.deepEqual(
      [pins[0], pinnedBytes],
      [{ path: DIRECTORY, glob: null, files: KEPT, bytes: KEPT * FILE }, (KEPT + 1) * FILE],
    );
    const status = await stage.mount.command(['status', stage.mount.mountpoint], 30);
    assert.match(status.stdout, /^ {2}pinned +\S+\/ke\*pt: 8 files, 512 KiB$/m);

    await stage.mount.unmount();
    await stage.mountAgain();
    assert.equal((await statsOf(stage.mount)).cache.pins.length, 2);
    await stage.assertKept('after a remount');
    await stage.mount.killDaemon();
    await stage.mountAgain();
    await stage.assertKept('after kill -9');
    assert.equal((await stage.warmup(['--check', '--from-file', list])).bytes.cached, FILE, 'the odd name, too');

    write(stage.source, `${DIRECTORY}/1`, 77, FILE / 2);
    write(stage.source, `${DIRECTORY}/new`, 78);
    await sleep(50);
    assert.equal(await stage.cost(() => stage.read(DIRECTORY)), FILE * 1.5, 'what is new is read');
    await stage.assertKept('changed and new files, once read');

    const answer = await stage.warmup<UnpinAnswer>(['--unpin', stage.at(DIRECTORY)]);
    assert.deepEqual(answer.unpinned, [stage.at(DIRECTORY)]);
    assert.deepEqual([answer.files, answer.bytes, answer.globs], [KEPT + 1, (KEPT + 0.5) * FILE, []]);
    assert.equal(await stage.cost(() => stage.read(DIRECTORY)), 0, 'nothing is dropped by it');
    await stage.readRestTwice();
    assert.ok((await stage.cost(() => stage.read(DIRECTORY))) > 0, 'now it may go');
    assert.equal((await stage.warmup(['--check', '--from-file', list])).bytes.cached, FILE, 'and others stay');
  });
});

test('what cannot be is refused with what to do, and readers are served', { skip: noMounts }, async () => {
  await onStage(async (stage) => {
    for (const name of [`${DIRECTORY}/deep`, DIRECTORY]) await stage.warmup(['--pin', stage.at(name)]);
    const whole = (await stage.warmup(['--check', stage.at(DIRECTORY)])).bytes;
    assert.deepEqual([whole.cached, whole.pinned], [KEPT * FILE, KEPT * FILE]);
    assert.match(
      await stage.refused(['--evict', stage.at(DIRECTORY)]),
      /MLO_PINNED: 8 files are pinned \(\S+ke\*pt\) and stay: ml-overlay warmup --unpin \S+ke\*pt$/m,
    );
    assert.match(
      await stage.refused(['--unpin', stage.at(`${DIRECTORY}/1`)]),
      /is pinned because \S+ke\*pt is: .*--unpin/,
    );
    assert.match(await stage.refused(['--pin', '--evict', stage.at('rest')]), /--pin and --evict exclude each other/);
    assert.match(await stage.refused(['--pin', stage.at('absent')]), /there is no such file/);

    const full = await stage.refused(['--pin', stage.at('rest')]);
    assert.match(full, /MLO_FULL: .* pinned\); \d+ files are not in it: .*cache=DIR:SIZE.*--unpin/);
    assert.equal((await statsOf(stage.mount)).cache.pins.length, 4, 'no pin of what is absent');
    await stage.readRestTwice();
    assert.equal(await stage.cost(() => stage.read(DIRECTORY)), 0);
    const { bytes, sizeBytes, pinnedBytes } = (await statsOf(stage.mount)).cache;
    assert.ok(bytes <= sizeBytes && pinnedBytes > 0.9 * sizeBytes);

    const { unpinned, globs } = await stage.warmup<UnpinAnswer>(['--unpin', stage.mount.mountpoint]);
    assert.deepEqual(globs, ['keXpt']);
    assert.deepEqual(unpinned.sort(), [DIRECTORY, `${DIRECTORY}/deep`, 'rest'].map((name) => stage.at(name)).sort());
    await stage.read('keXpt');
    assert.match(
      await stage.refused(['--evict', stage.mount.mountpoint]),
      /MLO_PINNED: 1 file is pinned \(-o pin=keXpt\) and stays: mount without that option$/m,
    );
    assert.equal((await statsOf(stage.mount)).cache.bytes, FILE);
  }, ',pin=keXpt');
});
