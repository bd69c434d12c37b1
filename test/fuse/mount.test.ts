/**
 * Real mounts. The file system is served by a child process; whatever goes wrong, a watchdog and the hooks abort the
 * connection and unmount, so that nothing that waits for the mount waits for ever.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as fsp from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountedAt, parseMountTable } from '../../src/fuse/mount-table.ts';

const LIMIT_MS = 20_000;
const NOBODY = 65534;
const root = process.getuid?.() === 0;
const skip = root && existsSync('/dev/fuse') ? false : 'needs root and /dev/fuse';
const server = fileURLToPath(new URL('serve-memory.ts', import.meta.url));

const plainServer = fileURLToPath(new URL('serve-directory.ts', import.meta.url));

/** CPU time of a process, user and system, in ticks of 10 ms. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

interface Served {
  path: string;
  child: ChildProcess;
  /** What it said when it was mounted. */
  said: Record<string, unknown>;
  ask(line: string): Promise<Record<string, unknown>>;
  /** The next line it says. */
  next(): Promise<Record<string, unknown>>;
}

const scratch: string[] = [];

/** An empty directory that is removed after the test. */
function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'mlo-fuse-'));
  scratch.push(path);
  return path;
}

const served = new Map<string, { child: ChildProcess; device: string | undefined; watchdog: NodeJS.Timeout }>();

/** Ends a mount without touching it. */
function clear(path: string): void {
  const entry = served.get(path);
  if (entry === undefined) return;
  served.delete(path);
  clearTimeout(entry.watchdog);
  const minor = entry.device?.split(':')[1];
  if (mountedAt(path) !== undefined) {
    try {
      writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1');
    } catch {
      // Without fusectl, the lazy unmount and the end of the server have to do.
    }
    spawnSync('umount', ['-l', '-f', path]);
  }
  entry.child.kill('SIGKILL');
}

const clearAll = (): void => {
  for (const path of [...served.keys()]) clear(path);
  for (const path of scratch.splice(0))
    if (mountedAt(path) === undefined) rmSync(path, { recursive: true, force: true });
};
afterEach(clearAll);
after(clearAll);

async function serve(args: string[] = [], user?: number): Promise<Served> {
  const path = directory();
  if (user !== undefined) chownSync(path, user, user);
  const as = user === undefined ? {} : { uid: user, gid: user };
  const child = spawn(process.execPath, [server, path, ...args], { stdio: ['pipe', 'pipe', 'inherit'], ...as });
  const watchdog = setTimeout(() => clear(path), LIMIT_MS);
  const entry = { child, device: undefined as string | undefined, watchdog };
  served.set(path, entry);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the server ended without a word');
    return JSON.parse(value);
  };
  const said = await next();
  entry.device = said.device as string | undefined;
  const ask = (line: string): Promise<Record<string, unknown>> => {
    child.stdin!.write(`${line}\n`);
    return next();
  };
  return { path, child, said, ask, next };
}

function run(command: string, args: string[], options = {}): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(command, args, { encoding: 'utf8', timeout: LIMIT_MS, ...options });
}

