/** What the kernel says of the wait for a processor. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { test } from 'node:test';
import { ProcessorWait } from '../../src/sys/processor-wait.ts';

test('the wait for a processor grows where others have them all', { timeout: 30_000 }, () => {
  const wait = new ProcessorWait();
  const beforeMs = wait.totalMs();
  const others = Array.from({ length: 2 * cpus().length }, () =>
    spawn(process.execPath, ['-e', 'const end = Date.now() + 30_000; while (Date.now() < end);'], { stdio: 'ignore' }),
  );
  try {
    const untilMs = performance.now() + 25_000;
    while (wait.totalMs() < beforeMs + 50 && performance.now() < untilMs);
    assert.ok(wait.totalMs() >= beforeMs + 50);
  } finally {
    for (const other of others) other.kill('SIGKILL');
  }
});
