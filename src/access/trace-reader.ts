/**
 * Reads a trace: its events one by one, in the order they were recorded. What is held in memory is one block, the names
 * of files and threads, and which file each open handle leads to.
 *
 * What is damaged is left out and told of (`damage`): the reader goes on with the next block whose checksums are right.
 * An event whose file or thread was named in a damaged block has `undefined` for it.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { MloError } from '../errors.ts';
import { BlockDecoder, Malformed, Names } from './trace-decoder.ts';
import {
  BLOCK_MARKER,
  END_MARKER,
  HEADER_MOST,
  Head,
  MAGIC,
  PAYLOAD_MOST,
  SCHEMA,
  type TraceDamage,
  type TraceEnd,
  type TraceEvent,
  type TraceHeader,
} from './trace-format.ts';

const LOW = 0x1_0000_0000;
const markers = [Buffer.from('MLOB'), Buffer.from('MLOE')];
/** How far one read looks for the next block. */
const SEARCH_BYTES = 256 * 1024;
/** Damage everywhere is told of up to here; the rest is counted. */
const TOLD_MOST = 100;

interface Block {
  end: boolean;
  number: number;
  events: number;
  timeUs: number;
  payload: Buffer;
  /** Of it all. */
  bytes: number;
}

export class TraceReader {
  readonly path: string;
  readonly header: TraceHeader;
  /** Found so far; complete when `events` has been read to its end. */
  readonly damage: TraceDamage[] = [];
  damageUntold = 0;
  /** How the recording ended; undefined: not read to its end, or it has none. */
  end: TraceEnd | undefined;
  readonly #fd: number;
  readonly #blocksAt: number;
  #position = 0;

