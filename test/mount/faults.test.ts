/**
 * A source that hangs, fails and lies, and a cache that is full, gone or damaged: readers get the right bytes or the
 * error the source gave, other files go on, and so does the mount.
 */
// time limit: 900 s
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SlowStore, startSlowStore } from '../../bench/slow-store/client.ts';
import { statusOf } from '../cli/support.ts';
import { type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, kill, launch, run } from '../support/run.ts';
import { detach, withWatchdog } from '../support/watchdog.ts';
import { launchProgram, makeFiles, python, runProgram, verifyFiles } from './programs.ts';

const set = { count: 40, size: 150_000 };
const large = { count: 3, size: 5_000_000 };

/** Of the overlay, and of what the kernel keeps of the slow store. */
const LEASE_MS = 1000;

interface Stage {
  store: SlowStore;
  mount: Mounted;
  cache: string;
  /** What the slow store serves. */
  source: string;
}

/** The overlay on the slow store, with a cache (of the `options` when there are any). `body` is given both; everything is taken down afterwards. */
async function onSlowStore(
  files: typeof set,
  body: (stage: Stage) => Promise<void>,
  options?: readonly string[],
): Promise<void> {
  const source = temporaryDirectory('behind');
  await makeFiles(source, files);
  const store = await startSlowStore({ source, mountpoint: temporaryDirectory('slow'), latencyMs: 5 });
  const cache = temporaryDirectory('cache');
  try {
    const mount = await mountOverlay({
      source: store.mountpoint,
      options: [...(options ?? ['--cache', cache]), '--attr-ttl', String(LEASE_MS / 1000)],
    });
    await withWatchdog(mount, 150, () => body({ store, mount, cache, source }));
    await mount.unmount();
  } finally {
    await store.stop();
  }
}

/** What a client's read of one file says: 'ok' and the count, or the errno. */
async function readOf(path: string, seconds = 20): Promise<{ result: string; bytes: number }> {
  const program = `
import errno, json, sys
try:
    with open(sys.argv[1], 'rb', buffering=0) as f: data = f.readall()
    print(json.dumps({'result': 'ok', 'bytes': len(data)}))
except OSError as e: print(json.dumps({'result': errno.errorcode[e.errno], 'bytes': 0}))
`;
  const done = await run(python, ['-c', program, path], { seconds });
  if (done.status === 124) return { result: 'no answer', bytes: 0 };
  return JSON.parse(done.stdout) as { result: string; bytes: number };
}

test('the slow store itself gives every byte', { skip: noMounts }, async () => {
  const source = temporaryDirectory('behind');
  await makeFiles(source, set);
  const store = await startSlowStore({ source, mountpoint: temporaryDirectory('slow') });
  try {
    await withWatchdog(store, 60, () => verifyFiles(store.mountpoint, set));
  } finally {
    await store.stop();
  }
});

test('through the slow store, cold and warm, every byte is right', { skip: noMounts }, async () => {
  for (const files of [set, large]) {
    await onSlowStore(files, async ({ store, mount }) => {
      await verifyFiles(mount.mountpoint, files);
      await store.reset();
      for (const flags of [[], ['--random'], ['--mapped'], ['--direct']]) {
        await verifyFiles(mount.mountpoint, files, flags);
      }
      const asked = await store.counts();
      assert.equal(asked.bytesRead, 0, `the warm reads asked the source: ${JSON.stringify(asked)}`);
    });
  }
});

// S9.1
test('while one file of the source hangs, other files and cached ones go on', { skip: noMounts }, async () => {
  await onSlowStore(set, async ({ store, mount }) => {
    assert.equal((await readOf(join(mount.mountpoint, '000003'))).result, 'ok');
    await store.hang({ path: '000001', kinds: ['read'] });
    const stuck = readOf(join(mount.mountpoint, '000001'), 60);
    await sleep(200);
    // It hangs until it is let go: whoever waits for it gets no answer.
    for (const name of ['000002', '000003', '000004']) {
      assert.equal((await readOf(join(mount.mountpoint, name), 15)).result, 'ok', name);
    }
    await store.release();
    assert.equal((await stuck).result, 'ok', 'the file that hung');
    await verifyFiles(mount.mountpoint, set);
  });
});

