/** Encodes events into one block. Nothing is allocated for an event; names are encoded the first time they are needed. */
import { crc32 } from 'node:zlib';
import { Flag, Head, Kind, PAGE } from './trace-format.ts';

/** The most that the numbers of one record take. */
const RECORD_MOST = 96;
const LOW = 0x1_0000_0000;

export class BlockEncoder {
  readonly bytes: Buffer;
  /** Events in it, without those that only tell names. */
  events = 0;
  #at: number = Head.BYTES;
  #beganUs = 0;
  #lastUs = 0;
  #lastThread = -1;
  #lastHandle = 0;
  #lastNode = 0;
  #lastPath = '';
  #movedHandle = -1;
  #movedEnd = -1;

  constructor(bytes: number) {
    this.bytes = Buffer.alloc(bytes);
  }

  get empty(): boolean {
    return this.#at === Head.BYTES;
  }

  get length(): number {
    return this.#at;
  }

  /** Whether a record with names of this many bytes fits. */
  fits(nameBytes: number): boolean {
    return this.#at + RECORD_MOST + nameBytes <= this.bytes.length;
  }

  /** Empties it. Times of its events are told in microseconds from `beganUs`, which is from the start of the recording. */
  begin(beganUs: number): void {
    this.#at = Head.BYTES;
    this.events = 0;
    this.#beganUs = beganUs;
    this.#lastUs = 0;
    this.#lastThread = -1;
    this.#lastHandle = 0;
    this.#lastNode = 0;
    this.#lastPath = '';
    this.#movedHandle = -1;
    this.#movedEnd = -1;
  }

  /** Completes the head. */
  seal(marker: number, number: number): Buffer {
    const { bytes } = this;
    const end = this.#at;
    bytes.writeUInt32LE(marker, Head.MARKER);
    bytes.writeUInt32LE(number, Head.NUMBER);
    bytes.writeUInt32LE(end - Head.BYTES, Head.PAYLOAD_BYTES);
    bytes.writeUInt32LE(this.events, Head.EVENTS);
    bytes.writeUInt32LE(this.#beganUs % LOW, Head.TIME_LOW);
    bytes.writeUInt32LE(Math.floor(this.#beganUs / LOW), Head.TIME_HIGH);
    bytes.writeUInt32LE(crc32(bytes.subarray(Head.BYTES, end)), Head.PAYLOAD_SUM);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, Head.HEAD_SUM)), Head.HEAD_SUM);
    return bytes.subarray(0, end);
  }

  /** The payload of an end block. */
  text(text: string): void {
    this.#at += this.bytes.write(text, this.#at, 'utf8');
  }

  file(node: number, content: number, path: string): void {
    const { bytes } = this;
    const last = this.#lastPath;
    const most = Math.min(last.length, path.length);
    let shared = 0;
    while (shared < most && last.charCodeAt(shared) === path.charCodeAt(shared)) shared++;
    let at = this.#at;
    bytes[at++] = Kind.FILE;
    at = number(bytes, at, node);
    bytes[at++] = content;
    bytes[at++] = content >>> 8;
    bytes[at++] = content >>> 16;
    bytes[at++] = content >>> 24;
    at = number(bytes, at, shared);
    this.#at = name(bytes, at, path, shared);
    this.#lastPath = path;
  }

  thread(index: number, thread: number, pid: number, command: string): void {
    const { bytes } = this;
    bytes[this.#at] = Kind.THREAD;
    let at = number(bytes, this.#at + 1, index);
    at = number(bytes, at, thread);
    at = number(bytes, at, pid);
    this.#at = name(bytes, at, command, 0);
  }

  open(
    nowUs: number,
    waitUs: number,
    thread: number,
    handle: number,
    node: number,
    size: number,
    way: number,
    keptPages: boolean,
    more: number,
  ): void {
    const { bytes } = this;
    const first =
      Kind.OPEN | (way << Flag.WAY_SHIFT) | (keptPages ? Flag.KEPT_PAGES : 0) | (more !== 0 ? Flag.MORE : 0);
    let at = this.#begin(first, nowUs, thread);
    if (more !== 0) bytes[at++] = more;
    at = signed(bytes, at, handle - this.#lastHandle);
    at = signed(bytes, at, node - this.#lastNode);
    at = number(bytes, at, size);
    this.#at = number(bytes, at, waitUs);
    this.#lastHandle = handle;
    this.#lastNode = node;
  }

  /** A read or write; `count` may be a negated errno. */
  transfer(
    kind: number,
    nowUs: number,
    waitUs: number,
    thread: number,
    handle: number,
    offset: number,
    count: number,
    fromTier: boolean,
  ): void {
    const { bytes } = this;
    const follows = handle === this.#movedHandle && offset === this.#movedEnd;
    const pages = !follows && offset >= PAGE && offset % PAGE === 0;
    let first = kind;
    if (follows) first |= Flag.FOLLOWS;
    if (fromTier) first |= Flag.FROM_TIER;
    if (pages) first |= Flag.PAGES;
    if (count < 0) first |= Flag.FAILED;
    let at = this.#begin(first, nowUs, thread);
    if (!follows) {
      at = signed(bytes, at, this.#lastHandle - handle);
      at = number(bytes, at, pages ? offset / PAGE : offset);
    }
    at = number(bytes, at, Math.abs(count));
    this.#at = number(bytes, at, waitUs);
    this.#movedHandle = handle;
    this.#movedEnd = offset + Math.max(count, 0);
  }

  release(nowUs: number, handle: number): void {
    this.events++;
    const at = this.#kindAndTime(Kind.RELEASE, nowUs);
    this.#at = signed(this.bytes, at, this.#lastHandle - handle);
  }

  lost(count: number): void {
    this.#at = number(this.bytes, this.#kindAndTime(Kind.LOST, this.#lastUs), count);
  }

  #begin(first: number, nowUs: number, thread: number): number {
    this.events++;
    if (thread === this.#lastThread) return this.#kindAndTime(first | Flag.SAME_THREAD, nowUs);
    this.#lastThread = thread;
    return number(this.bytes, this.#kindAndTime(first, nowUs), thread);
  }

  #kindAndTime(first: number, nowUs: number): number {
    const { bytes } = this;
    const at = this.#at;
    bytes[at] = first;
    const since = nowUs - this.#lastUs;
    if (since <= 0) {
      bytes[at + 1] = 0;
      return at + 2;
    }
    this.#lastUs = nowUs;
    return number(bytes, at + 1, since);
  }
}

/** The rest of a byte string. Not by Buffer.write: names are short, and the call costs more than they do. */
function name(bytes: Buffer, start: number, text: string, from: number): number {
  let at = number(bytes, start, text.length - from);
  for (let i = from; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
  return at;
}

/** LEB128: seven bits a byte, the lowest first. Returns where the next one goes. */
function number(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let left = value;
  while (left >= 0x8000_0000) {
    bytes[at++] = (left % 128) | 0x80;
    left = Math.floor(left / 128);
  }
  while (left >= 0x80) {
    bytes[at++] = (left & 0x7f) | 0x80;
    left >>>= 7;
  }
  bytes[at] = left;
  return at + 1;
}

/** The sign in the lowest bit. */
function signed(bytes: Buffer, at: number, value: number): number {
  return number(bytes, at, value < 0 ? -2 * value - 1 : 2 * value);
}
