/** What pins mean, where they are kept for the next run, and that no way of making room takes what they keep. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { Pins } from '../../src/cache/eviction/pins.ts';
import { NEVER_CACHE, NO_RULE, Rules } from '../../src/cache/eviction/rules.ts';
import { type Cache, type CacheOptions, type ContentKey, openCache } from '../../src/cache/index.ts';
import { PinFile } from '../../src/cache/pin-file.ts';
import { cachesIn, clearCache } from '../../src/cache/upkeep.ts';
import { type Log, silentLog } from '../../src/telemetry/log.ts';
import { pause, readRange, TrueSource, temporaryDirectory } from './support.ts';

const FILE = 64 * 1024;
const ROOM = 16;

test('a path stands for all below it, as it is written; a directory above it for it', async () => {
  const pins = new Pins([]);
  for (const name of ['a/b', 'x*', 'odd\xff']) assert.ok((await pins.add(name)) > 0);
  const number = pins.of('a/b');
  assert.ok(number > 0 && pins.has(number));
  for (const below of ['a/b', 'a/b/c', 'a/b/c/d']) assert.equal(pins.of(below), number, below);
  for (const other of ['a', 'a/bc', 'xy', 'a/c', '', 'odd']) assert.equal(pins.of(other), 0, other);
  assert.ok(pins.of('x*/y') > 0 && pins.of('odd\xff') > 0);
  await pins.add('a');
  assert.notEqual(pins.of('a/b/c'), number, 'the outermost counts');
  assert.ok(pins.has(number), 'and the inner one is still known');
  assert.equal(await pins.add('a/b/c'), 0);
  assert.equal(pins.snapshot([]).length, 4, 'what lies below a pin is pinned already');
  await pins.add('');
  assert.ok(pins.of('anything') > 0);
  assert.equal((await pins.remove('')).removed.length, 5, 'and all lie below the root');
  assert.equal(pins.of('a/b'), 0);
});

test('pinned again, a path has both numbers until all below it was gone through', async () => {
  const pins = new Pins([]);
  let gone = 0;
  pins.onGone(() => gone++);
  await pins.add('a');
  const first = pins.of('a');
  await pins.add('a');
  const second = pins.of('a');
  assert.ok(second > first && pins.has(first));
  await pins.add('a');
  assert.equal(pins.of('a'), second, 'there are two at most');
  await pins.settle('a', first);
  assert.ok(pins.has(first), 'who went through it by then knows nothing of the second');
  await pins.settle('a', second);
  assert.deepEqual([pins.has(first), pins.has(second), gone], [false, true, 1]);
  assert.deepEqual((await pins.remove('b')).removed, []);
});

test('of rules, never-cache wins over globs to pin, and these over paths', async () => {
  const pins = new Pins(['*.keep']);
  const rules = new Rules(pins, ['tmp']);
  const of = (name: string): number => rules.of(name, () => name);
  assert.deepEqual([of('a/b'), of('tmp/x.keep')], [NO_RULE, NEVER_CACHE]);
  await pins.add('a');
  await pins.add('tmp');
  assert.deepEqual([of('a/b'), of('tmp/x.keep')], [pins.of('a'), NEVER_CACHE], 'a path counts at once');
  assert.equal(of('a/x.keep'), pins.ofGlob('*.keep'));
  assert.equal(rules.pinOf('a/x.keep', () => 'a/x.keep')?.by, 'option');
});

// --- the list --------------------------------------------------------------------------------------------------------

class Lines implements Log {
  readonly said: string[] = [];
  debug(): void {}
  info(): void {}
  warn(_: object, message: string): void {
    this.said.push(message);
  }
  error(_: object, message: string): void {
    this.said.push(message);
  }
}

function kept(directory: string, globs: readonly string[] = [], log: Log = silentLog): Pins {
  const pins = new Pins(globs);
  pins.keepIn(new PinFile(directory, log));
  return pins;
}

