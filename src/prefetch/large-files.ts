/** What is made of how large files are read: where each is begun, inside of it, and from one to the next. */

import { type Beginner, Ends } from './ends.ts';
import type { PrefetchHost } from './host.ts';
import type { ShareParts } from './job-share.ts';
import { NextFiles } from './next-files.ts';
import { type Orders, type ReadFile, WHOLE_FILE_BYTES } from './order.ts';
import { type FileInParts, InFileOrders, type StreamView } from './orders/in-file.ts';
import type { RunView } from './orders/readahead.ts';
import { RepeatedRanges } from './repeated-ranges.ts';
import { type RecordReader, RestOfFiles } from './rest-of-file.ts';

export interface LargeFilesParts extends ShareParts {
  host: PrefetchHost;
  orders: Orders;
  /** What may be ahead of one reader, in bytes. */
  aheadBytes: number;
  /** Whether a job has said what it will read below a directory. */
  announced: (path: string) => boolean;
}

export class LargeFiles {
  readonly #inFile: InFileOrders;
  readonly #ends: Ends;
  readonly #rest: RestOfFiles;
  readonly repeated: RepeatedRanges;
  readonly nextFiles: NextFiles;

  constructor({ host, orders, aheadBytes, announced, bulk, jobWidth }: LargeFilesParts) {
    this.#inFile = new InFileOrders(orders, aheadBytes);
    this.#ends = new Ends(orders);
    this.#rest = new RestOfFiles({ orders, bulk, jobWidth, announced, nowMs: () => host.nowMs() });
    this.repeated = new RepeatedRanges({ host, orders, announced, unseen: bulk !== 'off' });
    this.nextFiles = new NextFiles({ host, orders, announced, aheadBytes, ends: this.#ends });
  }

  opened(file: FileInParts): void {
    if (file.attributes.size > WHOLE_FILE_BYTES && !file.whole) this.#ends.opened(file);
  }

  /** A process begins to read a file, by one of its threads. */
  began(file: ReadFile, process: number, thread: number): void {
    this.nextFiles.began(file, process, thread);
  }

  /** A run became a part of the one that the next READ is of. */
  joined(part: RunView): void {
    this.#inFile.joined(part);
  }

  /** A READ of `size` bytes of a stream, that belongs to a run; `jumped`: it began the run. */
  read(
    stream: StreamView & Beginner & RecordReader,
    run: RunView,
    jumped: boolean,
    offset: number,
    size: number,
  ): void {
    this.#ends.read(stream, offset, size);
    this.repeated.read(stream.file, stream, offset, size);
    this.#inFile.read(stream, run, jumped, size);
    this.#rest.read(stream);
  }

  forgotten(file: ReadFile): void {
    this.#inFile.forgotten(file);
    this.#rest.forgotten(file);
  }

  /** A READ of a file was answered; `missed`: it had to wait for the store. */
  answered(file: ReadFile, offset: number, missed: boolean, thread: number): void {
    this.repeated.answered(file, offset, missed);
    if (missed) this.#rest.missed(file, thread);
  }

  stop(): void {
    this.nextFiles.stop();
    this.#ends.stop();
    this.#rest.stop();
    this.repeated.stop();
  }
}
