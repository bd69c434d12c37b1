/** Attributes and statistics in the addon's form: arrays of 32-bit words, 64-bit numbers as two of them (low, high). */
import type { Attributes } from '../store/attributes.ts';
import type { StoreStatistics } from '../store/store.ts';

const WORD = 2 ** 32;
const STAT_WORDS = 18;
const STATISTICS_WORDS = 11;

/** Answers the addon copies out even after a failure. */
export const NO_STAT: Uint32Array = new Uint32Array(STAT_WORDS);
export const NO_STATISTICS: Uint32Array = new Uint32Array(STATISTICS_WORDS);

/** 64-bit inode numbers do not fit: their halves are mixed. Two files may then show the same number. */
export function shortIno(ino: bigint): number {
  return Number((ino ^ (ino >> 32n)) & 0xffff_ffffn);
}

/** The addon reads times as unsigned milliseconds: what was before 1970 shows as 1970. */
function milliseconds(sec: number, nsec: number): number {
  return Math.max(0, sec * 1000 + Math.floor(nsec / 1e6));
}

function put(words: Uint32Array, index: number, value: number): void {
  words[index] = value % WORD;
  words[index + 1] = Math.floor(value / WORD);
}

export function statWords(attributes: Attributes): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  words[0] = attributes.mode;
  words[1] = attributes.uid;
  words[2] = attributes.gid;
  put(words, 3, attributes.size);
  words[6] = attributes.nlink;
  words[7] = shortIno(attributes.ino);
  words[8] = attributes.rdev;
  words[9] = attributes.blksize;
  put(words, 10, attributes.blocks);
  put(words, 12, milliseconds(attributes.atimeSec, attributes.atimeNsec));
  put(words, 14, milliseconds(attributes.mtimeSec, attributes.mtimeNsec));
  put(words, 16, milliseconds(attributes.ctimeSec, attributes.ctimeNsec));
  return words;
}

/** A directory entry: `type` as DT_*. */
export function entryWords(ino: bigint, type: number): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  words[0] = type << 12;
  words[7] = shortIno(ino);
  return words;
}

/** Counts above 32 bits (16 TiB in blocks of 4 KiB) are told in larger blocks. */
export function statisticsWords(statistics: StoreStatistics): Uint32Array {
  const { blockSize, fragmentSize, blocks, blocksFree, blocksAvailable, files, filesFree, nameLengthMax } = statistics;
  let scale = 1;
  while (Math.max(blocks, blocksFree, blocksAvailable) / scale >= WORD) scale *= 2;
  const scaled = (count: number): number => Math.floor(count / scale);
  const capped = (count: number): number => Math.min(count, WORD - 1);
  return Uint32Array.of(
    Math.max(blockSize, fragmentSize * scale),
    fragmentSize * scale,
    scaled(blocks),
    scaled(blocksFree),
    scaled(blocksAvailable),
    capped(files),
    capped(filesFree),
    capped(filesFree),
    0,
    0,
    nameLengthMax,
  );
}
