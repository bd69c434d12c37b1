/** Works in a cache directory until it is killed; a child process of crash.test.ts. Words: the directory, a seed. */
import * as fs from 'node:fs';
import { openCache } from '../../src/cache/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { CHUNK, pause, readRange, TrueSource } from './support.ts';

const [, , directory, seed] = process.argv;
const cache = await openCache({
  directory: directory!,
  sizeBytes: 64 << 20,
  chunkBytes: CHUNK,
  storeId: 'test:/',
  log: silentLog,
});
console.log('filling');
for (let step = Number(seed) * 31; ; step++) {
  const i = (step * 7) % 200;
  // Now and then the source has another version for a while, and files are dropped, read in part, handed to the kernel.
  const key = { file: String(i), version: step % 23 === 0 ? 'w' : 'v', size: 20_000 + i * 300 };
  if (step % 29 === 0) cache.drop(key.file);
  const content = cache.acquire(key);
  if (content === undefined) break;
  await readRange(content, new TrueSource(key), step % 3 === 0 ? 5000 : 0, step % 3 === 0 ? 100 : key.size);
  const exposed = step % 5 === 0 ? content.expose() : -1;
  if (exposed >= 0) fs.closeSync(exposed);
  content.release();
  await pause(0); // timers run, as they do in a daemon
}
