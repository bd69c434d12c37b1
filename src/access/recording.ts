/**
 * One recording of what is accessed into a trace (trace-format.ts).
 *
 *   event -> the block in hand -> full, or a second old -> waiting to be written (trace-output.ts)
 *
 * There are as many blocks as were made at the start. When the disk cannot follow and none is free, events are dropped
 * and counted, and the trace says so where they are missing: a reader of the mount never waits for its recording.
 */
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { O_ACCMODE } from '../sys/open-flags.ts';
import type { Reader, Readers } from './data-set-readers.ts';
import { observed } from './observed.ts';
import { type AccessedFile, type AccessedHandle, From, type Way } from './observer.ts';
import { BlockEncoder } from './trace-encoder.ts';
import {
  BLOCK_MARKER,
  END_MARKER,
  type EndReason,
  Kind,
  MAGIC,
  More,
  PATH_MOST,
  SCHEMA,
  type TraceHeader,
} from './trace-format.ts';
import { TraceOutput, type Write } from './trace-output.ts';

export interface RecordRequest {
  /** Absolute. */
  file: string;
  /** Overwrites a file that is no trace. */
  force?: boolean;
  /** Ends by itself after that long, or before the file would become longer. */
  seconds?: number;
  maxBytes?: number;
  /** The device of the mount itself, as "major:minor": a trace of it must not lie there. */
  device?: string;
}

export interface RecordingSnapshot {
  file: string;
  recording: boolean;
  /** Why it ended; null: it goes on. */
  reason: EndReason | null;
  message: string | null;
  seconds: number;
  events: number;
  bytes: number;
  lost: number;
}

export interface RecordingParts {
  /** Another write(2) in tests. */
  write?: Write;
  readers: Readers;
  /** Told in the header of each trace. */
  about: { mountpoint: string; source: string; version: string };
}

export const MAX_BYTES: number = 1 << 30;
export const MAX_BYTES_LEAST: number = 64 * 1024;
const BLOCKS = 6;
const BLOCK_MOST = 128 * 1024;
/** Room for the last block. */
const END_BYTES = 1024;
const FLUSH_MS = 1000;
const WAIT_MOST_MS = 2_000_000;

const wayNumber: Readonly<Record<Way, number>> = {
  source: 0,
  'source-passthrough': 1,
  tier: 2,
  'tier-passthrough': 3,
};

export class Recording {
  readonly #number: number;
  readonly #file: string;
  readonly #output: TraceOutput;
  readonly #maxBytes: number;
  readonly #readers: Readers;
  readonly #onEnd: () => void;
  readonly #startMs = performance.now();

  readonly #free: BlockEncoder[] = [];
  #block: BlockEncoder | undefined;
  /** When it begins (monotonic ms). */
  #blockMs = 0;
  readonly #timers: NodeJS.Timeout[] = [];
  #blocks = 0;
  #threads = 0;
  #events = 0;
  #lost = 0;
  /** Of those, the ones that the trace does not tell of yet. */
  #lostUntold = 0;
  /** Of what was given to the file. */
  #bytes: number;
  #ended: { reason: EndReason; message: string | null; atMs: number } | undefined;

  /** Handles from this number on were told of when they were opened; of those before, these were told of since. */
  #toldFrom = Number.POSITIVE_INFINITY;
  #newestHandle = 0;
  readonly #toldSince = new Set<number>();

