/** Who holds the lock of a cache's directory, and has ended. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type TestContext, test } from 'node:test';
import { takeLock, takeLockOfEnded } from '../../src/cache/lock.ts';
import { isEnding } from '../../src/sys/ending.ts';
import { pause, temporaryDirectory } from './support.ts';

/** Its first thread ends at once; another holds the lock, as one does that waits for a disk. */
const HOLDER = `
import ctypes, fcntl, os, sys, threading, time
file = open(sys.argv[1], 'w')
fcntl.flock(file, fcntl.LOCK_EX)
file.write(f'{os.getpid()}\\n')
file.flush()
threading.Thread(target=lambda: time.sleep(float(sys.argv[2]))).start()
print('held', flush=True)
ctypes.CDLL(None).syscall({'x86_64': 60}.get(os.uname().machine, 93), 0)
`;

async function heldFor(t: TestContext, seconds: number): Promise<{ directory: string; pid: number }> {
  const directory = temporaryDirectory();
  const child = spawn('python3', ['-c', HOLDER, path.join(directory, 'lock'), `${seconds}`], { stdio: 'pipe' });
  t.after(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  while (!isEnding(child.pid!)) await pause(10);
  return { directory, pid: child.pid! };
}

test('what has ended and still holds the lock is waited for', async (t) => {
  const { directory, pid } = await heldFor(t, 1);
  assert.deepEqual(takeLock(directory), { failure: 'ending', holder: `${pid}` });
  const lock = await takeLockOfEnded(directory);
  assert.ok('fd' in lock);
  assert.equal(fs.readFileSync(path.join(directory, 'lock'), 'latin1'), `${process.pid}\n`);
  fs.closeSync(lock.fd);
});

test('it is not waited for for ever', async (t) => {
  const { directory, pid } = await heldFor(t, 60);
  assert.deepEqual(await takeLockOfEnded(directory), { failure: 'ending', holder: `${pid}` });
});

test('a process that has been killed ends, whatever its threads do; one that lives does not', async (t) => {
  const child = spawn('sleep', ['60']);
  t.after(() => child.kill('SIGKILL'));
  assert.ok(!isEnding(child.pid!));
  assert.ok(!isEnding(process.pid));
  child.kill('SIGKILL');
  assert.ok(isEnding(child.pid!));
});
