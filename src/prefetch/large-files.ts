/** What is made of how large files are read: inside each of them, and from one to the next. */
import type { PrefetchHost } from './host.ts';
import { NextFiles } from './next-files.ts';
import type { Orders, ReadFile } from './order.ts';
import { InFileOrders, type StreamView } from './orders/in-file.ts';
import type { RunView } from './orders/readahead.ts';

export interface LargeFilesParts {
  host: PrefetchHost;
  orders: Orders;
  /** What may be ahead of one reader, in bytes. */
  aheadBytes: number;
  /** Whether a job has said what it will read below a directory. */
  announced: (path: string) => boolean;
}

export class LargeFiles {
  readonly #inFile: InFileOrders;
  readonly nextFiles: NextFiles;

  constructor({ host, orders, aheadBytes, announced }: LargeFilesParts) {
    this.#inFile = new InFileOrders(orders, aheadBytes);
    this.nextFiles = new NextFiles({ host, orders, announced, aheadBytes });
  }

  /** A process begins to read a file, by one of its threads. */
  began(file: ReadFile, process: number, thread: number): void {
    this.nextFiles.began(file, process, thread);
  }

  read(stream: StreamView, run: RunView, jumped: boolean, size: number): void {
    this.#inFile.read(stream, run, jumped, size);
  }

  forgotten(file: ReadFile): void {
    this.#inFile.forgotten(file);
  }
}