test('the next run has the same pins with the same numbers; globs that are not asked for any more are forgotten', async () => {
  const directory = temporaryDirectory();
  const pins = kept(directory, ['one', 'two']);
  const added = await Promise.all(['a', 'b\xff', 'c'].map((name) => pins.add(name)));
  assert.deepEqual(
    added,
    ['a', 'b\xff', 'c'].map((name) => pins.of(name)),
  );
  await pins.remove('c');
  const numbers = [pins.of('a'), pins.of('b\xff'), pins.ofGlob('two')];
  const next = kept(directory, ['two', 'three']);
  assert.deepEqual([next.of('a'), next.of('b\xff'), next.ofGlob('two')], numbers);
  assert.ok(!next.has(pins.ofGlob('one')) && next.of('c') === 0);
  assert.ok(next.ofGlob('three') > Math.max(...numbers));
  await next.save();
  assert.deepEqual(fs.readdirSync(directory), ['pins']);
});

test('a list that is damaged, newer or no file is begun anew with one line; numbers do not come again', async () => {
  const directory = temporaryDirectory();
  const file = path.join(directory, 'pins');
  const pins = kept(directory);
  await pins.add('models');
  const number = pins.of('models');
  const right = fs.readFileSync(file, 'utf8');
  const damages = [
    right.replace('models', 'modems'),
    right.replace('"version":1', '"version":2'),
    right.slice(0, -1),
    '',
    '[]',
    '{"version":1,"sum":0}',
  ];
  for (const damaged of damages) {
    fs.writeFileSync(file, damaged);
    const log = new Lines();
    const next = kept(directory, [], log);
    assert.equal(log.said.length, 1, damaged);
    assert.equal(next.of('models'), 0);
    assert.equal(fs.readFileSync(`${file}.unusable`, 'utf8'), damaged, 'it is kept to be looked at');
    await next.add('models');
    assert.ok(next.of('models') > number);
    assert.deepEqual(kept(directory).of('models'), next.of('models'));
  }
});

test('what cannot be written down is not pinned, which is said once', async () => {
  const directory = path.join(temporaryDirectory(), 'gone');
  const log = new Lines();
  const pins = kept(directory, [], log);
  for (const name of ['a', 'b']) assert.ok((await pins.add(name)) < 0);
  assert.deepEqual([pins.of('a'), pins.anyPaths, log.said.length], [0, false, 1]);
  fs.mkdirSync(directory);
  assert.ok((await pins.add('a')) > 0);
});

// --- the cache -------------------------------------------------------------------------------------------------------

function open(directory: string, options: Partial<CacheOptions> = {}): Promise<Cache> {
  return openCache({ directory, sizeBytes: ROOM * FILE, storeId: 'test:/', log: silentLog, policy: 'lru', ...options });
}

const keyOf = (name: string, version = 'v'): ContentKey => ({ file: name, version, size: FILE });
const reader = (name: string): { path(): string } => ({ path: () => name });
const many = (directory: string, count = ROOM): string[] =>
  Array.from({ length: count }, (_, at) => `${directory}/${at}`);

/** Reads a file as the overlay does; true: all of it came from the cache. */
async function read(cache: Cache, name: string, version = 'v'): Promise<boolean> {
  const key = keyOf(name, version);
  const content = cache.acquire(key, reader(name));
  if (content === undefined) return false;
  const source = new TrueSource(key);
  const refused = (): string => JSON.stringify(cache.snapshot().refused);
  const before = refused();
  assert.ok((await readRange(content, source, 0, FILE)).equals(source.content), name);
  for (let tries = 0; tries < 400 && !content.complete && refused() === before; tries++) await pause(5);
  content.release();
  return source.reads === 0;
}

async function hits(cache: Cache, names: readonly string[]): Promise<number> {
  let count = 0;
  for (const name of names) if (await read(cache, name)) count++;
  return count;
}

