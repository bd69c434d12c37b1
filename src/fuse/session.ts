/**
 * The loop: reads frames from the device, has them served, and waits for the next. It shares the thread with libuv:
 *
 *   turn: read, dispatch, read, dispatch ... until the device is empty (EAGAIN) or BATCH frames were served
 *   back to the event loop, so that what was started runs: promises, immediates, registrations of descriptors
 *   turn: the device was empty: wait in poll(2) for the device and libuv at once, then read what the device has,
 *         also when it was libuv that woke
 *
 * Waiting through libuv alone would cost a round trip to its pool for every frame: a third of the speed.
 */

import type { FileSystem } from '../overlay/filesystem.ts';
import { performance } from '../sys/clock.ts';
import { Errno, errnoName } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import { O_NONBLOCK } from '../sys/open-flags.ts';
import type { Log } from '../telemetry/log.ts';
import type { RequestObserver } from '../telemetry/requests.ts';
import type { LoopStats } from '../telemetry/stats.ts';
import { KERNEL_MAJOR } from './abi.ts';
import type { Transport } from './answer.ts';
import { BusyPolling } from './busy-polling.ts';
import { BODY, PAYLOAD } from './codec.ts';
import type { SessionSnapshot } from './counters.ts';
import { DevicePipe } from './device-pipe.ts';
import { type ConnectionEvents, Dispatcher } from './dispatch.ts';
import { FramePool } from './frame-pool.ts';
import { type Capabilities, maySetBacking, negotiate, pageSize, readInit, writeInit } from './negotiate.ts';
import { Notifier } from './notifier.ts';
import type { ReplyBuffer } from './replies.ts';
import type { Request } from './requests.ts';
import { InitIn, InitOut, WriteIn } from './structs.ts';
import { Turns } from './turns.ts';
import { Waiter, type Wakened } from './waiter.ts';

export interface SessionOptions {
  /** /dev/fuse, mounted. The session reads and writes it, and does not close it. */
  fd: number;
  fileSystem: FileSystem;
  log: Log;
  /** Capabilities (see negotiate.ts) that shall be off. */
  disable?: ReadonlySet<string>;
  /** The kernel's writeback cache; excludes passthrough. */
  writeback?: boolean;
  /** The file system answers ENOSYS to OPEN, and the kernel then opens by itself; excludes passthrough. */
  withoutOpen?: boolean;
  /** Listings bring the attributes that are known: the kernel asks for them every time, not when it sees fit. */
  listsAttributes?: boolean;
  /** The kernel may remember the targets of symbolic links. On unless said. */
  cacheSymlinks?: boolean;
  /** Most bytes of one READ or WRITE: a multiple of the page size, 1 MiB at most and unless said. */
  maxReadBytes?: number;
  /** 2 unless said; 1 where another stacked file system shall be mounted on top. */
  maxStackDepth?: number;
  /** Told of every request. */
  observer?: RequestObserver | undefined;
}

export interface SessionEnd {
  reason: 'unmounted' | 'destroyed' | 'aborted' | 'failed';
  error?: Error;
}

/** How long microtasks of an operation that was answered at once may wait for the next frame to be served first. */
const SHORT_WAIT_MS = 1;
/** Frames served before libuv has a turn, when the device never runs empty. */
const BATCH = 64;
/** Most bytes of one READ or WRITE. */
export const LARGEST_TRANSFER = 1 << 20;
/** The kernel demands room for the largest WRITE with its headers; a page more keeps the data's end off the edge. */
const FRAME_SLACK = 4096 + BODY + WriteIn.size;
const LONGEST_TIMER_MS = 0x7fff_ffff;
const F_GETFL = 3;
const F_SETFL = 4;

export class Session implements Transport, ConnectionEvents {
  /** Resolves when INIT was answered; rejects when the session ended before. */
  readonly ready: Promise<Capabilities>;