  constructor(number: number, request: RecordRequest, handle: FileHandle, parts: RecordingParts, onEnd: () => void) {
    this.#number = number;
    this.#file = request.file;
    this.#output = new TraceOutput(handle, (error) => this.#failed(error), parts.write);
    this.#readers = parts.readers;
    this.#onEnd = onEnd;
    this.#maxBytes = Math.max(request.maxBytes ?? MAX_BYTES, MAX_BYTES_LEAST);
    const blockBytes = Math.min(BLOCK_MOST, Math.floor(this.#maxBytes / 4));
    for (let i = 0; i < BLOCKS; i++) this.#free.push(new BlockEncoder(blockBytes));
    const head = headerBytes(parts.about);
    this.#bytes = head.length;
    this.#output.add(head, () => {});
    this.#begin(this.#free.pop()!, this.#startMs);
    this.#timers.push(setInterval(() => this.#flush(), FLUSH_MS).unref());
    const { seconds } = request;
    if (seconds !== undefined) this.#timers.push(setTimeout(() => void this.end('seconds'), seconds * 1000).unref());
  }

  opened(handle: AccessedHandle, thread: number, keptPages: boolean, begunMs: number, nowMs: number): void {
    if (this.#toldFrom === Number.POSITIVE_INFINITY) this.#toldFrom = handle.id;
    this.#open(handle, thread, keptPages, nowMs, nowMs - begunMs, 0);
  }

  read(
    handle: AccessedHandle,
    thread: number,
    offset: number,
    count: number,
    from: From,
    begunMs: number,
    nowMs: number,
  ): void {
    this.#transfer(Kind.READ, handle, thread, offset, count, from === From.TIER, begunMs, nowMs);
  }

  wrote(handle: AccessedHandle, thread: number, offset: number, count: number, begunMs: number, nowMs: number): void {
    this.#transfer(Kind.WRITE, handle, thread, offset, count, false, begunMs, nowMs);
  }

  released(handle: AccessedHandle, nowMs: number): void {
    const { id } = handle;
    const block = this.#room(0, nowMs);
    if (block === undefined) return;
    if (id < this.#toldFrom && !this.#toldSince.delete(id)) return; // its file was never told of
    this.#events++;
    block.release(this.#us(nowMs), id);
  }

  snapshot(): RecordingSnapshot {
    const ended = this.#ended;
    return {
      file: this.#file,
      recording: ended === undefined,
      reason: ended?.reason ?? null,
      message: ended?.message ?? null,
      seconds: ((ended?.atMs ?? performance.now()) - this.#startMs) / 1000,
      events: this.#events,
      bytes: this.#bytes + (this.#block === undefined || this.#block.empty ? 0 : this.#block.length),
      lost: this.#lost,
    };
  }

  /** Takes nothing more; settles when all is written. */
  end(reason: EndReason, message: string | null = null): Promise<void> {
    if (this.#ended === undefined) {
      this.#ended = { reason, message, atMs: performance.now() };
      for (const timer of this.#timers) clearTimeout(timer);
      this.#onEnd();
      this.#flush();
      if (reason !== 'error') this.#writeEnd();
      this.#output.end();
    }
    return this.#output.closed;
  }

  #open(
    handle: AccessedHandle,
    thread: number,
    keptPages: boolean,
    nowMs: number,
    waitMs: number,
    before: number,
  ): BlockEncoder | undefined {
    const { inode, id } = handle;
    const file = observed(inode);
    const path = file.recording === this.#number ? undefined : pathOf(inode);
    const block = this.#room(path === undefined ? 0 : path.length, nowMs);
    if (id > this.#newestHandle) this.#newestHandle = id; // after that: news of a loss make good for those before
    if (block === undefined) return undefined;
    const reader = this.#reader(block, thread, nowMs);
    if (path !== undefined) {
      block.file(inode.nodeId, contentOf(inode), path);
      file.recording = this.#number;
    }
    const writes = (handle.flags & O_ACCMODE) === 0 ? 0 : More.WRITES;
    this.#events++;
    block.open(
      this.#us(nowMs),
      microseconds(waitMs),
      reader.index,
      id,
      inode.nodeId,
      inode.attributes.size,
      wayNumber[handle.way],
      keptPages,
      writes | before,
    );
    return block;
  }

  #transfer(
    kind: number,
    handle: AccessedHandle,
    thread: number,
    offset: number,
    count: number,
    fromTier: boolean,
    begunMs: number,
    nowMs: number,
  ): void {
    const { id } = handle;
    let block = this.#room(0, nowMs); // first: a new block may tell of a loss, and then handles are told of anew
    if (block === undefined) return;
    if (id < this.#toldFrom && !this.#toldSince.has(id)) {
      if (this.#open(handle, thread, false, nowMs, 0, More.BEFORE) === undefined) return;
      this.#toldSince.add(id);
      block = this.#room(0, nowMs);
      if (block === undefined) return;
    }
    const reader = this.#reader(block, thread, nowMs);
    this.#events++;
    const waitUs = microseconds(nowMs - begunMs);
    block.transfer(kind, this.#us(nowMs), waitUs, reader.index, id, offset, count, fromTier);
  }

  /** From the beginning of the block in hand: a small integer, which costs no allocation. */
  #us(nowMs: number): number {
    return ((nowMs - this.#blockMs) * 1000) | 0;
  }

  #begin(block: BlockEncoder, nowMs: number): void {
    const beganUs = Math.max(0, Math.floor((nowMs - this.#startMs) * 1000));
    this.#blockMs = this.#startMs + beganUs / 1000;
    block.begin(beganUs);
    this.#block = block;
    if (this.#lostUntold > 0) this.#tellLost(block);
  }

  #reader(block: BlockEncoder, thread: number, nowMs: number): Reader {
    const reader = this.#readers.of(thread, nowMs);
    if (reader.recording !== this.#number) {
      const { pid, command } = this.#readers.identity(reader);
      reader.recording = this.#number;
      reader.index = this.#threads++;
      block.thread(reader.index, thread, pid ?? 0, command.slice(0, COMMAND_MOST));
    }
    return reader;
  }

  /** A block that has room for one more event and the names it needs; undefined: the event is lost. */
  #room(nameBytes: number, nowMs: number): BlockEncoder | undefined {
    const block = this.#block;
    return block?.fits(nameBytes + NAMES_BESIDE) ? block : this.#roomInNext(nowMs);
  }

  #roomInNext(nowMs: number): BlockEncoder | undefined {
    this.#seal();
    if (this.#ended !== undefined) return undefined;
    const block = this.#free.pop();
    if (block === undefined) {
      this.#lost++;
      this.#lostUntold++;
      return undefined;
    }
    this.#begin(block, nowMs);
    return block;
  }

  #tellLost(block: BlockEncoder): void {
    block.lost(this.#lostUntold);
    this.#lostUntold = 0;
    this.#toldFrom = this.#newestHandle + 1; // opens may be among them
    this.#toldSince.clear();
  }

  /** What there is goes to the disk, so that a recording that ends hard has it. An empty block is begun anew. */
  #flush(): void {
    const block = this.#block;
    if (block?.empty === true) this.#free.push(block);
    else this.#seal();
    this.#block = undefined;
    if (this.#ended !== undefined) return;
    const next = this.#free.pop();
    if (next !== undefined) this.#begin(next, performance.now());
  }

  #seal(): void {
    const block = this.#block;
    if (block === undefined || block.empty) return;
    this.#block = undefined;
    this.#bytes += block.length;
    this.#output.add(block.seal(BLOCK_MARKER, this.#blocks++), () => this.#free.push(block));
    const next = block.bytes.length + END_BYTES;
    if (this.#ended === undefined && this.#bytes + next > this.#maxBytes) void this.end('size');
  }

  #writeEnd(): void {
    const { reason, message, atMs } = this.#ended!;
    const block = new BlockEncoder(END_BYTES);
    const seconds = (atMs - this.#startMs) / 1000;
    block.begin(Math.floor(seconds * 1e6));
    block.text(
      JSON.stringify({ reason, ...(message && { message }), events: this.#events, lost: this.#lost, seconds }),
    );
    const sealed = block.seal(END_MARKER, this.#blocks);
    this.#bytes += sealed.length;
    this.#output.add(sealed, () => {});
  }

  #failed(error: Error): void {
    if (this.#ended === undefined) {
      this.#block = undefined;
      void this.end('error', error.message);
    } else {
      this.#ended = { ...this.#ended, reason: 'error', message: error.message };
    }
  }
}

const COMMAND_MOST = 64;
/** A thread's name may come with any event, and news of losses. */
const NAMES_BESIDE: number = COMMAND_MOST + 96;

/** Of a duration: at most half an hour, so that it is a small integer. */
function microseconds(ms: number): number {
  return ms < WAIT_MOST_MS ? (ms * 1000 + 0.5) | 0 : WAIT_MOST_MS * 1000;
}

function pathOf(file: AccessedFile): string {
  const path = file.path();
  return path.length > PATH_MOST ? path.slice(0, PATH_MOST) : path;
}

function contentOf(file: AccessedFile): number {
  const { version } = file;
  let hash = 0x811c9dc5 | 0; // FNV-1a: a text this short is not worth the way to zlib
  if (version !== undefined)
    for (let i = 0; i < version.length; i++) hash = Math.imul(hash ^ version.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function headerBytes(about: RecordingParts['about']): Buffer {
  const header: TraceHeader = { schema: SCHEMA, startedAt: new Date().toISOString(), ...about };
  const text = Buffer.from(JSON.stringify(header));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(text.length, 0);
  lengths.writeUInt32LE(crc32(text), 4);
  return Buffer.concat([Buffer.from(MAGIC), lengths, text]);
}
