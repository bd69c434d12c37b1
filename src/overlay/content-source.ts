/**
 * An inode's source file as the cache reads it: bytes of one version, and the question whether it still is that version. A fetch
 * may outlast the operation that began it; the use of the source file keeps the inode from going to rest meanwhile, and between
 * its bytes and the question nothing else has a turn of the loop.
 */
import type { ContentSource } from '../cache/cache.ts';
import type { Attributes } from '../store/attributes.ts';
import type { Store, Version } from '../store/store.ts';
import { failed, isGone, type Outcome } from '../sys/errno.ts';
import type { Inode } from './inode.ts';
import type { SourceFiles } from './source.ts';

export class InodeContentSource implements ContentSource {
  readonly #inode: Inode;
  readonly #version: Version;
  readonly #store: Store;
  readonly #sources: SourceFiles;
  #checking: Promise<Outcome<boolean>> | undefined;
  #next: Promise<Outcome<boolean>> | undefined;

  constructor(inode: Inode, store: Store, sources: SourceFiles) {
    this.#inode = inode;
    this.#version = inode.version;
    this.#store = store;
    this.#sources = sources;
  }

  get version(): Version {
    return this.#version;
  }

  async read(into: Uint8Array, length: number, offset: number): Promise<Outcome<number>> {
    const file = await this.#sources.acquire(this.#inode);
    if (failed(file)) return file;
    const count = await this.#store.read(file, into, length, offset, this.#inode.attributes.size);
    this.#sources.release(this.#inode);
    return count;
  }

  /**
   * One question to the store covers every read that had ended when it was asked: with many fetches in flight most wait
   * for the next answer together instead of asking once each.
   */
  unchanged(): Promise<Outcome<boolean>> {
    if (this.#checking === undefined) {
      this.#checking = this.#check();
      return this.#checking;
    }
    this.#next ??= this.#checking.then(() => {
      this.#next = undefined;
      this.#checking = this.#check();
      return this.#checking;
    });
    return this.#next;
  }

  async #check(): Promise<Outcome<boolean>> {
    const file = await this.#sources.acquire(this.#inode);
    let attributes: Outcome<Attributes> = failed(file) ? file : 0;
    if (!failed(file)) {
      attributes = await this.#store.attributes(this.#inode.node, file);
      this.#sources.release(this.#inode);
    }
    this.#checking = undefined;
    if (failed(attributes)) return isGone(attributes) ? false : attributes;
    return this.#store.version(attributes as Attributes) === this.#version;
  }
}