async function pin(cache: Cache, directory: string, names: readonly string[]): Promise<void> {
  assert.ok((await cache.pinning.pins.add(directory)) > 0);
  for (const name of names) assert.ok(await cache.pinning.apply(keyOf(name), reader(name)));
}

/** More than the cache holds, twice over. */
async function others(cache: Cache): Promise<void> {
  for (let time = 0; time < 2; time++) await hits(cache, many('other', 2 * ROOM));
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 2000; tries++) {
    if (condition()) return;
    await pause(5);
  }
  assert.fail(what);
}

for (const awakeMost of [undefined, 2]) {
  const how = awakeMost === undefined ? 'in memory' : 'at rest';
  test(`pinned objects ${how} stay, as rows of the next run too, until they are unpinned`, async () => {
    const directory = temporaryDirectory();
    const options = awakeMost === undefined ? {} : { awakeMost };
    let cache = await open(directory, options);
    /** Most are at rest where they may be. */
    const settled = (): Promise<void> =>
      until('they rest', () => cache.snapshot().objectsInMemory <= (awakeMost ?? ROOM));
    const mine = many('mine', 6);
    await hits(cache, mine);
    await pin(cache, 'mine', mine);
    assert.ok(await cache.pinning.noted());
    await settled();
    assert.equal(cache.snapshot().pinnedBytes, 6 * FILE);
    await others(cache);
    assert.equal(cache.snapshot().pinnedBytes, 6 * FILE);
    assert.equal(await hits(cache, mine), 6, 'in the run that pinned them');
    assert.equal(await cache.give('mine/0'), 0, 'prefetching does not get its room either');
    await cache.shutdown();

    cache = await open(directory, options);
    await cache.loaded;
    assert.deepEqual(cache.snapshot().pins, [{ by: 'command', text: 'mine', files: 6, bytes: 6 * FILE }]);
    assert.equal(await cache.give('mine/5'), 0, 'not even those that nobody has asked for yet');
    await others(cache);
    assert.equal(cache.snapshot().pinnedBytes, 6 * FILE);
    for (const name of mine) assert.ok(cache.has(keyOf(name)), name);
    await cache.resize(directory, 4 * FILE);
    assert.equal(cache.snapshot().usedBytes, 6 * FILE, 'nor when the cache is made smaller');
    await cache.resize(directory, ROOM * FILE);
    assert.equal(await hits(cache, mine), 6, 'by rows of an earlier run');
    assert.ok((await read(cache, 'mine/0', 'w')) === false && (await read(cache, 'mine/0', 'w')), 'its new version');
    await others(cache);
    assert.ok(cache.has(keyOf('mine/0', 'w')), 'is pinned as it was read');

    await settled();
    assert.equal((await cache.pinning.pins.remove('mine')).removed.length, 1);
    assert.equal(cache.snapshot().pinnedBytes, 0);
    for (const name of mine.slice(1)) assert.ok(cache.has(keyOf(name)), 'they are still there');
    await pause(100); // those at rest are given back in slices
    await others(cache);
    assert.deepEqual(
      mine.filter((name) => cache.has(keyOf(name))),
      [],
    );
    assert.equal(cache.snapshot().usedBytes, ROOM * FILE);
    await cache.shutdown();
  });
}

test('rows of an earlier run go after all when the pin is taken back before they were asked for', async () => {
  const directory = temporaryDirectory();
  const first = await open(directory);
  const mine = many('mine', 6);
  await first.pinning.pins.add('mine');
  await hits(first, mine);
  await first.shutdown();
  const cache = await open(directory);
  await cache.loaded;
  assert.equal(cache.snapshot().pinnedBytes, 6 * FILE);
  await cache.pinning.pins.remove('mine');
  await others(cache);
  assert.deepEqual(
    mine.filter((name) => cache.has(keyOf(name))),
    [],
  );
  await cache.shutdown();
});

