/** The recordings of a mount: one at a time, begun and ended from outside. */
import { MloError } from '../errors.ts';
import { Recording, type RecordingParts, type RecordingSnapshot, type RecordRequest } from './recording.ts';
import { openForTrace } from './trace-file.ts';
import type { EndReason } from './trace-format.ts';

export class Recorder {
  readonly #parts: RecordingParts;
  #recording: Recording | undefined;
  #last: Recording | undefined;
  #starting = false;
  #count = 0;

  constructor(parts: RecordingParts) {
    this.#parts = parts;
  }

  /** The recording that goes on: what each event is told to. */
  get recording(): Recording | undefined {
    return this.#recording;
  }

  async start(request: RecordRequest): Promise<RecordingSnapshot> {
    const busy = this.#recording;
    if (busy !== undefined || this.#starting) {
      const where = busy === undefined ? '' : ` to ${busy.snapshot().file}`;
      throw new MloError(
        'MLO_TRACE',
        `this mount is being recorded${where}`,
        'one at a time: end it with Ctrl-C there',
      );
    }
    this.#starting = true;
    try {
      await this.#last?.end('stopped'); // has ended, and may still write
      const handle = await openForTrace(request.file, request.force === true, request.device);
      const recording = new Recording(++this.#count, request, handle, this.#parts, () => {
        this.#recording = undefined;
      });
      this.#recording = recording;
      this.#last = recording;
      return recording.snapshot();
    } finally {
      this.#starting = false;
    }
  }

  /** Ends it, and answers when it is on the disk. */
  async stop(reason: EndReason = 'stopped'): Promise<RecordingSnapshot | null> {
    await this.#last?.end(reason);
    return this.snapshot();
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
