/** Fills the cache in a directory until it is killed; a child process of crash.test.ts. */
import { openCache } from '../../src/cache/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { CHUNK, pause, readRange, TrueSource } from './support.ts';

const cache = await openCache({
  directory: process.argv[2]!,
  sizeBytes: 64 << 20,
  chunkBytes: CHUNK,
  storeId: 'test:/',
  log: silentLog,
});
console.log('filling');
for (let i = 0; ; i = (i + 7) % 200) {
  const key = { file: String(i), version: 'v', size: 20_000 + i * 300 };
  const content = cache.acquire(key);
  if (content === undefined) break;
  await readRange(content, new TrueSource(key), 0, key.size);
  content.release();
  await pause(0); // timers run, as they do in a daemon
}
