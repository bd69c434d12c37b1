/**
 * A trace's file while it is written: what is given to it goes to the end, one write(2) at a time on the pool. The first that
 * fails is the last: what is there stays as it is, up to the last whole block.
 */
import { write } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

export type Write = typeof write;

interface Piece {
  bytes: Buffer;
  /** It is in the file; the bytes may be used again. */
  written: () => void;
}

export class TraceOutput {
  readonly #handle: FileHandle;
  readonly #write: Write;
  readonly #failed: (error: Error) => void;
  readonly #waiting: Piece[] = [];
  readonly #closed = Promise.withResolvers<void>();
  #position = 0;
  #ending = false;
  #closing = false;

  /** `failed`: told once; nothing is written any more. `write`: another one in tests. */
  constructor(handle: FileHandle, failed: (error: Error) => void, another: Write = write) {
    this.#handle = handle;
    this.#failed = failed;
    this.#write = another;
  }

  add(bytes: Buffer, written: () => void): void {
    if (this.#closing) return;
    if (this.#waiting.push({ bytes, written }) === 1) this.#next();
  }

  /** Nothing more comes: closed when all is written. */
  end(): void {
    this.#ending = true;
    if (this.#waiting.length === 0) this.#close();
  }

  /** Settles when it is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  #next(from = 0): void {
    const piece = this.#waiting[0];
    if (piece === undefined) {
      if (this.#ending) this.#close();
      return;
    }
    const { bytes, written } = piece;
    this.#write(this.#handle.fd, bytes, from, bytes.length - from, this.#position, (error, count) => {
      if (error !== null) {
        this.#fail(error);
        return;
      }
      this.#position += count;
      if (from + count < bytes.length) {
        this.#next(from + count);
        return;
      }
      this.#waiting.shift();
      written();
      this.#next();
    });
  }

  /** The disk is full, or gone. */
  #fail(error: Error): void {
    this.#waiting.length = 0;
    this.#close();
    this.#failed(error);
  }

  #close(): void {
    if (this.#closing) return;
    this.#closing = true;
    const settled = (): void => this.#closed.resolve();
    this.#handle.close().then(settled, settled);
  }
}
