/** The recordings of a mount: one at a time, begun and ended from outside. */
import { MloError } from '../errors.ts';
import { Recording, type RecordingParts, type RecordingSnapshot, type RecordRequest } from './recording.ts';
import { openForTrace } from './trace-file.ts';
import type { EndReason } from './trace-format.ts';

export class Recorder {
  readonly #parts: RecordingParts;
  #recording: Recording | undefined;
  #last: Recording | undefined;
  /** Resolves when the one that is being begun goes on, or could not be. */
  #starting: Promise<void> | undefined;
  #ending = false;
  #count = 0;

  constructor(parts: RecordingParts) {
    this.#parts = parts;
  }

  /** The recording that goes on: what each event is told to. */
  get recording(): Recording | undefined {
    return this.#recording;
  }

  async start(request: RecordRequest): Promise<RecordingSnapshot> {
    if (this.#ending) throw new MloError('MLO_TRACE', 'this mount is ending', 'mount it again');
    const busy = this.#recording;
    if (busy !== undefined || this.#starting !== undefined) {
      const where = busy === undefined ? '' : ` to ${busy.snapshot().file}`;
      throw new MloError(
        'MLO_TRACE',
        `this mount is being recorded${where}`,
        'one at a time: end it with Ctrl-C there',
      );
    }
    const starting = this.#begin(request);
    const started = (): void => {
      this.#starting = undefined;
    };
    this.#starting = starting.then(started, started);
    return starting;
  }

  async #begin(request: RecordRequest): Promise<RecordingSnapshot> {
    await this.#last?.end('stopped'); // has ended, and may still write
    const handle = await openForTrace(request.file, request.force === true, request.device);
    const recording = new Recording(++this.#count, request, handle, this.#parts, () => {
      this.#recording = undefined;
    });
    this.#recording = recording;
    this.#last = recording;
    return recording.snapshot();
  }

  /** Ends it, also one that is just being begun, and answers when it is on the disk. */
  async stop(reason: EndReason = 'stopped'): Promise<RecordingSnapshot | null> {
    await this.#starting;
    await this.#last?.end(reason);
    return this.snapshot();
  }

  /** The mount ends: as `stop`, and none is begun any more. */
  async end(): Promise<void> {
    this.#ending = true;
    await this.stop('unmounted');
  }

  /** Of the recording that goes on. */
  counts(): { file: string; events: number; bytes: number; lost: number } | null {
    const recording = this.#recording?.snapshot();
    if (recording === undefined) return null;
    const { file, events, bytes, lost } = recording;
    return { file, events, bytes, lost };
  }

  /** Of the recording that goes on, or else of the last one. */
  snapshot(): RecordingSnapshot | null {
    return this.#last?.snapshot() ?? null;
  }
}
