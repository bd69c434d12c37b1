/**
 * Open files, by the number libfuse keeps for each, and by where they are now.
 *
 * libfuse has one node, and the kernel one set of pages, for a *path*. When the file there was replaced behind our back,
 * its old handles would fill those pages with old bytes for the readers of the new one. So as soon as another node shows
 * at the path, handles of the old are stale: their reads and writes answer ESTALE (as NFS does), never a wrong byte.
 */
import type { HandleId, NodeId } from '../overlay/filesystem.ts';
import { isWithin } from './paths.ts';

export interface OpenFile {
  readonly fd: number;
  /** Held as long as the file is open. */
  readonly node: NodeId;
  readonly handle: HandleId;
  place: string;
  stale: boolean;
}

/** The addon keeps a descriptor as a signed 32-bit number, and 0 for none. */
const FD_MOST = 0x7fff_ffff;

export class OpenFiles {
  readonly #files = new Map<number, OpenFile>();
  readonly #places = new Map<string, Set<OpenFile>>();
  #next = 1;

  get size(): number {
    return this.#files.size;
  }

  [Symbol.iterator](): IterableIterator<OpenFile> {
    return this.#files.values();
  }

  add(place: string, node: NodeId, handle: HandleId): OpenFile {
    while (this.#files.has(this.#next)) this.#next = (this.#next % FD_MOST) + 1;
    const file: OpenFile = { fd: this.#next, node, handle, place, stale: false };
    this.#next = (this.#next % FD_MOST) + 1;
    this.#files.set(file.fd, file);
    this.#put(file, place);
    return file;
  }

  get(fd: number): OpenFile | undefined {
    return this.#files.get(fd);
  }

  /** A file open at a place; of this node, where one is given. */
  at(place: string, node?: NodeId): OpenFile | undefined {
    for (const file of this.#places.get(place) ?? []) {
      if (node === undefined ? !file.stale : file.node === node) return file;
    }
    return undefined;
  }

  take(fd: number): OpenFile | undefined {
    const file = this.#files.get(fd);
    if (file === undefined) return undefined;
    this.#files.delete(fd);
    this.#leave(file);
    return file;
  }

  /** `node` was found at `place`. Returns how many handles of others that made stale. */
  found(place: string, node: NodeId): number {
    let stale = 0;
    for (const file of this.#places.get(place) ?? []) {
      if (file.node === node || file.stale) continue;
      file.stale = true;
      stale++;
    }
    return stale;
  }

  /** A rename through this mount: the files at and beneath `from` are now at `to`. */
  moved(from: string, to: string): void {
    for (const [place, files] of [...this.#places]) {
      if (!isWithin(place, from)) continue;
      for (const file of [...files]) {
        this.#leave(file);
        this.#put(file, to + place.slice(from.length));
      }
    }
  }

  #put(file: OpenFile, place: string): void {
    file.place = place;
    const files = this.#places.get(place);
    if (files === undefined) this.#places.set(place, new Set([file]));
    else files.add(file);
  }

  #leave(file: OpenFile): void {
    const files = this.#places.get(file.place);
    files?.delete(file);
    if (files?.size === 0) this.#places.delete(file.place);
  }
}
