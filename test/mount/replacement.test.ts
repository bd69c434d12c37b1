/**
 * Files change under their readers, at the source and through the mount (programs/replacement.py says what is checked).
 * MLO_REPLACE_SECONDS makes it longer.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { runProgram } from './programs.ts';

const seconds = Number(process.env.MLO_REPLACE_SECONDS ?? 5);

interface Report {
  done: Record<string, number>;
  wrong: string[];
  wrongs: number;
}

async function replaced(source: string, mountpoint: string, words: (string | number)[]): Promise<Report> {
  const limit = seconds + 45;
  const result = await runProgram('replacement.py', [source, mountpoint, '--seconds', seconds, ...words], {
    seconds: limit,
  });
  assert.ok(result.stdout.startsWith('{'), `status ${result.status}: ${result.stdout}${result.stderr}`);
  return JSON.parse(result.stdout) as Report;
}

function assertRight(report: Report): void {
  assert.deepEqual(report.wrong, [], `${report.wrongs} things wrong`);
  for (const what of ['replace at the source', 'replace through the mount', 'looks at a mapping']) {
    assert.ok((report.done[what] ?? 0) > 0, `nothing of: ${what}`);
  }
  assert.ok((report.done['reads of a settled file'] ?? 0) > 10, 'enough reads were of files that had settled');
}

test('on a plain directory nothing is mixed and everything is new at once', async () => {
  const directory = temporaryDirectory('plain');
  assertRight(await replaced(directory, directory, ['--lease', 0]));
});

const ways: { name: string; options: string[]; lease: number }[] = [
  { name: 'cached, with passthrough', options: ['--cache', 'CACHE', '--attr-ttl', '1'], lease: 1 },
  { name: 'cached, checked at every open', options: ['--cache', 'CACHE', '--attr-ttl', '0'], lease: 0 },
  {
    name: 'cached, without passthrough',
    options: ['--cache', 'CACHE', '--attr-ttl', '1', '-o', 'disable=passthrough'],
    lease: 1,
  },
  { name: 'uncached', options: ['--cache', 'none', '--attr-ttl', '1'], lease: 1 },
  {
    name: 'uncached, every open a sample where it can be one',
    options: ['--cache', 'none', '--attr-ttl', '1', '-o', 'sample-opens=1'],
    lease: 1,
  },
  {
    name: 'from a source that may be slow',
    options: ['--cache', 'CACHE', '--attr-ttl', '1', '-o', 'store-speed=pooled'],
    lease: 1,
  },
];

for (const way of ways) {
  // S1.1, S2.2, S2.4, S2.5, S2.6, S2.10, S2.11, S3.7, S4.4
  test(`replacement under load mixes nothing and shows the new file within the lease, ${way.name}`, {
    skip: noMounts,
  }, async (t) => {
    const cache = temporaryDirectory('cache');
    const options = way.options.map((word) => (word === 'CACHE' ? cache : word));
    const source = temporaryDirectory('source');
    const mount = await mountOverlay({ source, options });
    const watched = options.includes(cache) ? ['--cache', cache] : [];
    const report = await withWatchdog(mount, seconds + 50, () =>
      replaced(source, mount.mountpoint, ['--lease', way.lease, ...watched]),
    );
    t.diagnostic(JSON.stringify(report.done));
    assertRight(report);
    if (watched.length > 0)
      assert.ok((report.done['cache objects watched'] ?? 0) > 0, 'the cache was used and watched');
    await mount.unmount();
  });
}
