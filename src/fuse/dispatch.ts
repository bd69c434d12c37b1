/**
 * From a frame to its reply: decode, call the file system, answer.
 *
 *   frame -> Request.open -> operations[opcode].call -> outcome                  -> Answerer -> Transport
 *                                                   \-> promise -> LateReplies -/
 *
 * Nothing that a frame holds makes `dispatch` throw, and a request that wants a reply gets exactly one.
 */

import type { FileSystem } from '../overlay/filesystem.ts';
import type { Carrier } from '../sys/carrier.ts';
import { performance } from '../sys/clock.ts';
import { Errno, type Failure, type Outcome } from '../sys/errno.ts';
import type { Log } from '../telemetry/log.ts';
import type { RequestObserver } from '../telemetry/requests.ts';
import { OPCODE_COUNT, Opcode } from './abi.ts';
import { Answerer, type Ticket, type Transport } from './answer.ts';
import { BODY, isExact, PAYLOAD, readU64 } from './codec.ts';
import { Counters } from './counters.ts';
import { DirectoryReply } from './directory-reply.ts';
import type { FramePool } from './frame-pool.ts';
import { wantsToEnd } from './interrupts.ts';
import { LateReplies } from './late.ts';
import type { Context, Operation } from './operation.ts';
import { operations } from './operations/index.ts';
import { ReplyBuffer } from './replies.ts';
import { type Frame, Request } from './requests.ts';
import { InterruptIn } from './structs.ts';

/** INIT and DESTROY are the session's: they are about the connection, not about files. */
export interface ConnectionEvents {
  /** Answers INIT through `dispatcher.replyWith`. */
  init(request: Request): void;
  destroyed(): void;
}

export interface DispatcherOptions {
  fileSystem: FileSystem;
  transport: Transport;
  events: ConnectionEvents;
  frames: FramePool;
  log: Log;
  /** The longest payload of a reply. */
  maxPayload: number;
  wantsToEnd?: (thread: number) => boolean;
  observer?: RequestObserver | undefined;
}

const KEPT_DIRECTORY_REPLIES = 2;

export class Dispatcher implements Context, Carrier {
  readonly fileSystem: FileSystem;
  readonly reply: ReplyBuffer;
  readonly request: Request;
  readonly counters: Counters = new Counters();
  setxattrExtended = false;

