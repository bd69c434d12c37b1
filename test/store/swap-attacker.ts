/**
 * Exchanges pairs of names as fast as it can: `swap-attacker.ts A B [A B ...]`. The directories they are in are opened
 * first, so that the other attackers' exchanges do not lead this one astray: it says "ready" then, begins when its
 * standard input ends, and says "going". Ends when its parent does, or after ten minutes.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import * as sys from '../../src/sys/libc.ts';

const AT_FDCWD = -100;
const O_PATH = 0o10000000;
const EXCHANGE = 2;
const places = process.argv.slice(2).map((path) => ({
  dir: sys.openat.now(AT_FDCWD, sys.cstring(dirname(path)), O_PATH, 0),
  name: sys.cstring(basename(path)),
}));
const parent = process.ppid;
const end = Date.now() + 600_000;

process.stdout.write('ready\n');
readFileSync(0);
process.stdout.write('going\n');
while (process.ppid === parent && Date.now() < end) {
  for (let round = 0; round < 200; round++) {
    for (let i = 0; i + 1 < places.length; i += 2) {
      const [a, b] = [places[i]!, places[i + 1]!];
      sys.renameat2.now(a.dir, a.name, b.dir, b.name, EXCHANGE);
    }
  }
}
