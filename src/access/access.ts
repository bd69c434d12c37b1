/**
 * What a mount knows of its readers: takes what fuse/ and overlay/ tell while they serve, and hands it to those who make
 * something of it. One thread; every call is on the way of a request (see observer.ts for what that asks of it).
 */
import type { RequestObserver } from '../telemetry/requests.ts';
import type { AccessedHandle, AccessObserver, From } from './observer.ts';
import type { AccessSnapshot } from './snapshot.ts';

export class Access implements AccessObserver, RequestObserver {
  asked(_thread: number, _opcode: number, _nowMs: number): void {}

  answered(_thread: number, _opcode: number, _begunMs: number, _nowMs: number, _failed: boolean): void {}

  opened(_handle: AccessedHandle, _thread: number, _keptPages: boolean, _begunMs: number): void {}

  reading(_handle: AccessedHandle, _thread: number, _offset: number, _size: number, _begunMs: number): void {}

  read(
    _handle: AccessedHandle,
    _thread: number,
    _offset: number,
    _count: number,
    _from: From,
    _begunMs: number,
  ): void {}

  wrote(_handle: AccessedHandle, _thread: number, _offset: number, _count: number, _begunMs: number): void {}

  released(_handle: AccessedHandle): void {}

  snapshot(): AccessSnapshot {
    return {
      processes: [],
      dataSets: [],
      stall: { share: null, firstReadShare: null, au: null, estimated: false, sentences: [] },
      trace: null,
    };
  }

  /** Ends timers and writes out what is being recorded. */
  async stop(): Promise<void> {}
}