test('pinned again, what was not met competes as others do', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  const mine = many('mine', 6);
  await hits(cache, mine);
  await pin(cache, 'mine', mine);
  await pin(cache, 'mine', mine.slice(2)); // the others are at the source no more
  await others(cache);
  assert.equal(cache.snapshot().pinnedBytes, 6 * FILE, 'until all was gone through');
  await cache.pinning.pins.settle('mine', cache.pinning.pins.of('mine'));
  assert.equal(cache.snapshot().pinnedBytes, 4 * FILE);
  await others(cache);
  const there = mine.filter((name) => cache.has(keyOf(name)));
  assert.deepEqual(there, mine.slice(2));
  await cache.shutdown();
});

test('more than the tier holds: what does not fit is not taken, and others read from the source', async () => {
  const cache = await open(temporaryDirectory());
  await cache.pinning.pins.add('mine');
  await hits(cache, many('mine', 2 * ROOM));
  assert.equal(cache.snapshot().pinnedBytes, ROOM * FILE);
  assert.equal(await read(cache, 'other/0'), false);
  assert.equal(await read(cache, 'other/0'), false);
  assert.equal(await hits(cache, many('mine')), ROOM, 'those that came first stay');
  await cache.shutdown();
});

test('what was renamed below a pin is pinned when it is opened there', async () => {
  const cache = await open(temporaryDirectory());
  await read(cache, 'a');
  await cache.pinning.pins.add('mine');
  assert.equal(cache.snapshot().pinnedBytes, 0);
  cache.acquire(keyOf('a'), reader('mine/a'))!.release();
  assert.equal(cache.snapshot().pinnedBytes, FILE);
  cache.acquire(keyOf('a'), reader('a'))!.release();
  assert.equal(cache.snapshot().pinnedBytes, FILE, 'another name of it does not undo that');
  await cache.shutdown();
});

test('with tiers, what is pinned comes to the last, and is pinned there', async () => {
  const directory = temporaryDirectory();
  const fast = path.join(directory, 'fast');
  const slow = path.join(directory, 'slow');
  for (const place of [fast, slow]) fs.mkdirSync(place);
  const tiers = { directory: fast, slower: [{ directory: slow, sizeBytes: ROOM * FILE }] };
  let cache = await open(fast, tiers);
  const mine = many('mine', 4);
  await hits(cache, mine);
  const bytesOf = (): number[] => cache.snapshot().tiers.map(({ bytes }) => bytes);
  assert.deepEqual(bytesOf(), [4 * FILE, 0], 'they came to the fast one');
  await pin(cache, 'mine', mine);
  assert.deepEqual([bytesOf()[1], cache.snapshot().pinnedBytes], [4 * FILE, 4 * FILE]);
  for (let time = 0; time < 2; time++) await hits(cache, many('other', 4 * ROOM));
  assert.equal(await hits(cache, mine), 4);
  await cache.shutdown();
  cache = await open(fast, tiers);
  await cache.loaded;
  for (let time = 0; time < 2; time++) await hits(cache, many('other', 4 * ROOM));
  assert.equal(await hits(cache, mine), 4, 'also in the next run');
  assert.equal(cache.snapshot().pinnedBytes, 4 * FILE);
  await cache.shutdown();
});

test('globs of the mount keep rows of an earlier run, too; and clearing a cache forgets its pins', async () => {
  const directory = temporaryDirectory();
  const rules = { pin: ['mine'], neverCache: [] };
  let cache = await open(directory, { rules });
  await hits(cache, many('mine', 6));
  await cache.pinning.pins.add('else');
  await cache.shutdown();
  cache = await open(directory, { rules });
  await others(cache);
  assert.equal(await hits(cache, many('mine', 6)), 6);
  await cache.shutdown();
  for (const one of cachesIn(directory)) {
    assert.deepEqual(clearCache(one).left, []);
    one.close();
  }
  cache = await open(directory);
  assert.deepEqual(cache.snapshot().pins, []);
  await cache.shutdown();
});
