/** What can be done to a cache's directory while no daemon uses it. */
import * as fs from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** Mulberry32: the same rounds for the same seed. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
export type Random = ReturnType<typeof randomFrom>;

export const pick = <T>(random: Random, of: readonly T[]): T => of[random(of.length)]!;

function flip(file: string, random: Random, bits: number): void {
  const { size } = fs.statSync(file);
  if (size === 0) return;
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  for (let i = 0; i < bits; i++) {
    const at = random(size);
    fs.readSync(fd, byte, 0, 1, at);
    byte[0]! ^= 1 << random(8);
    fs.writeSync(fd, byte, 0, 1, at);
  }
  fs.closeSync(fd);
}

/** Of one object file. */
export const toObject: Record<string, (file: string, random: Random, others: string[]) => void> = {
  'a bit flipped': (file, random) => flip(file, random, 1),
  'bits flipped': (file, random) => flip(file, random, 20),
  truncated: (file, random) => fs.truncateSync(file, random(fs.statSync(file).size)),
  'truncated and extended': (file, random) => {
    const { size } = fs.statSync(file);
    fs.truncateSync(file, random(size));
    fs.truncateSync(file, size);
  },
  lengthened: (file, random) => fs.appendFileSync(file, Buffer.alloc(1 + random(9000), 1)),
  deleted: (file) => fs.rmSync(file),
  'a directory instead': (file) => {
    fs.rmSync(file);
    fs.mkdirSync(file);
  },
  'that of another file': (file, random, others) => fs.copyFileSync(pick(random, others), file),
};

function sql(index: string, words: string): void {
  const db = new DatabaseSync(index);
  try {
    db.exec(words);
  } catch {
    // an earlier damage of this round was enough
  }
  db.close();
}

/** Of the index. */
export const toIndex: Record<string, (index: string, random: Random) => void> = {
  'a bit flipped': (index, random) => flip(index, random, 1),
  'bits flipped': (index, random) => flip(index, random, 200),
  'a page overwritten': (index, random) => {
    const bytes = fs.readFileSync(index);
    const page = random(Math.max(1, bytes.length / 4096));
    fs.writeFileSync(
      index,
      bytes.map((byte, at) => (Math.floor(at / 4096) === page ? random(256) : byte)),
    );
  },
  truncated: (index, random) => fs.truncateSync(index, random(fs.statSync(index).size + 1)),
  deleted: (index) => fs.rmSync(index, { force: true }),
  'without its log': (index) => fs.rmSync(`${index}-wal`, { force: true }),
  'bits of its log flipped': (index, random) => {
    if (fs.existsSync(`${index}-wal`)) flip(`${index}-wal`, random, 20);
  },
  'of a newer version': (index) => sql(index, "UPDATE meta SET value = '99' WHERE key = 'schema'"),
  'of the version before': (index) => sql(index, "UPDATE meta SET value = '1' WHERE key = 'schema'"),
  'of another source': (index) => sql(index, "UPDATE meta SET value = 'other' WHERE key = 'store'"),
  'rows of other files': (index) => sql(index, 'UPDATE objects SET file = CAST(file + 1 AS TEXT) WHERE id % 3 = 0'),
  'rows of other versions': (index) => sql(index, "UPDATE objects SET version = 'w' WHERE id % 2 = 0"),
  'rows that say complete': (index) => sql(index, 'UPDATE objects SET chunks = NULL'),
  'rows without checksums': (index) => sql(index, 'UPDATE objects SET sums = NULL WHERE id % 2 = 0'),
  'rows of nonsense': (index) =>
    sql(index, "UPDATE objects SET size = -1, bytes = 1e15, chunkBytes = 'x' WHERE id % 4 = 0"),
};
