/** Operations on open files and on directories' contents. */
import { constants } from 'node:fs';
import type { DirectorySink, HandleId, LateBytes, NodeId } from '../overlay/filesystem.ts';
import { Errno, failed, type Outcome, type Reply } from '../sys/errno.ts';
import type { Context } from './context.ts';
import type { NameOperations } from './name-operations.ts';
import type { OpenFile } from './open-files.ts';
import { textOf } from './paths.ts';
import { entryWords } from './words.ts';

/** The kernel goes round its cache by itself; libfuse's buffers are not aligned as the source may demand. */
const { O_DIRECT } = constants;

export interface Listing {
  names: string[];
  /** An entry's type and number, in the addon's form. */
  entries: Uint32Array[];
}

export class FileOperations {
  readonly #context: Context;
  readonly #names: NameOperations;

  constructor(context: Context, names: NameOperations) {
    this.#context = context;
    this.#names = names;
  }

  /** Returns the number that libfuse shall know the file by. */
  open(path: string, flags: number): Promise<Outcome<number>> {
    const { fileSystem, caller, references, files } = this.#context;
    return this.#context.at(path, async ({ node }, place) => {
      const newborn = this.#names.takeNewborn(place, node);
      const opened =
        newborn === undefined ? await fileSystem.open(node, flags & ~O_DIRECT, false, caller) : { handle: newborn };
      if (failed(opened)) return opened;
      references.hold(node);
      const { fd } = files.add(place, node, opened.handle);
      this.#context.found(place, node);
      return fd;
    });
  }

  release(fd: number): Outcome<0> {
    const file = this.#context.files.take(fd);
    if (file === undefined) return -Errno.EBADF;
    this.#context.fileSystem.release(file.node, file.handle);
    this.#context.references.release(file.node);
    return 0;
  }

  /** `into` is libfuse's own buffer: valid until the answer. */
  async read(fd: number, into: Buffer, size: number, offset: number): Promise<Outcome<number>> {
    const file = this.#usable(fd);
    if (failed(file)) return file;
    const { fileSystem, caller } = this.#context;
    const bytes: number | LateBytes = await fileSystem.read(file.node, file.handle, offset, size, into, caller);
    if (typeof bytes === 'number') return file.stale ? -Errno.ESTALE : bytes;
    const count = Math.min(bytes.bytes.length, size);
    into.set(bytes.bytes.subarray(0, count));
    bytes.release?.();
    return file.stale ? -Errno.ESTALE : count;
  }

  async write(fd: number, data: Buffer, size: number, offset: number): Promise<Outcome<number>> {
    const file = this.#usable(fd);
    if (failed(file)) return file;
    const { fileSystem, caller } = this.#context;
    return fileSystem.write(file.node, file.handle, offset, data.subarray(0, size), false, caller);
  }

  flush(fd: number): Reply<0> {
    return this.#with(fd, ({ node, handle }) => this.#context.fileSystem.flush(node, handle));
  }

  fsync(fd: number, dataOnly: boolean): Reply<0> {
    return this.#with(fd, ({ node, handle }) => this.#context.fileSystem.fsync(node, handle, dataOnly));
  }

  /**
   * All of a directory at once: libfuse keeps it until closedir. The addon does not say for which opendir it asks, so each
   * listing opens the directory anew, and opendir itself is not offered (libfuse then grants it).
   */
  async readdir(path: string): Promise<Outcome<Listing>> {
    const { fileSystem, caller } = this.#context;
    return this.#inDirectory(path, async (node, handle) => {
      const listing: Listing = { names: [], entries: [] };
      let offset = 0;
      const sink: DirectorySink = {
        add(name, ino, type, nextOffset) {
          listing.names.push(textOf(name));
          listing.entries.push(entryWords(ino, type));
          offset = nextOffset;
          return true;
        },
      };
      for (let before = -1; before !== offset; ) {
        before = offset;
        const outcome = await fileSystem.readdir(node, handle, offset, false, sink, caller);
        if (failed(outcome)) return outcome;
      }
      return listing;
    });
  }

  fsyncdir(path: string, dataOnly: boolean): Promise<Outcome<0>> {
    return this.#inDirectory(path, (node, handle) => this.#context.fileSystem.fsyncdir(node, handle, dataOnly));
  }

  /** Ends what is still open when the connection has gone. */
  close(): void {
    for (const { fd } of [...this.#context.files]) this.release(fd);
  }

  #inDirectory<T>(path: string, use: (node: NodeId, handle: HandleId) => Reply<T>): Promise<Outcome<T>> {
    const { fileSystem, caller } = this.#context;
    return this.#context.at(path, async ({ node }): Promise<Outcome<T>> => {
      const opened = await fileSystem.opendir(node, caller);
      if (failed(opened)) return opened;
      try {
        return await use(node, opened.handle);
      } finally {
        fileSystem.releasedir(node, opened.handle);
      }
    });
  }

  #with<T>(fd: number, use: (file: OpenFile) => Reply<T>): Reply<T> {
    const file = this.#context.files.get(fd);
    return file === undefined ? -Errno.EBADF : use(file);
  }

  #usable(fd: number): Outcome<OpenFile> {
    const file = this.#context.files.get(fd);
    if (file === undefined) return -Errno.EBADF;
    return file.stale ? -Errno.ESTALE : file;
  }
}
