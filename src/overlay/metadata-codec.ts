/**
 * Entries of a directory as bytes, for the shelf: records of one length, then the text of all of them (names and births, a
 * byte a character). What is known of an entry is read from its record when it is wanted: a walk over a hundred thousand
 * names then leaves no objects behind. Little endian, 64-bit numbers as two halves, which come out as small integers.
 */
import { joined } from '../packed/whole.ts';
import type { Attributes } from '../store/attributes.ts';
import type { DirectoryEntry, Found } from '../store/store.ts';

/** An entry, and what is known of it beyond its name. */
export interface EncodedEntry {
  entry: DirectoryEntry;
  found: Found | undefined;
}

const HEAD = 4;
const RECORD = 124;
const HIGH = 2 ** 32;
/** Offsets in a record. The rest of `found` is zeros where it is not known. */
const ENTRY_INO = 0;
const INO = 8;
const ID = 16;
const SIZE = 24;
const BLOCKS = 32;
const ATIME = 40;
const MTIME = 48;
const CTIME = 56;
const BTIME = 64;
const NSEC = 72;
const MODE = 88;
const NLINK = 92;
const UID = 96;
const GID = 100;
const RDEV = 104;
const BLKSIZE = 108;
const NAME_LENGTH = 112;
const BIRTH_LENGTH = 114;
const TYPE = 116;
const KNOWN = 117;
const TEXT = 120;

/** What can be written of a file: ids that are numbers stay the same from mount to mount. */
export function encodable(found: Found | undefined): Found | undefined {
  return typeof found?.id === 'number' && found.birth.length < 2 ** 16 ? found : undefined;
}

export function encodeEntries(entries: readonly EncodedEntry[]): Uint8Array {
  const text = entries.map(({ entry, found }) => entry.name + (found?.birth ?? '')).join('');
  const textAt = HEAD + entries.length * RECORD;
  const bytes = Buffer.alloc(textAt + text.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(0, entries.length, true);
  let at = HEAD;
  let length = 0;
  for (const { entry, found } of entries) {
    view.setUint32(at + TEXT, length, true);
    length += entry.name.length + (found?.birth.length ?? 0);
    view.setBigUint64(at + ENTRY_INO, entry.ino, true);
    view.setUint16(at + NAME_LENGTH, entry.name.length, true);
    view.setUint8(at + TYPE, entry.type);
    if (found !== undefined) putFound(view, at, found);
    at += RECORD;
  }
  bytes.write(text, textAt, 'latin1');
  return bytes;
}

function putFound(view: DataView, at: number, { id, birth, attributes }: Found): void {
  view.setUint8(at + KNOWN, 1);
  view.setUint16(at + BIRTH_LENGTH, birth.length, true);
  putNumber(view, at + ID, id as number);
  view.setBigUint64(at + INO, attributes.ino, true);
  putNumber(view, at + SIZE, attributes.size);
  putNumber(view, at + BLOCKS, attributes.blocks);
  putNumber(view, at + ATIME, attributes.atimeSec);
  putNumber(view, at + MTIME, attributes.mtimeSec);
  putNumber(view, at + CTIME, attributes.ctimeSec);
  putNumber(view, at + BTIME, attributes.btimeSec);
  view.setUint32(at + NSEC, attributes.atimeNsec, true);
  view.setUint32(at + NSEC + 4, attributes.mtimeNsec, true);
  view.setUint32(at + NSEC + 8, attributes.ctimeNsec, true);
  view.setUint32(at + NSEC + 12, attributes.btimeNsec, true);
  view.setUint32(at + MODE, attributes.mode, true);
  view.setUint32(at + NLINK, attributes.nlink, true);
  view.setUint32(at + UID, attributes.uid, true);
  view.setUint32(at + GID, attributes.gid, true);
  view.setUint32(at + RDEV, attributes.rdev, true);
  view.setUint32(at + BLKSIZE, attributes.blksize, true);
}

/** A whole number of up to 53 bits. */
function putNumber(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / HIGH);
  view.setUint32(at, value - high * HIGH, true);
  view.setInt32(at + 4, high, true);
}

function numberAt(view: DataView, at: number): number {
  return joined(view.getInt32(at + 4, true), view.getUint32(at, true));
}

/** What `encodeEntries` made; that it is that is not checked here. */
export class EncodedEntries {
  readonly #view: DataView;
  readonly #text: string;
  readonly count: number;
  readonly byteLength: number;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.count = this.#view.getUint32(0, true);
    this.byteLength = bytes.byteLength;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(HEAD + this.count * RECORD);
    this.#text = text.toString('latin1');
  }

  entry(index: number): DirectoryEntry {
    const view = this.#view;
    const at = HEAD + index * RECORD;
    const textAt = view.getUint32(at + TEXT, true);
    const name = this.#text.slice(textAt, textAt + view.getUint16(at + NAME_LENGTH, true));
    return { name, type: view.getUint8(at + TYPE), ino: view.getBigUint64(at + ENTRY_INO, true) };
  }

  known(index: number): boolean {
    return this.#view.getUint8(HEAD + index * RECORD + KNOWN) !== 0;
  }

  /** The file's id, of an entry that is known. */
  id(index: number): number {
    return numberAt(this.#view, HEAD + index * RECORD + ID);
  }

  found(index: number): Found | undefined {
    return this.known(index) ? this.recorded(index) : undefined;
  }

  /** What was known of an entry, whether or not it was dropped since. */
  recorded(index: number): Found {
    const view = this.#view;
    const at = HEAD + index * RECORD;
    const birthAt = view.getUint32(at + TEXT, true) + view.getUint16(at + NAME_LENGTH, true);
    const birth = this.#text.slice(birthAt, birthAt + view.getUint16(at + BIRTH_LENGTH, true));
    return { id: numberAt(view, at + ID), birth, attributes: attributesAt(view, at) };
  }

  /** What is known of an entry does not hold any more. */
  drop(index: number): void {
    this.#view.setUint8(HEAD + index * RECORD + KNOWN, 0);
  }
}

function attributesAt(view: DataView, at: number): Attributes {
  return {
    ino: view.getBigUint64(at + INO, true),
    mode: view.getUint32(at + MODE, true),
    nlink: view.getUint32(at + NLINK, true),
    uid: view.getUint32(at + UID, true),
    gid: view.getUint32(at + GID, true),
    rdev: view.getUint32(at + RDEV, true),
    size: numberAt(view, at + SIZE),
    blocks: numberAt(view, at + BLOCKS),
    blksize: view.getUint32(at + BLKSIZE, true),
    atimeSec: numberAt(view, at + ATIME),
    atimeNsec: view.getUint32(at + NSEC, true),
    mtimeSec: numberAt(view, at + MTIME),
    mtimeNsec: view.getUint32(at + NSEC + 4, true),
    ctimeSec: numberAt(view, at + CTIME),
    ctimeNsec: view.getUint32(at + NSEC + 8, true),
    btimeSec: numberAt(view, at + BTIME),
    btimeNsec: view.getUint32(at + NSEC + 12, true),
  };
}