  readonly #fd: number;
  readonly #fileSystem: FileSystem;
  readonly #log: Log;
  readonly #options: SessionOptions;
  readonly #frameSize: number;
  readonly #maxTransfer: number;
  readonly #dispatcher: Dispatcher;
  readonly #notifier: Notifier;
  readonly #waiter: Waiter;
  #pipe: DevicePipe | undefined;
  readonly #polling = new BusyPolling();
  readonly #turns = new Turns();
  readonly #started = Promise.withResolvers<Capabilities>();
  readonly #ended = Promise.withResolvers<SessionEnd>();
  #negotiated = false;
  /** The device was found empty, and libuv had a turn since: the next thing to do is to wait. */
  #drained = false;
  #end: SessionEnd | undefined;
  #keepAlive: NodeJS.Timeout | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#fd = options.fd;
    this.#fileSystem = options.fileSystem;
    this.#log = options.log;
    this.#maxTransfer = Math.min(options.maxReadBytes ?? LARGEST_TRANSFER, LARGEST_TRANSFER);
    this.#frameSize = this.#maxTransfer + FRAME_SLACK;
    this.#dispatcher = new Dispatcher({
      fileSystem: options.fileSystem,
      transport: this,
      events: this,
      frames: new FramePool(this.#frameSize),
      log: options.log,
      maxPayload: this.#maxTransfer,
      observer: options.observer,
    });
    this.#notifier = new Notifier(options.fd, options.log, this.#dispatcher.counters);
    this.#waiter = new Waiter(options.fd);
    this.ready = this.#started.promise;
    this.ready.catch(() => {}); // whoever does not wait for it hears of a failure from run()
  }

  /** Serves until the connection ends, then stops the file system. */
  async run(): Promise<SessionEnd> {
    const flags = sys.fcntl.now(this.#fd, F_GETFL, 0);
    sys.fcntl.now(this.#fd, F_SETFL, flags | O_NONBLOCK);
    // With no handle at all libuv counts as finished and would always want to run: an idle session would spin.
    this.#keepAlive = setInterval(() => {}, LONGEST_TIMER_MS);
    setImmediate(this.#turn);
    const end = await this.#ended.promise;
    clearInterval(this.#keepAlive);
    this.#notifier.stop();
    this.#dispatcher.stop();
    this.#pipe?.discard();
    this.#started.reject(end.error ?? new Error(`the connection ended (${end.reason}) before INIT`));
    await this.#fileSystem.stop();
    return end;
  }

  snapshot(): SessionSnapshot & { loop: LoopStats } {
    return { ...this.#dispatcher.counters.snapshot(this.#dispatcher.pending), loop: this.#turns.snapshot() };
  }

  // --- the loop ------------------------------------------------------------------------------------------------------

  readonly #turn = (): void => {
    const next = setImmediate(this.#turn);
    // A planned turn counts as work of libuv's, which would then never be left waiting.
    next.unref();
    this.#serve();
    if (this.#end === undefined) {
      next.ref();
      return;
    }
    clearImmediate(next);
    this.#ended.resolve(this.#end);
  };

  /** Serves up to BATCH frames, or until the event loop should have a turn. */
  #serve(): void {
    const dispatcher = this.#dispatcher;
    const { request } = dispatcher;
    // The first wait may last: nothing of this turn is left undone. Later ones are short, for microtasks may be waiting.
    // Where libuv has work in every turn (a chain of immediates, answers of a pool that come and come), requests come all
    // the same: each turn serves both.
    if (!this.#drained) this.#turns.looks(performance.now());
    else if (this.#wait() !== 'device' && !this.#waiter.ready()) return;
    this.#drained = false;
    const lateBefore = dispatcher.counters.late;
    for (let served = 0; this.#end === undefined && served < BATCH; ) {
      const length = sys.readNow(this.#fd, request.frame.address, this.#frameSize);
      if (length > 0) {
        served++;
        dispatcher.dispatch(length);
      } else if (length === -Errno.EAGAIN) {
        this.#drained = true;
        // A client that waits for one answer before it asks again is met here, without a round through the event loop.
        if (dispatcher.counters.late !== lateBefore || !this.#expectMore()) return;
        this.#drained = false;
      } else if (length !== -Errno.EINTR && length !== -Errno.ENOENT) {
        // ENOENT: the request was aborted while it was being read.
        this.#endWith(length);
      }
    }
  }

  /** Waits, which is no part of a turn. */
  #wait(): Wakened {
    this.#turns.looks(performance.now());
    const wakened = this.#waiter.wait();
    this.#turns.waited(performance.now());
    return wakened;
  }

  /** Whether another request came soon after the device was found empty. */
  #expectMore(): boolean {
    const polling = this.#polling;
    const emptyMs = performance.now();
    this.#turns.looks(emptyMs);
    if (polling.windowMs > 0) {
      const untilMs = emptyMs + polling.windowMs;
      do {
        sys.yieldNow(); // to the client, where it has no processor of its own
        if (this.#waiter.ready()) return true;
      } while (performance.now() < untilMs);
    }
    const wakened = this.#waiter.wait(SHORT_WAIT_MS);
    const nowMs = performance.now();
    this.#turns.waited(nowMs);
    if (wakened === 'neither') polling.lost(); // a timer of ours tells nothing of the clients
    if (wakened !== 'device') return false;
    polling.slept(nowMs - emptyMs);
    return true;
  }

  #endWith(result: number): void {
    if (result === 0 || result === -Errno.ENODEV) this.#end = { reason: 'unmounted' };
    else if (result === -Errno.ECONNABORTED) this.#end = { reason: 'aborted' };
    else this.#end = { reason: 'failed', error: new Error(`reading the device failed: ${errnoName(result)}`) };
  }

  // --- Transport -----------------------------------------------------------------------------------------------------

  send(reply: ReplyBuffer, length: number): number {
    return sys.writeNow(this.#fd, reply.address, length);
  }

  sendWith(reply: ReplyBuffer, headLength: number, bytes: Uint8Array): number {
    if (bytes.byteLength === 0) return sys.writeNow(this.#fd, reply.address, headLength);
    return sys.writePairNow(this.#fd, reply.address, headLength, sys.addressOf(bytes), bytes.byteLength);
  }

  get pipe(): DevicePipe | undefined {
    return this.#pipe;
  }

  // --- ConnectionEvents ----------------------------------------------------------------------------------------------

  init(request: Request): void {
    const dispatcher = this.#dispatcher;
    const { reply } = dispatcher;
    const length = request.end - BODY;
    if (this.#negotiated || length < InitIn.at.flags2) {
      dispatcher.counters.malformed++;
      dispatcher.replyWith(0, -Errno.EPROTO);
      return;
    }
    const page = pageSize();
    const agreed = negotiate(readInit(request.view, BODY, length), {
      disable: this.#options.disable ?? new Set(),
      writeback: this.#options.writeback ?? false,
      withoutOpen: this.#options.withoutOpen ?? false,
      cacheSymlinks: this.#options.cacheSymlinks ?? true,
      listsAttributes: this.#options.listsAttributes ?? false,
      privileged: maySetBacking(),
      maxStackDepth: this.#options.maxStackDepth ?? 2,
      pageSize: page,
      maxTransfer: this.#maxTransfer,
    });
    if (agreed === 'again') {
      reply.bytes.fill(0, PAYLOAD, PAYLOAD + InitOut.size);
      InitOut.set.major(reply.view, PAYLOAD, KERNEL_MAJOR);
      dispatcher.replyWith(InitOut.size);
      return;
    }
    if ('refused' in agreed) {
      dispatcher.replyWith(0, -Errno.EPROTO);
      this.#end = { reason: 'failed', error: new Error(agreed.refused) };
      return;
    }
    this.#begin(agreed, page);
  }

  #begin(agreed: Capabilities, page: number): void {
    const dispatcher = this.#dispatcher;
    this.#negotiated = true;
    this.#notifier.negotiated(agreed.on);
    if (agreed.on.has('splice')) this.#pipe = new DevicePipe(this.#fd, agreed.maxTransfer);
    dispatcher.setxattrExtended = agreed.on.has('setxattr-ext');
    try {
      this.#fileSystem.start(this.#notifier);
    } catch (error) {
      dispatcher.replyWith(0, -Errno.EIO);
      this.#end = { reason: 'failed', error: error as Error };
      return;
    }
    const sent = dispatcher.replyWith(writeInit(dispatcher.reply.bytes, dispatcher.reply.view, agreed, page));
    if (sent < 0) {
      this.#end = { reason: 'failed', error: new Error(`the kernel refused the reply to INIT: ${errnoName(sent)}`) };
      return;
    }
    this.#log.debug({ minor: agreed.minor, on: [...agreed.on] }, 'connected to the kernel');
    this.#started.resolve(agreed);
  }

  destroyed(): void {
    this.#end = { reason: 'destroyed' };
  }
}
