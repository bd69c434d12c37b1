/**
 * Opens, reads and closes files of a mount, again and again, and prints how many it did in each tenth of a second.
 *
 *     reader.ts DIRECTORY
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

const directory = process.argv[2] ?? '';
const files = readdirSync(directory).map((name) => join(directory, name));
const buffer = Buffer.alloc(65_536);
const WINDOW_MS = 100;

for (let done = 0, windowEndsMs = performance.now() + WINDOW_MS; ; done++) {
  const fd = openSync(files[done % files.length]!, 'r');
  readSync(fd, buffer, 0, buffer.length, 0);
  closeSync(fd);
  if (performance.now() < windowEndsMs) continue;
  console.log(done);
  done = 0;
  windowEndsMs = performance.now() + WINDOW_MS;
}