describe('a mount by the system call', { skip, timeout: 4 * LIMIT_MS }, () => {
  for (const later of ['', 'lookup,getattr,open,read,write,create,readdir,mkdir,rename,setattr,unlink,opendir']) {
    test(`does what a file system does, ${later ? 'answering later' : 'answering at once'}`, async () => {
      const { path, said, ask } = await serve(['syscall', later]);
      assert.equal(said.mounted, 'syscall');
      assert.equal(said.readahead, true);
      assert.equal(await fsp.readFile(`${path}/hello`, 'utf8'), 'hello, world\n');
      await fsp.mkdir(`${path}/dir/deep`, { recursive: true });
      const big = Buffer.alloc(3_000_001, 'abcdefg');
      await fsp.writeFile(`${path}/dir/big`, big);
      assert.ok((await fsp.readFile(`${path}/dir/big`)).equals(big));
      await fsp.appendFile(`${path}/dir/big`, 'end');
      await fsp.rename(`${path}/dir/big`, `${path}/moved`);
      assert.equal((await fsp.stat(`${path}/moved`)).size, big.length + 3);
      await fsp.truncate(`${path}/moved`, 10);
      assert.equal(await fsp.readFile(`${path}/moved`, 'utf8'), 'abcdefgabc');
      await fsp.symlink('moved', `${path}/link`);
      await fsp.link(`${path}/moved`, `${path}/hard`);
      assert.equal(await fsp.readFile(`${path}/link`, 'utf8'), 'abcdefgabc');
      assert.equal((await fsp.stat(`${path}/hard`)).nlink, 2);
      const many = Array.from({ length: 500 }, (_, i) => `file-${i}`);
      for (const name of many) await fsp.writeFile(`${path}/dir/${name}`, name);
      assert.deepEqual((await fsp.readdir(`${path}/dir`)).sort(), [...many, 'deep'].sort());
      await assert.rejects(fsp.rmdir(`${path}/dir`), { code: 'ENOTEMPTY' });
      await assert.rejects(fsp.readFile(`${path}/none`), { code: 'ENOENT' });
      await fsp.rm(`${path}/dir`, { recursive: true });
      assert.ok((await fsp.statfs(path)).blocks > 0);
      const statx = run('stat', ['-c', '%W', `${path}/hello`]);
      assert.ok(Number(statx.stdout) > 0, 'birth time');

      const stats = await ask('stats');
      assert.equal(stats.defects, 0);
      assert.equal(stats.malformed, 0);
      assert.equal(stats.dropped, 0);
      assert.equal(stats.pending, 0);
      assert.equal((stats.late as number) > 0, later !== '');
      assert.deepEqual(await ask('unmount'), { ended: 'unmounted', stopped: true });
      assert.equal(mountedAt(path), undefined);
    });
  }

  test('gives every lookup and handle back', async () => {
    const { path, ask } = await serve(['syscall']);
    for (let i = 0; i < 50; i++) await fsp.writeFile(`${path}/f${i}`, 'x');
    run('find', [path, '-size', '+1']);
    for (let i = 0; i < 50; i++) await fsp.rm(`${path}/f${i}`);
    writeFileSync('/proc/sys/vm/drop_caches', '2'); // the kernel forgets what it does not use
    let stats = await ask('stats');
    for (let i = 0; i < 50 && (stats.lookups as number) > 1; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      stats = await ask('stats');
    }
    assert.ok((stats.lookups as number) <= 1, `${stats.lookups} lookups held`);
    assert.equal(stats.handles, 0);
  });

  test('refuses to go while it is in use, and goes by force', async () => {
    const { path, ask, next } = await serve(['syscall']);
    const user = spawn('sleep', ['60'], { cwd: path });
    await new Promise((resolve) => user.on('spawn', resolve));
    const refused = await ask('unmount');
    assert.match(String(refused.refused), /EBUSY/);
    assert.match(String(refused.remedy), /--force/);
    const ended = await ask('force');
    assert.equal(ended.ended, 'unmounted');
    assert.equal(mountedAt(path), undefined);
    user.kill();
    await assert.rejects(next());
  });

  test('has the kernel read a backing file by itself', async () => {
    const source = directory();
    const backing = join(source, 'backing');
    const content = 'y'.repeat(1000);
    writeFileSync(backing, content);
    const { path, said, ask } = await serve(['syscall', '', backing]);
    if ((said.on as string[]).includes('passthrough')) {
      for (let i = 0; i < 3; i++) assert.equal(await fsp.readFile(`${path}/backed`, 'utf8'), content);
      const { requests, errors } = (await ask('stats')) as { requests: Record<string, number>; errors: object };
      assert.deepEqual([requests.OPEN, requests.READ, errors], [3, undefined, {}]);
    }
  });

  test('shows what changed behind an open file once the kernel was told', async () => {
    const { path, ask } = await serve(['syscall']);
    const file = await fsp.open(`${path}/hello`);
    const read = async (): Promise<string> =>
      (await file.read(Buffer.alloc(100), 0, 100, 0)).buffer.toString('latin1', 0, 5);
    assert.equal(await read(), 'hello');
    await ask('change');
    assert.equal(await read(), 'hello', 'from the page cache');
    const { notifications, requests } = await ask('invalidate');
    assert.equal(notifications, 5);
    assert.equal(await read(), 'HELLO');
    const before = (requests as Record<string, number>).LOOKUP ?? 0;
    await fsp.stat(`${path}/hello`);
    const after = ((await ask('stats')).requests as Record<string, number>).LOOKUP ?? 0;
    assert.equal(after, before + 1, 'the name is looked up again');
    await file.close();
  });

  test('costs nothing while nobody uses it', async () => {
    const source = directory();
    writeFileSync(join(source, 'file'), 'content');
    const path = directory();
    // This server has no handle of its own in the event loop: nothing but the session keeps it waiting.
    const child = spawn(process.execPath, [plainServer, source, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    served.set(path, { child, device: undefined, watchdog: setTimeout(() => clear(path), LIMIT_MS) });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    assert.equal(await fsp.readFile(`${path}/file`, 'utf8'), 'content');
    await new Promise((resolve) => setTimeout(resolve, 300));
    // What the start left to do takes its time on a busy machine; then there is nothing.
    const used: number[] = [];
    do {
      const before = cpuTicks(child.pid!);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      used.push(cpuTicks(child.pid!) - before);
    } while (used.at(-1)! > 3 && used.length < 8);
    assert.ok(used.at(-1)! <= 3, `${used.join(', ')} hundredths of a second of CPU in one second each`);
    assert.equal(await fsp.readFile(`${path}/file`, 'utf8'), 'content');
  });

  test('ends when its connection is aborted', async () => {
    const { said, next } = await serve(['syscall']);
    const abort = `/sys/fs/fuse/connections/${String(said.device).split(':')[1]}/abort`;
    if (!existsSync(abort)) return;
    writeFileSync(abort, '1');
    assert.deepEqual(await next(), { ended: 'aborted', stopped: true });
  });

  // S9.3
  test('lets a process be killed that waits for an answer, and does not disturb it for another signal', async () => {
    const { path, ask } = await serve(['syscall']);
    const script = 'import os,signal,sys; signal.signal(signal.SIGUSR1,lambda *_:0); os.readlink(sys.argv[1])';
    const waiting = spawn('python3', ['-c', script, `${path}/hang`], { stdio: 'ignore' });
    let exited = false;
    waiting.on('close', () => {
      exited = true;
    });
    const until = async (done: () => Promise<boolean>): Promise<void> => {
      for (let i = 0; i < 1000 && !(await done()); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await until(async () => (await ask('stats')).pending === 1);
    waiting.kill('SIGUSR1');
    await until(async () => (await ask('stats')).interrupts === 1);
    const disturbed = await ask('stats');
    assert.deepEqual([disturbed.interrupts, disturbed.interrupted, disturbed.pending], [1, 0, 1]);
    waiting.kill('SIGKILL');
    await until(async () => exited);
    assert.ok(exited, 'the process could not be killed');
    const killed = await ask('stats');
    assert.deepEqual([killed.interrupted, killed.pending], [1, 0]);
  });

  test('says why it cannot be made', async () => {
    const file = join(directory(), 'file');
    writeFileSync(file, '');
    for (const [path, message] of [
      [file, /ENOTDIR/],
      [`${file}-none`, /ENOENT/],
    ] as const) {
      const { status, stdout } = run(process.execPath, [server, path, 'syscall']);
      assert.equal(status, 1);
      assert.match(JSON.parse(stdout).failed, message);
      assert.ok(JSON.parse(stdout).remedy.length > 10);
    }
  });
});

const asUser = { uid: NOBODY, gid: NOBODY };
const usable = run('sh', ['-c', 'command -v fusermount3 && test -w /dev/fuse'], asUser).status === 0;
const helper = skip || (usable ? false : 'needs fusermount3, and /dev/fuse open to users');

const CONNECTIONS = '/sys/fs/fuse/connections';

/** Whether fusectl is mounted; where it is not, it is for as long as the test runs, if that can be. */
function controlled(t: TestContext): boolean {
  if (mountedAt(CONNECTIONS)?.type === 'fusectl') return true;
  if (run('mount', ['-t', 'fusectl', 'fusectl', CONNECTIONS]).status !== 0) return false;
  t.after(() => run('umount', [CONNECTIONS]));
  return true;
}

describe('a mount through fusermount3', { skip: helper, timeout: 4 * LIMIT_MS }, () => {
  test('is made, used and ended by an ordinary user, without what is not permitted', async () => {
    const { path, said, ask } = await serve(['auto'], NOBODY);
    assert.equal(said.mounted, 'fusermount3');
    assert.ok(!(said.on as string[]).includes('passthrough'));
    const read = run('cat', [`${path}/hello`], asUser);
    assert.equal(read.stdout, 'hello, world\n', read.stderr);
    assert.equal(mountedAt(path)?.type, 'fuse.ml-overlay');
    assert.equal(mountedAt(path)?.source, 'in, memory');
    assert.deepEqual(await ask('unmount'), { ended: 'unmounted', stopped: true });
    assert.equal(mountedAt(path), undefined);
  });

  test('ends what hangs in it when it is forced', async (t) => {
    if (!controlled(t)) return t.skip('needs fusectl mounted');
    const { path, ask } = await serve(['fusermount3'], NOBODY);
    const waiting = spawn('readlink', [`${path}/hang`], { ...asUser, stdio: 'ignore' });
    const left = new Promise((resolve) => waiting.on('close', resolve));
    for (let i = 0; i < 200 && (await ask('stats')).pending !== 1; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const late = new Promise((resolve) => setTimeout(() => resolve('late'), 10_000).unref());
    assert.deepEqual(await Promise.race([ask('force'), late]), { ended: 'aborted', stopped: true });
    assert.equal(await Promise.race([left, late]), 1);
    assert.equal(mountedAt(path), undefined);
  });

  test('is refused with the reason where the user may not mount', () => {
    const path = directory();
    chmodSync(path, 0o755);
    const { status, stdout } = run(process.execPath, [server, path], asUser);
    assert.equal(status, 1);
    assert.match(JSON.parse(stdout).failed, /fusermount3 refused.*no write access/);
  });

  test('says what to install when fusermount3 is missing', () => {
    const path = directory();
    const { status, stdout } = run(process.execPath, [server, path, 'fusermount3'], { env: { PATH: '/none' } });
    assert.equal(status, 1);
    assert.match(JSON.parse(stdout).remedy, /fuse3/);
  });
});

test('the table of mounts is read with its escapes', () => {
  const line = '48 32 0:40 / /mnt/a\\040b\\134c rw,relatime shared:1 - fuse.ml-overlay in,\\040memory rw,user_id=0';
  assert.deepEqual(parseMountTable(`${line}\n\nnonsense\n`), [
    { device: '0:40', mountpoint: '/mnt/a b\\c', type: 'fuse.ml-overlay', source: 'in, memory' },
  ]);
});
