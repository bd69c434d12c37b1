/**
 * What a mount knows of its readers: takes what fuse/ and overlay/ tell while they serve, and hands it to those who make
 * something of it. One thread; every call is on the way of a request (see observer.ts for what that asks of it).
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Prefetch } from '../prefetch/index.ts';
import { WHOLE_FILE_BYTES } from '../prefetch/order.ts';
import { performance } from '../sys/clock.ts';
import { O_ACCMODE } from '../sys/open-flags.ts';
import { OperationTimes } from '../telemetry/operations.ts';
import type { RequestObserver } from '../telemetry/requests.ts';
import { ServedReads } from '../telemetry/served.ts';
import { Readers } from './data-set-readers.ts';
import { DataSets } from './datasets.ts';
import { type AccessedHandle, type AccessObserver, From } from './observer.ts';
import type { PassersBy } from './passers-by.ts';
import { Recorder } from './recorder.ts';
import type { RecordingParts } from './recording.ts';
import type { AccessSnapshot } from './snapshot.ts';
import { StallMeter } from './stall.ts';
import { Streams } from './streams.ts';

/** A disk that hangs must not keep the daemon. */
const STOP_MS = 5000;

export class Access implements AccessObserver, RequestObserver {
  readonly times: OperationTimes = new OperationTimes();
  readonly served: ServedReads = new ServedReads();
  readonly stall: StallMeter = new StallMeter();
  readonly #readers = new Readers();
  readonly dataSets: DataSets = new DataSets(this.#readers);
  readonly streams: Streams = new Streams(this.#readers);
  readonly recorder: Recorder;
  /** What brings data before it is read, where something does. */
  #prefetch: Prefetch | undefined;
  readonly #passersBy: PassersBy | undefined;

  /** `passersBy`: what they read tells nothing of what is read next. */
  constructor(about: RecordingParts['about'] = { mountpoint: '', source: '', version: '' }, passersBy?: PassersBy) {
    this.#passersBy = passersBy;
    this.recorder = new Recorder({ readers: this.#readers, about });
  }

  /** From now on it is told what is read, and how. */
  feed(prefetch: Prefetch): void {
    this.#prefetch = prefetch;
    this.streams.listener = prefetch.largeFiles;
  }

  asked(thread: number, opcode: number, nowMs: number): void {
    this.stall.asked(thread, opcode, nowMs);
  }

  answered(thread: number, opcode: number, begunMs: number, nowMs: number): void {
    this.times.answered(opcode, begunMs, nowMs);
    this.stall.answered(thread, opcode, begunMs, nowMs);
  }

  opened(handle: AccessedHandle, thread: number, keptPages: boolean, begunMs: number): void {
    const nowMs = performance.now();
    this.stall.opened(handle, thread, begunMs);
    this.dataSets.opened(handle, thread, begunMs, nowMs);
    this.recorder.recording?.opened(handle, thread, keptPages, begunMs, nowMs);
    const { inode, way, flags } = handle;
    if (this.#prefetch === undefined || (flags & O_ACCMODE) !== 0 || this.#passersBy?.has(thread, nowMs)) return;
    const passthrough = way.endsWith('passthrough');
    if (passthrough) this.streams.opened(handle, thread, nowMs);
    // The bytes of others may go to the kernel with the answer.
    const hidden = passthrough || inode.attributes.size <= WHOLE_FILE_BYTES;
    this.#prefetch.opened(inode, hidden, this.dataSets.setOf(inode), nowMs);
  }

  reading(handle: AccessedHandle, thread: number, offset: number, size: number, begunMs: number): void {
    this.stall.reading(handle, thread, offset, size, begunMs);
    if (!this.#passersBy?.has(thread, begunMs)) this.streams.reading(handle, thread, offset, size, begunMs);
  }

  read(handle: AccessedHandle, thread: number, offset: number, count: number, from: From, begunMs: number): void {
    const nowMs = performance.now();
    this.served.read(from === From.STORE, count);
    this.stall.read(handle, thread, count, from, begunMs);
    this.dataSets.read(handle, thread, count, from, begunMs, nowMs);
    this.recorder.recording?.read(handle, thread, offset, count, from, begunMs, nowMs);
    const { inode, flags } = handle;
    if (this.#prefetch === undefined || count <= 0 || (flags & O_ACCMODE) !== 0) return;
    if (this.#passersBy?.has(thread, nowMs)) return;
    const missed = from === From.STORE;
    this.#prefetch.read(inode, offset, count, missed, missed ? this.dataSets.setOf(inode) : undefined, thread, nowMs);
  }

  wrote(handle: AccessedHandle, thread: number, offset: number, count: number, begunMs: number): void {
    this.recorder.recording?.wrote(handle, thread, offset, count, begunMs, performance.now());
  }

  released(handle: AccessedHandle): void {
    this.stall.released(handle);
    this.recorder.recording?.released(handle, performance.now());
  }

  snapshot(): AccessSnapshot {
    return {
      ...this.stall.snapshot(),
      dataSets: this.dataSets.snapshot(),
      streams: this.streams.snapshot(),
      trace: this.recorder.counts(),
    };
  }

  /** Ends timers and writes out what is being recorded. */
  async stop(): Promise<void> {
    this.stall.stop();
    await Promise.race([this.recorder.end(), sleep(STOP_MS, undefined, { ref: false })]);
  }
}