// S9.1
test('while the whole source hangs for 10 s cached files are served, and then everything is', {
  skip: noMounts,
}, async () => {
  await onSlowStore(set, async ({ store, mount }) => {
    const cached = { count: 10, size: set.size };
    await verifyFiles(mount.mountpoint, cached);
    const reader = launchProgram('files.py', ['verify', mount.mountpoint, set.count, set.size]);
    await store.hang({ kinds: ['read'] });
    const tenSeconds = sleep(10_000);
    await verifyFiles(mount.mountpoint, cached, [], { seconds: 30 }); // before the source answers again
    await tenSeconds;
    await store.release();
    const done = await finished(reader, 40);
    assert.equal(done.status, 0, done.stdout + done.stderr);
  });
});

for (const errno of ['EIO', 'ESTALE', 'EACCES'] as const) {
  // S1.3
  test(`a read that fails with ${errno} at the source fails so, and is right when the source is`, {
    skip: noMounts,
  }, async () => {
    await onSlowStore(set, async ({ store, mount }) => {
      await store.fail({ path: '000001', kinds: ['read'], errno });
      const { result } = await readOf(join(mount.mountpoint, '000001'));
      assert.equal(result, errno);
      assert.equal((await readOf(join(mount.mountpoint, '000002'))).result, 'ok', 'another file');
      await store.clear();
      await verifyFiles(mount.mountpoint, set);
    });
  });
}

test('an open that fails at the source fails with its error', { skip: noMounts }, async () => {
  await onSlowStore(set, async ({ store, mount }) => {
    await store.fail({ path: '000001', kinds: ['open'], errno: 'EIO' });
    const { result, bytes } = await readOf(join(mount.mountpoint, '000001'));
    assert.equal(`${result} ${bytes}`, 'EIO 0');
    await store.clear();
    await verifyFiles(mount.mountpoint, set);
  });
});

test('a write that the source refuses with ENOSPC fails so', { skip: noMounts }, async () => {
  await onSlowStore(set, async ({ store, mount }) => {
    await store.fail({ path: 'full', kinds: ['write'], errno: 'ENOSPC' });
    const script = 'dd if=/dev/zero of="$1/full" bs=64k count=2 conv=fsync';
    const done = await run('/bin/sh', ['-c', script, 'sh', mount.mountpoint]);
    assert.notEqual(done.status, 0);
    assert.match(done.stderr, /No space left/);
    await store.clear();
    await verifyFiles(mount.mountpoint, set);
  });
});

for (const bytes of [1000, 0]) {
  // S1.2
  test(`reads that the source cuts to ${bytes} bytes are never padded, nor remembered`, {
    skip: noMounts,
  }, async () => {
    await onSlowStore(set, async ({ store, mount }) => {
      await store.shorten({ bytes });
      const words = ['verify', mount.mountpoint, 10, set.size];
      const done = await runProgram('files.py', words, { seconds: 60 });
      // The kernel's own client of the source believes in such an end of file too: a prefix is what the source gave.
      const { wrong } = JSON.parse(done.stdout) as { wrong: string[] };
      const padded = wrong.filter((line) => !line.includes('[Errno') && !line.includes(`: ${bytes} bytes for`));
      assert.deepEqual(padded, []);
      await store.clear();
      await sleep(LEASE_MS + 1000); // what was asked just before may be told late on a busy machine
      await verifyFiles(mount.mountpoint, set);
    });
  });
}

// S9.3
test('a client killed while its read hangs goes, and leaves the mount to others', { skip: noMounts }, async () => {
  await onSlowStore(set, async ({ store, mount }) => {
    await store.hang({ path: '000001', kinds: ['read'] });
    const clients = [1, 2, 3].map(() => launch('cat', [join(mount.mountpoint, '000001')]));
    const ends = clients.map((client) => finished(client, 15));
    await sleep(300);
    for (const client of clients) kill(client, 'SIGKILL');
    for (const end of ends) assert.equal((await end).status, 137, 'the client is gone while the source still hangs');
    assert.equal((await readOf(join(mount.mountpoint, '000002'))).result, 'ok', 'another file');
    await store.release();
    await verifyFiles(mount.mountpoint, set);
  });
});

// S9.3
for (const [what, kinds, words] of [
  ['a name is looked up', ['lookup'], ['cat', '000001']],
  ['a file is opened', ['open'], ['cat', '000001']],
  ['a directory is listed', ['opendir', 'readdir'], ['ls', 'folder']],
] as const) {
  test(`a client killed while ${what} at a source that hangs goes, and leaves the mount to others`, {
    skip: noMounts,
  }, async () => {
    await onSlowStore(set, async ({ store, mount, source }) => {
      mkdirSync(join(source, 'folder'));
      await store.hang({ path: words[1], kinds: [...kinds] });
      const clients = [1, 2].map(() => launch(words[0], [join(mount.mountpoint, words[1])]));
      const ends = clients.map((client) => finished(client, 15));
      await sleep(500);
      for (const client of clients) kill(client, 'SIGKILL');
      for (const end of ends) assert.equal((await end).status, 137, 'the client is gone while the source still hangs');
      assert.equal((await readOf(join(mount.mountpoint, '000002'))).result, 'ok', 'another file');
      await store.release();
      await verifyFiles(mount.mountpoint, set);
    });
  });
}