  constructor(path: string) {
    this.path = path;
    this.#fd = openToRead(path);
    try {
      const { header, bytes } = this.#readHeader();
      this.header = header;
      this.#blocksAt = bytes;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** How much of the file was read, in bytes. */
  get position(): number {
    return this.#position;
  }

  /** From the beginning; one iteration at a time. */
  *events(): Generator<TraceEvent, void, void> {
    this.damage.length = 0;
    this.damageUntold = 0;
    this.end = undefined;
    this.#position = this.#blocksAt;
    const names = new Names();
    let expected = 0;
    while (this.end === undefined) {
      const at = this.#position;
      const block = this.#readBlock(at);
      if (block === 'nothing') break;
      if (typeof block === 'string') {
        if (!this.#skip(at, block)) return;
        continue;
      }
      if (block.number > expected) this.#note(at, `${block.number - expected} blocks before this one are missing`);
      expected = block.number + 1;
      this.#position = at + block.bytes;
      if (block.end) {
        this.#readEnd(at, block.payload);
        continue;
      }
      const decoder = new BlockDecoder(block.payload, block.timeUs, names);
      try {
        for (let event = decoder.next(); event !== undefined; event = decoder.next()) yield event;
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        this.#note(at + Head.BYTES + decoder.position, `the rest of a block makes no sense: ${error.message}`);
      }
    }
    if (this.end === undefined) {
      this.#note(this.#position, 'it has no end: it is still being recorded, or the daemon ended hard');
    } else if (fstatSync(this.#fd).size > this.#position) {
      this.#note(this.#position, 'something follows its end');
    }
  }

  #note(at: number, message: string): void {
    if (this.damage.length < TOLD_MOST) this.damage.push({ at, message });
    else this.damageUntold++;
  }

  #readHeader(): { header: TraceHeader; bytes: number } {
    const no = (why: string): MloError =>
      new MloError('MLO_TRACE', `${this.path} is no trace: ${why}`, 'name another file');
    const start = this.#bytes(0, MAGIC.length + 8);
    if (start.toString('latin1', 0, MAGIC.length) !== MAGIC) throw no(`it does not begin with ${MAGIC}`);
    if (start.length < MAGIC.length + 8) throw no('it ends within its header');
    const length = start.readUInt32LE(MAGIC.length);
    const text = length > HEADER_MOST ? Buffer.alloc(0) : this.#bytes(start.length, length);
    if (text.length !== length || crc32(text) !== start.readUInt32LE(MAGIC.length + 4))
      throw no('its header is damaged');
    const header = parsed<TraceHeader>(text);
    if (header === undefined) throw no('its header is no JSON');
    if (header.schema !== SCHEMA) {
      const what = `${this.path} has schema ${header.schema}, and this version reads ${SCHEMA}`;
      throw new MloError('MLO_TRACE', what, 'read it with the version that recorded it');
    }
    return { header, bytes: start.length + length };
  }

  /** What is at a place: a block, nothing because the file ends there, or what is wrong. */
  #readBlock(at: number): Block | string | 'nothing' {
    const head = this.#bytes(at, Head.BYTES);
    if (head.length === 0) return 'nothing';
    if (head.length < Head.BYTES) return 'it ends within the head of a block';
    const marker = head.readUInt32LE(Head.MARKER);
    if (marker !== BLOCK_MARKER && marker !== END_MARKER) return 'there is no block where one should begin';
    if (crc32(head.subarray(0, Head.HEAD_SUM)) !== head.readUInt32LE(Head.HEAD_SUM))
      return 'the head of a block is damaged';
    const length = head.readUInt32LE(Head.PAYLOAD_BYTES);
    if (length > PAYLOAD_MOST) return 'a block is longer than blocks can be';
    const payload = this.#bytes(at + Head.BYTES, length);
    if (payload.length < length) return `it ends within a block, ${length - payload.length} bytes early`;
    if (crc32(payload) !== head.readUInt32LE(Head.PAYLOAD_SUM)) {
      return `a block of ${head.readUInt32LE(Head.EVENTS)} events is damaged`;
    }
    return {
      end: marker === END_MARKER,
      number: head.readUInt32LE(Head.NUMBER),
      events: head.readUInt32LE(Head.EVENTS),
      timeUs: head.readUInt32LE(Head.TIME_HIGH) * LOW + head.readUInt32LE(Head.TIME_LOW),
      payload,
      bytes: Head.BYTES + length,
    };
  }

  /** Goes to the next block that is whole, and notes what was left out. False: there is none. */
  #skip(at: number, why: string): boolean {
    for (let from = at + 1; ; ) {
      const next = this.#find(from);
      if (next === undefined) {
        this.#position = fstatSync(this.#fd).size;
        this.#note(at, `${why}; nothing after it can be read (${this.#position - at} bytes)`);
        return false;
      }
      if (typeof this.#readBlock(next) === 'object') {
        this.#position = next;
        this.#note(at, `${why}; ${next - at} bytes are left out`);
        return true;
      }
      from = next + 1;
    }
  }

  /** The next place from `from` on with a marker. */
  #find(from: number): number | undefined {
    for (let at = from; ; at += SEARCH_BYTES - 3) {
      const bytes = this.#bytes(at, SEARCH_BYTES);
      const found = markers.map((marker) => bytes.indexOf(marker)).filter((index) => index >= 0);
      if (found.length > 0) return at + Math.min(...found);
      if (bytes.length < SEARCH_BYTES) return undefined;
    }
  }

  #readEnd(at: number, payload: Buffer): void {
    this.end = parsed<TraceEnd>(payload);
    if (this.end !== undefined) return;
    this.#note(at, 'its end is no JSON');
    this.end = { reason: 'error', events: 0, lost: 0, seconds: 0 };
  }

  #bytes(at: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length);
    let have = 0;
    while (have < length) {
      const count = readSync(this.#fd, buffer, have, length - have, at + have);
      if (count === 0) break;
      have += count;
    }
    return buffer.subarray(0, have);
  }
}

function openToRead(path: string): number {
  try {
    const fd = openSync(path, 'r');
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
  } catch (error) {
    throw new MloError('MLO_TRACE', `cannot read ${path}: ${(error as Error).message}`, 'name another file');
  }
  throw new MloError('MLO_TRACE', `${path} is no regular file`, 'name another file');
}

function parsed<T extends object>(bytes: Buffer): T | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
