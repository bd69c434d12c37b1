/**
 * Holds the chunks of one object against their checksums: in the reader's hands when it has whole chunks, else through the
 * pool. Whoever needs a chunk that is being checked waits for that check.
 */
import { checksum } from './chunks.ts';
import type { CacheObject } from './object.ts';
import type { ObjectHost } from './object-host.ts';
import { checksumOf } from './verify.ts';

export class ChunkChecks {
  readonly #object: CacheObject;
  readonly #host: ObjectHost;
  readonly #underWay = new Map<number, Promise<boolean>>();
  #wholeUnderWay = false;

  constructor(object: CacheObject, host: ObjectHost) {
    this.#object = object;
    this.#host = host;
  }

  /** Of whole chunks that are in hand; false: one is not what it was, and no longer present. */
  here(bytes: Uint8Array, first: number, last: number): boolean {
    const object = this.#object;
    const from = object.start(first);
    for (let chunk = first; chunk <= last; chunk++) {
      const sum = checksum(bytes.subarray(object.start(chunk) - from, object.end(chunk) - from));
      if (!this.#found(chunk, sum)) return false;
    }
    return true;
  }

  /** Sees to it that all of first..last, which are present, are trusted; false: one was not right, and is gone. */
  async all(first: number, last: number): Promise<boolean> {
    const { chunks } = this.#object;
    for (let chunk = first; chunk <= last; chunk++) {
      if (!chunks.trusts(chunk, chunk) && !(await this.chunk(chunk))) return false;
    }
    return chunks.covers(first, last); // one that was right may have been lost while the next was read
  }

  /** Reads a present chunk and holds it against its checksum; false: it was not right, and is gone. */
  chunk(chunk: number): Promise<boolean> {
    let check = this.#underWay.get(chunk);
    if (check === undefined) {
      check = this.#read(chunk).finally(() => this.#underWay.delete(chunk));
      this.#underWay.set(chunk, check);
    }
    return check;
  }

  async #read(chunk: number): Promise<boolean> {
    const object = this.#object;
    const fd = object.open();
    if (fd < 0) {
      object.broken();
      return false;
    }
    const { tier, buffers } = this.#host;
    object.uses++;
    const sum = await checksumOf(tier, buffers, fd, object.start(chunk), object.end(chunk));
    object.uses--;
    if (object.dropped) this.#host.released(object); // its holders may have gone, and left the descriptor to this
    return object.chunks.has(chunk) && this.#found(chunk, sum);
  }

  /** What a check of a present chunk found; undefined: it cannot be read. */
  #found(chunk: number, sum: number | undefined): boolean {
    const object = this.#object;
    const right = sum === object.chunks.sum(chunk);
    this.#host.integrity.checked(right);
    if (right) object.chunks.trust(chunk);
    else object.damaged(chunk);
    return right;
  }

  /** Checks whatever is not trusted, one chunk after the other, beside the readers. */
  beginAll(): void {
    if (this.#wholeUnderWay) return;
    this.#wholeUnderWay = true;
    void this.#wholeObject().finally(() => {
      this.#wholeUnderWay = false;
    });
  }

  async #wholeObject(): Promise<void> {
    const { chunks } = this.#object;
    try {
      for (let chunk = 0; chunk < chunks.count && !this.#object.dropped; chunk++) {
        if (chunks.has(chunk) && !chunks.trusts(chunk, chunk)) await this.chunk(chunk);
      }
    } catch (error) {
      this.#host.defect(error);
    }
  }
}
