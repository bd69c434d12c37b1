/** The Python package: by itself, and through real mounts, one of which nobody may write to. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { python } from '../mount/programs.ts';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { type Finished, run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

const directory = resolve(import.meta.dirname, '../../python');
const SECONDS = 180;
const FILES = 64;

function unittest(module: string, mount = ''): Promise<Finished> {
  const env = { PATH: process.env.PATH ?? '', ML_OVERLAY_TEST_MOUNT: mount };
  return run(python, ['-B', '-m', 'unittest', '-v', module], { cwd: directory, env, seconds: SECONDS });
}

function passed({ status, stderr }: Finished): void {
  assert.equal(status, 0, stderr);
  assert.match(stderr, /^Ran \d+ tests/m);
}

test('orders stay what they are', async () => {
  passed(await unittest('tests.test_order'));
});

function data(): string {
  const source = temporaryDirectory('source');
  mkdirSync(join(source, 'train'));
  for (let i = 0; i < FILES; i++) writeFileSync(join(source, `train/${i}.bin`), Buffer.alloc(FILES, i));
  writeFileSync(join(source, 'large.bin'), Buffer.alloc(8 * 1024 * 1024, 1));
  return source;
}

for (const options of ['rw', 'ro', 'ro,immutable']) {
  test(`jobs announce through a mount that is ${options}`, { skip: noMounts }, async (t) => {
    const cache = temporaryDirectory('cache');
    const mount = await mountOverlay({
      source: data(),
      options: ['--cache', `${cache}:1G`, '-o', `store-speed=pooled,${options}`],
    });
    await withWatchdog(mount, SECONDS + 20, async () => {
      const done = await unittest('tests.test_mount', mount.mountpoint);
      passed(done);
      for (const [line] of done.stderr.matchAll(/^.*skipped.*$/gm)) t.diagnostic(line);
    }).finally(() => mount.unmount());
  });
}
