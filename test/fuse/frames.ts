/** Makes request frames as the kernel would, takes replies apart, and drives a dispatcher without a device. */

import { Opcode, type OpcodeName } from '../../src/fuse/abi.ts';
import type { Transport } from '../../src/fuse/answer.ts';
import { BODY, InHeader, OutHeader, PAYLOAD, struct } from '../../src/fuse/codec.ts';
import { Dispatcher } from '../../src/fuse/dispatch.ts';
import { FramePool } from '../../src/fuse/frame-pool.ts';
import { layouts, type StructName } from '../../src/fuse/layouts.ts';
import type { ReplyBuffer } from '../../src/fuse/replies.ts';
import type { FileSystem } from '../../src/overlay/filesystem.ts';
import type { Log } from '../../src/telemetry/log.ts';

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A structure with the given members set and all others zero. */
export function pack(name: StructName, members: Record<string, number | bigint> = {}): Buffer {
  const s = struct(name);
  const bytes = Buffer.alloc(s.size);
  const set = s.set as unknown as Record<string, (view: DataView, at: number, value: number | bigint) => void>;
  for (const [member, value] of Object.entries(members)) set[member]!(viewOf(bytes), 0, value);
  return bytes;
}

/** All scalar members of a structure, repeated ones left out. */
export function unpack(name: StructName, bytes: Uint8Array, at = 0): Record<string, number | bigint> {
  const s = struct(name);
  const get = s.get as unknown as Record<string, (view: DataView, at: number) => number | bigint>;
  const members: Record<string, number | bigint> = {};
  for (const [member, , count] of layouts[name] as readonly (readonly [string, string, number?])[]) {
    if (get[member] !== undefined && count === undefined) members[member] = get[member](viewOf(bytes), at);
  }
  return members;
}

/** A name with the NUL behind it. */
export function nul(name: string): Buffer {
  return Buffer.from(`${name}\0`, 'latin1');
}

export interface FrameOptions {
  unique?: number;
  node?: number | bigint;
  uid?: number;
  gid?: number;
  pid?: number;
  /** Put behind the body, a multiple of 8 bytes. */
  extensions?: Buffer;
}

export function frame(opcode: OpcodeName | number, body: readonly Buffer[] = [], options: FrameOptions = {}): Buffer {
  const parts = Buffer.concat([Buffer.alloc(BODY), ...body, options.extensions ?? Buffer.alloc(0)]);
  const view = viewOf(parts);
  InHeader.set.len(view, 0, parts.length);
  InHeader.set.opcode(view, 0, typeof opcode === 'number' ? opcode : Opcode[opcode]);
  InHeader.set.unique(view, 0, options.unique ?? 2);
  view.setBigUint64(InHeader.at.nodeid, BigInt(options.node ?? 1), true);
  InHeader.set.uid(view, 0, options.uid ?? 0);
  InHeader.set.gid(view, 0, options.gid ?? 0);
  InHeader.set.pid(view, 0, options.pid ?? 0);
  InHeader.set.total_extlen(view, 0, (options.extensions?.length ?? 0) / 8);
  return parts;
}

export interface SentReply {
  unique: number;
  /** Negated errno, 0 for success. */
  error: number;
  payload: Buffer;
}

/** Throws when a reply does not hold together. */
export function parseReply(bytes: Buffer): SentReply {
  const view = viewOf(bytes);
  if (bytes.length < PAYLOAD || OutHeader.get.len(view, 0) !== bytes.length) {
    throw new Error(
      `a reply of ${bytes.length} bytes says ${bytes.length < PAYLOAD ? '?' : OutHeader.get.len(view, 0)}`,
    );
  }
  const error = OutHeader.get.error(view, 0);
  if (error > 0 || error <= -512) throw new Error(`a reply with error ${error}`);
  if (error !== 0 && bytes.length !== PAYLOAD) throw new Error('an error reply with a payload');
  return { unique: OutHeader.get.unique(view, 0), error, payload: Buffer.from(bytes.subarray(PAYLOAD)) };
}

/** Keeps what is sent; `refuse` makes the next replies undeliverable with that result. */
export class RecordingTransport implements Transport {
  readonly replies: SentReply[] = [];
  refuse: number[] = [];

  send(reply: ReplyBuffer, length: number): number {
    return this.#take(Buffer.from(reply.bytes.subarray(0, length)));
  }

  sendWith(reply: ReplyBuffer, headLength: number, bytes: Uint8Array): number {
    return this.#take(Buffer.concat([reply.bytes.subarray(0, headLength), bytes]));
  }

  #take(bytes: Buffer): number {
    const refused = this.refuse.shift();
    if (refused !== undefined && refused < 0) return refused;
    this.replies.push(parseReply(bytes));
    return bytes.length;
  }
}

export const FRAME_SIZE = (1 << 20) + 8192;

/** A dispatcher between hand-made frames and recorded replies. */
export class Bench {
  readonly transport = new RecordingTransport();
  readonly dispatcher: Dispatcher;
  readonly logged: { fields: object; message: string }[] = [];
  readonly inits: number[] = [];
  destroyed = 0;
  /** What is said of a thread that was interrupted. */
  ending = true;

  constructor(fileSystem: FileSystem, maxPayload = 1 << 20) {
    const take = (fields: object, message: string): void => {
      this.logged.push({ fields, message });
    };
    const log: Log = { debug: take, info: take, warn: take, error: take };
    this.dispatcher = new Dispatcher({
      fileSystem,
      transport: this.transport,
      events: {
        init: (request) => void this.inits.push(request.end),
        destroyed: () => void this.destroyed++,
      },
      frames: new FramePool(FRAME_SIZE),
      log,
      maxPayload,
      wantsToEnd: () => this.ending,
    });
    this.dispatcher.setxattrExtended = true;
  }

  /** Has a frame served; the replies it brought at once. */
  give(bytes: Buffer): SentReply[] {
    const before = this.transport.replies.length;
    bytes.copy(this.dispatcher.request.frame.bytes);
    this.dispatcher.dispatch(bytes.length);
    return this.transport.replies.slice(before);
  }

  /** The same for a request that must be answered at once, exactly once. */
  ask(opcode: OpcodeName | number, body: readonly Buffer[] = [], options: FrameOptions = {}): SentReply {
    const replies = this.give(frame(opcode, body, options));
    if (replies.length !== 1) throw new Error(`${replies.length} replies to ${opcode}`);
    return replies[0]!;
  }
}