test('a source that is gone for good is an error, and the mount ends cleanly', { skip: noMounts }, async () => {
  await onSlowStore(set, async ({ store, mount }) => {
    await verifyFiles(mount.mountpoint, { count: 5, size: set.size });
    process.kill(store.pid, 'SIGKILL');
    const found = await readOf(join(mount.mountpoint, '000030'));
    assert.notEqual(found.result, 'ok');
    assert.notEqual(found.result, 'no answer');
  });
});

/** What the log of a mount says of a thing, a line each. */
async function logged(mount: Mounted, what: string): Promise<string[]> {
  const { log } = await statusOf(mount.mountpoint);
  return readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => line.includes(`"${what}"`));
}

/** Until `status` says of the whole mount what is expected. */
async function untilHealth(mount: Mounted, expected: RegExp): Promise<string> {
  let health = '';
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(500)) {
    ({ health } = await statusOf(mount.mountpoint));
    if (expected.test(health)) return health;
  }
  return assert.fail(`health is: ${health}`);
}

/** A mount whose cache lies in a tmpfs of its own. */
async function onTmpfs(sizeMib: number, body: (mount: Mounted, cache: string) => Promise<void>): Promise<void> {
  const source = temporaryDirectory('source');
  await makeFiles(source, set);
  const cache = temporaryDirectory('disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'cache', cache]);
  try {
    const mount = await mountOverlay({ source, options: ['--cache', `${cache}:1G`, '-o', 'disable=keep-cache'] });
    try {
      await withWatchdog(mount, 150, () => body(mount, cache));
    } finally {
      await mount.unmount();
    }
  } finally {
    detach(cache);
  }
}

test('a cache without a size counts what it holds as free: a remount gives nothing of it away', {
  skip: noMounts,
}, async () => {
  const source = temporaryDirectory('source');
  await makeFiles(source, set); // 6 MB
  const cache = temporaryDirectory('disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'cache', cache]);
  try {
    const kept: number[] = [];
    for (let again = 0; again < 3; again++) {
      const mount = await mountOverlay({ source, options: ['--cache', cache] });
      try {
        await withWatchdog(mount, 60, async () => {
          if (again > 0) await sleep(500); // it goes through what it has
          kept.push((await statusOf(mount.mountpoint)).stats.cache.completeObjects);
          await verifyFiles(mount.mountpoint, set);
          const { evictions, misses } = (await statusOf(mount.mountpoint)).stats.cache;
          assert.deepEqual({ evictions, misses }, { evictions: 0, misses: again === 0 ? set.count : 0 });
        });
      } finally {
        await mount.unmount();
      }
    }
    assert.deepEqual(kept, [0, set.count, set.count]);
  } finally {
    detach(cache);
  }
});

// S9.2
test('a disk that others fill costs speed, not bytes; status and the log say so once, until there is space', {
  skip: noMounts,
}, async () => {
  await onTmpfs(32, async (mount, cache) => {
    await verifyFiles(mount.mountpoint, { count: 10, size: set.size });
    const filler = join(cache, 'filler');
    await run('/bin/sh', ['-c', 'dd if=/dev/zero of="$1" bs=1M; true', 'sh', filler]);
    const health = await untilHealth(mount, /^cache: full: /);
    assert.match(health, /nothing new is kept: make space on the disk of .*, or give the cache less/);
    for (const flags of [[], ['--random'], ['--mapped']]) await verifyFiles(mount.mountpoint, set, flags);
    assert.equal((await logged(mount, 'the cache disk is full; nothing new is kept')).length, 1);
    rmSync(filler);
    await untilHealth(mount, /^ok$/);
    for (let turn = 0; turn < 2; turn++) await verifyFiles(mount.mountpoint, set);
    assert.equal((await statusOf(mount.mountpoint)).stats.cache.completeObjects, set.count, 'it is filled again');
    assert.equal((await logged(mount, 'the cache disk has space again')).length, 1);
  });
});

// S9.2
test('a cache that cannot be written any more costs speed, not bytes; status and the log say so once, until it can', {
  skip: noMounts,
}, async (t) => {
  await onTmpfs(32, async (mount, cache) => {
    await verifyFiles(mount.mountpoint, { count: 10, size: set.size });
    const directories = `find ${cache} -type d -exec chattr`;
    if ((await run('/bin/sh', ['-c', `${directories} +i {} +`])).status !== 0)
      return t.skip('no chattr for tmpfs here');
    try {
      for (const flags of [[], ['--random'], ['--mapped']]) await verifyFiles(mount.mountpoint, set, flags);
      const health = await untilHealth(mount, /^cache: create: EPERM since /);
      assert.match(health, /set aside, reads go on without it: see that .* is there, can be written/);
      await verifyFiles(mount.mountpoint, set);
      assert.equal((await logged(mount, 'the cache tier is set aside')).length, 1);
    } finally {
      await run('/bin/sh', ['-c', `${directories} -i {} +`]);
    }
    await untilHealth(mount, /^ok$/);
    await verifyFiles(mount.mountpoint, set);
    assert.equal((await logged(mount, 'the cache tier is in use again')).length, 1);
  });
});

// S9.2
test('a cache whose disk is taken away costs speed, not bytes, and what lies beneath it is not filled', {
  skip: noMounts,
}, async () => {
  await onTmpfs(32, async (mount, cache) => {
    await verifyFiles(mount.mountpoint, { count: 20, size: set.size });
    execFileSync('umount', ['-l', cache]);
    for (const flags of [[], ['--random'], ['--mapped']]) await verifyFiles(mount.mountpoint, set, flags);
    const health = await untilHealth(mount, /its disk is not mounted at .* any more/);
    assert.match(health, /reads go on without it: mount it again; else unmount this overlay/);
    await verifyFiles(mount.mountpoint, set);
    assert.equal((await logged(mount, 'the cache tier is set aside')).length, 1);
    assert.deepEqual(readdirSync(cache), []);
  });
});

// S9.2
test('of two tiers the one that fails is left out, and the other goes on', { skip: noMounts }, async () => {
  const fast = temporaryDirectory('fast');
  const slow = temporaryDirectory('slow-tier');
  const options = ['--cache', `${fast}:2M`, '--cache', `${slow}:64M`, '-o', 'disable=keep-cache'];
  const body = async ({ mount, store }: Stage): Promise<void> => {
    await verifyFiles(mount.mountpoint, set);
    rmSync(fast, { recursive: true });
    const health = await untilHealth(mount, /^cache: /);
    assert.ok(health.includes(fast) && !health.includes(slow), health);
    for (let turn = 0; turn < 2; turn++) await verifyFiles(mount.mountpoint, set);
    await store.reset();
    await verifyFiles(mount.mountpoint, set);
    assert.equal((await store.counts()).bytesRead, 0, 'the other tier has all of it');
  };
  await onSlowStore(set, body, options);
});

// S9.2
test('a full cache disk costs speed, not bytes', { skip: noMounts }, async () => {
  const source = temporaryDirectory('source');
  await makeFiles(source, large);
  const cache = temporaryDirectory('full');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'full', cache]);
  try {
    const mount = await mountOverlay({ source, options: ['--cache', cache] });
    await withWatchdog(mount, 60, async () => {
      for (const flags of [[], ['--random'], ['--mapped'], []]) await verifyFiles(mount.mountpoint, large, flags);
    });
    await mount.unmount();
  } finally {
    detach(cache);
  }
});

// S9.2
test('a cache directory deleted under the daemon costs speed, not bytes', { skip: noMounts }, async () => {
  const source = temporaryDirectory('source');
  await makeFiles(source, set);
  const cache = temporaryDirectory('cache');
  const mount = await mountOverlay({ source, options: ['--cache', cache] });
  await withWatchdog(mount, 60, async () => {
    await verifyFiles(mount.mountpoint, { count: 20, size: set.size });
    rmSync(cache, { recursive: true });
    for (const flags of [[], ['--random'], ['--mapped']]) await verifyFiles(mount.mountpoint, set, flags);
    await untilHealth(mount, /^ok$/); // it is made anew
    await verifyFiles(mount.mountpoint, set);
    const [line, ...more] = await logged(mount, 'the cache tier is set aside');
    assert.deepEqual(more, []);
    assert.match(line ?? '', /"remedy":"see that .* is there, can be written and has no errors/);
  });
  await mount.unmount();
});