  readonly #transport: Transport;
  readonly #events: ConnectionEvents;
  readonly #observer: RequestObserver | undefined;
  readonly #frames: FramePool;
  readonly #answerer: Answerer;
  readonly #late: LateReplies;
  readonly #directories: DirectoryReply[] = [];
  /** Of the request in hand; reused, so that answering at once allocates nothing. */
  readonly #ticket: Ticket = {
    operation: operations[0]!,
    opcode: 0,
    uniqueLow: 0,
    uniqueHigh: 0,
    node: 0,
    asked: 0,
    askedMs: 0,
  };

  constructor(options: DispatcherOptions) {
    this.fileSystem = options.fileSystem;
    this.reply = new ReplyBuffer(options.maxPayload);
    this.request = new Request(options.frames.take());
    this.#transport = options.transport;
    this.#events = options.events;
    this.#observer = options.observer;
    this.#frames = options.frames;
    this.#answerer = new Answerer(this, options.transport, this.counters, options.log);
    this.#late = new LateReplies(
      options.fileSystem,
      this.#answerer,
      this.counters,
      options.frames,
      options.wantsToEnd ?? wantsToEnd,
      options.observer,
    );
  }

  /** Requests whose promise has not settled. */
  get pending(): number {
    return this.#late.size;
  }

  get carrier(): Carrier | undefined {
    return this.#transport.pipe === undefined ? undefined : this;
  }

  get mostBytes(): number {
    return this.#transport.pipe?.mostBytes ?? 0;
  }

  /** Has the reply to the request in hand take its bytes from a file. */
  take(fd: number, offset: number, length: number, asked: number): boolean {
    const { reply, request } = this;
    reply.header(length, 0, request.uniqueLow, request.uniqueHigh);
    return this.#transport.pipe!.load(reply.address, PAYLOAD, fd, offset, length, asked);
  }

  takeDirectoryReply(): DirectoryReply {
    return this.#directories.pop() ?? new DirectoryReply();
  }

  giveDirectoryReply(directory: DirectoryReply): void {
    if (this.#directories.length < KEPT_DIRECTORY_REPLIES) this.#directories.push(directory);
  }

  /** Serves the request of `length` bytes that was read into `request.frame`. */
  dispatch(length: number): void {
    const { request, counters } = this;
    const verdict = request.open(length);
    if (verdict === -Errno.EPROTO) {
      counters.dropped++;
      return;
    }
    const opcode = request.opcode < OPCODE_COUNT ? request.opcode : 0;
    const operation = operations[opcode]!;
    counters.requests[opcode]!++;
    if (opcode === Opcode.INTERRUPT) this.#interrupt();
    else if (operation.silent) this.#serveSilent(operation, verdict);
    // A reply to number 0 would be taken for a notification.
    else if (request.uniqueLow === 0 && request.uniqueHigh === 0) counters.dropped++;
    else if (opcode === Opcode.INIT) this.#events.init(request);
    else if (opcode === Opcode.DESTROY) this.#destroy();
    else this.#serve(operation, opcode, verdict);
  }

  /** Sends a payload that the caller wrote into `reply`, or an error. */
  replyWith(payload: number, error = 0): number {
    const { uniqueLow, uniqueHigh } = this.request;
    this.reply.header(payload, error, uniqueLow, uniqueHigh);
    return this.#transport.send(this.reply, PAYLOAD + payload);
  }

  /** The connection is gone: nothing can be answered any more. */
  stop(): void {
    this.#late.stop();
  }

  #serve(operation: Operation, opcode: number, verdict: Failure | 0): void {
    const { request } = this;
    const ticket = this.#ticket;
    ticket.operation = operation;
    ticket.opcode = opcode;
    ticket.uniqueLow = request.uniqueLow;
    ticket.uniqueHigh = request.uniqueHigh;
    ticket.node = request.node;
    const unfit = verdict || this.#unfit(operation);
    if (unfit !== 0) {
      this.counters.malformed++;
      this.#answerer.fail(ticket, unfit);
      return;
    }
    const observer = this.#observer;
    if (observer !== undefined) {
      const nowMs = performance.now();
      ticket.askedMs = nowMs;
      request.caller.askedMs = nowMs;
      observer.asked(request.caller.pid, opcode, nowMs);
    }
    try {
      ticket.asked = operation.asked(request);
      const outcome = operation.call(this, request);
      if (outcome instanceof Promise) {
        this.#later(ticket, outcome);
        return;
      }
      this.#answerer.answer(ticket, outcome);
      observer?.answered(request.caller.pid, opcode, ticket.askedMs, performance.now());
    } catch (error) {
      this.#answerer.defect(opcode, 'an operation threw', error);
      this.#answerer.fail(ticket, -Errno.EIO);
      observer?.answered(request.caller.pid, opcode, ticket.askedMs, performance.now());
    }
  }

  #serveSilent(operation: Operation, verdict: Failure | 0): void {
    if ((verdict || this.#unfit(operation)) !== 0) {
      this.counters.malformed++;
      return;
    }
    try {
      void operation.call(this, this.request);
    } catch (error) {
      this.#answerer.defect(this.request.opcode, 'an operation threw', error);
    }
  }

  #later(ticket: Ticket, promise: Promise<Outcome<unknown>>): void {
    const { request } = this;
    this.#answerer.dropCarried(); // only an answer at once may have its bytes there
    const { operation } = ticket;
    const interruptible = operation.interruptible(request); // while the request still has its frame
    let frame: Frame | undefined;
    if (operation.keepsFrame) {
      frame = request.frame;
      request.frame = this.#frames.take();
    }
    this.#late.add(ticket, request.caller.pid, interruptible, frame, promise);
  }

  /** Whether the fixed part of the body is not all there, or its large numbers cannot be numbers of ours. */
  #unfit(operation: Operation): Failure | 0 {
    const { request } = this;
    if (request.end - BODY < operation.body) return -Errno.EIO;
    const { wide } = operation;
    for (let i = 0; i < wide.length; i++) {
      if (!isExact(readU64(request.view, BODY + wide[i]!))) return -Errno.EINVAL;
    }
    return 0;
  }

  /** An INTERRUPT has no reply of its own. */
  #interrupt(): void {
    const { request } = this;
    this.counters.interrupts++;
    if (request.end - BODY < InterruptIn.size) {
      this.counters.malformed++;
      return;
    }
    const { view } = request;
    this.#late.interrupt(view.getUint32(BODY, true), view.getUint32(BODY + 4, true));
  }

  #destroy(): void {
    this.replyWith(0);
    this.#events.destroyed();
  }
}
