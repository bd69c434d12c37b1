/** How long a mount has to answer, and what is said when it did not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUSY_LIMIT_MS, LIMIT_MS, tooLate } from '../../src/cli/mount-limit.ts';

/** A mount that was begun `sinceMs` ago. */
function limit(sinceMs: number, waitedMs: () => number, signal = new AbortController().signal): Promise<never> {
  const startedMs = performance.now() - sinceMs;
  return tooLate({ source: '/src', mountpoint: '/mnt', startedMs, waitedMs, signal });
}

test('whoever had processors and is late has a source that does not answer', async () => {
  const late = limit(LIMIT_MS, () => 100);
  await assert.rejects(late, { code: 'MLO_MOUNT_TIMEOUT', remedy: 'look whether the source answers: ls /src' });
});

test('what was waited for a processor does not count', async () => {
  let waitedMs = 30_000;
  const ended = new AbortController();
  const late = limit(LIMIT_MS + 1000, () => waitedMs, ended.signal);
  const first = await Promise.race([
    late.catch(() => 'late'),
    new Promise((resolve) => setTimeout(resolve, 100, 'goes on')),
  ]);
  assert.equal(first, 'goes on');
  waitedMs = 0;
  ended.abort();
  await assert.rejects(late, { name: 'AbortError' });
});

test('a machine that is too busy is named as that', async () => {
  await assert.rejects(
    limit(BUSY_LIMIT_MS, () => 4 * BUSY_LIMIT_MS),
    (error: Error & { remedy: string }) => {
      assert.match(error.message, /^\/mnt did not answer within 40 s$/);
      assert.match(error.remedy, /^the machine is busy \(160 s were waited for a processor\): mount again/);
      return true;
    },
  );
});
