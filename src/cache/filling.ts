/**
 * What is on its way to an object from the source: one fetch a run of chunks, joined by whoever needs one of them.
 *
 *   arrived: its readers have their bytes -> is the source unchanged? -> written to the tier's file -> present
 */
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import type { ContentSource } from './cache.ts';
import { WHOLE_FILE_BYTES } from './chunk-size.ts';
import { checksum } from './chunks.ts';
import { arrive, Fetch, PAGE_BYTES } from './fetch.ts';
import type { CacheObject } from './object.ts';
import type { ObjectHost } from './object-host.ts';
import { Waiting } from './waiting.ts';

/** What becomes of a fetch once it has come. */
type Keep = 'in the tier' | 'in memory' | 'no';

export class Filling {
  readonly #object: CacheObject;
  readonly #host: ObjectHost;
  /** By chunk. */
  readonly #inFlight = new Map<number, Fetch>();
  /** What was brought ahead and has no room in the tier. */
  readonly #waiting: Waiting;

  constructor(object: CacheObject, host: ObjectHost) {
    this.#object = object;
    this.#host = host;
    this.#waiting = new Waiting(host.waitingRoom, () => this.#ends());
  }

  /** Chunks are on their way. */
  get busy(): boolean {
    return this.#inFlight.size > 0;
  }

  /** Bytes of one fetch that have arrived and are not kept, or not yet; -EAGAIN: there are none, or not all. */
  readNow(into: Uint8Array, offset: number, end: number): number {
    const fetch = this.#inFlight.get(this.#object.chunkOf(offset)) ?? this.#waiting.at(offset);
    if (fetch === undefined || fetch.arrivedBytes < fetch.length || end > fetch.offset + fetch.length)
      return -Errno.EAGAIN;
    into.set(fetch.buffer.bytes.subarray(offset - fetch.offset, end - fetch.offset));
    this.#waiting.taken(offset, end);
    return end - offset;
  }

  /** A reader has a range in hand, or the fetches that bring it. */
  taken(offset: number, end: number): void {
    this.#waiting.taken(offset, end);
  }

  /** The object is out of the cache: nobody is served from what waits. */
  dropped(): void {
    this.#waiting.clear();
  }

  /** Whether all of a range waits in memory, or is on its way there. */
  waits(offset: number, end: number): boolean {
    return !this.#waiting.empty && this.#waiting.covering(offset, end) !== undefined;
  }

  /**
   * The fetches under way or begun now that bring what is missing of a range. `demand`: a reader waits for it. Else what
   * would not be kept is not fetched, or waits in memory (`mayWait`), and room that is free is taken before: readers' misses must
   * not take it meanwhile.
   */
  fetches(offset: number, end: number, source: ContentSource, demand: boolean, mayWait = false): Fetch[] {
    const object = this.#object;
    const whole = object.key.size <= WHOLE_FILE_BYTES;
    const first = whole ? 0 : object.chunkOf(offset);
    const last = object.chunkOf((whole ? object.key.size : end) - 1);
    const fetches: Fetch[] = [];
    for (let chunk = first; chunk <= last; ) {
      const under = this.#inFlight.get(chunk);
      if (under !== undefined) {
        fetches.push(under);
        chunk = under.lastChunk + 1;
      } else if (object.chunks.has(chunk)) {
        chunk++;
      } else {
        const from = chunk;
        while (chunk <= last && !this.#inFlight.has(chunk) && !object.chunks.has(chunk)) chunk++;
        const waiting = this.#waitingFor(from, chunk - 1, offset, end);
        if (waiting !== undefined) {
          fetches.push(...waiting);
          continue;
        }
        const taken = this.#host.takes(object, from, chunk - from);
        if (taken > 0) {
          chunk = from + taken;
          fetches.push(this.#begin(from, chunk - 1, source, demand));
        } else if (demand) fetches.push(this.#beginAround(from, chunk - 1, offset, end, source));
        else if (mayWait) fetches.push(...this.#beginWaiting(from, chunk - 1, offset, end, source));
      }
    }
    return fetches;
  }

  /** What waits of the part of a range that lies in some chunks; undefined: not all of that does. */
  #waitingFor(firstChunk: number, lastChunk: number, offset: number, end: number): Fetch[] | undefined {
    if (this.#waiting.empty) return undefined;
    const object = this.#object;
    return this.#waiting.covering(Math.max(object.start(firstChunk), offset), Math.min(object.end(lastChunk), end));
  }

  /** A fetch of whole chunks, which are kept. */
  #begin(firstChunk: number, lastChunk: number, source: ContentSource, demand: boolean): Fetch {
    const object = this.#object;
    const fetch = this.#fetch(firstChunk, lastChunk, object.start(firstChunk), object.end(lastChunk), source, demand);
    for (let chunk = firstChunk; chunk <= lastChunk; chunk++) this.#inFlight.set(chunk, fetch);
    fetch.hasRoom = !demand && this.#host.tier.reserve(fetch.length);
    fetch.kept = this.#finish(fetch, source, 'in the tier');
    return fetch;
  }

  /**
   * A fetch past the cache: of the chunks only the pages that were asked for. Whoever wants others of them would have to
   * ask the source again all the same.
   */
  #beginAround(firstChunk: number, lastChunk: number, offset: number, end: number, source: ContentSource): Fetch {
    const [from, to] = this.#pagesOf(firstChunk, lastChunk, offset, end);
    const fetch = this.#fetch(firstChunk, lastChunk, from, to, source, true);
    fetch.kept = this.#finish(fetch, source, 'no');
    return fetch;
  }

  /** The same for a reader who comes soon; none: there is no room in memory either. */
  #beginWaiting(firstChunk: number, lastChunk: number, offset: number, end: number, source: ContentSource): Fetch[] {
    const [from, to] = this.#pagesOf(firstChunk, lastChunk, offset, end);
    if (this.#host.buffers.exhausted || !this.#waiting.takes(to - from)) return [];
    const fetch = this.#fetch(firstChunk, lastChunk, from, to, source, false);
    this.#waiting.put(fetch);
    fetch.kept = this.#finish(fetch, source, 'in memory');
    return [fetch];
  }

  /** Of a range, the pages that lie in some chunks: where they begin and end. */
  #pagesOf(firstChunk: number, lastChunk: number, offset: number, end: number): [from: number, to: number] {
    const object = this.#object;
    return [
      Math.max(object.start(firstChunk), Math.floor(offset / PAGE_BYTES) * PAGE_BYTES),
      Math.min(object.end(lastChunk), Math.ceil(end / PAGE_BYTES) * PAGE_BYTES),
    ];
  }

  #fetch(
    firstChunk: number,
    lastChunk: number,
    offset: number,
    end: number,
    source: ContentSource,
    demand: boolean,
  ): Fetch {
    const length = end - offset;
    const buffer = this.#host.buffers.take(length);
    const arrived = arrive(source, buffer.bytes, length, offset).then((count) => {
      if (failed(count)) return count;
      if (demand) this.#host.miss(count);
      fetch.arrivedBytes = count;
      return count;
    });
    const fetch = new Fetch(firstChunk, lastChunk, offset, length, buffer, arrived);
    return fetch;
  }

  /** What happens to a fetch after its readers have their bytes. Never rejects. */
  async #finish(fetch: Fetch, source: ContentSource, keep: Keep): Promise<Outcome<number>> {
    const object = this.#object;
    let waits = false;
    try {
      const count = await fetch.arrived;
      if (failed(count)) return count;
      if (count < fetch.length) object.changed();
      else if (keep !== 'no') {
        const same = await this.#unchanged(source);
        if (failed(same)) return same;
        waits = same === true && keep === 'in memory';
        if (waits || (same && (await this.#store(fetch)))) return fetch.length;
      }
    } catch (error) {
      this.#host.defect(error);
    } finally {
      if (fetch.hasRoom) this.#host.tier.free(fetch.length); // nothing came of it
      if (keep === 'in the tier') {
        for (let chunk = fetch.firstChunk; chunk <= fetch.lastChunk; chunk++) this.#inFlight.delete(chunk);
        this.#ends();
      } else if (!waits) this.#waiting.remove(fetch);
      fetch.buffer.release();
      this.#host.released(object); // its readers may have gone long since
    }
    return 0;
  }

  /** Of what is kept nothing is on its way, and nothing waits: there is nothing to be known here any more. */
  #ends(): void {
    if (!this.busy && this.#waiting.empty) this.#object.filled();
  }

  async #unchanged(source: ContentSource): Promise<Outcome<boolean>> {
    const object = this.#object;
    if (object.dropped || object.stale) return false;
    const same = await source.unchanged();
    if (failed(same)) return same;
    if (!same) object.changed();
    return same && !object.dropped;
  }

  /** Writes it to the tier; false when it cannot be kept. */
  async #store(fetch: Fetch): Promise<boolean> {
    const object = this.#object;
    const hasRoom = fetch.hasRoom || this.#host.tier.reserve(fetch.length);
    if (!hasRoom && !(await this.#host.makeRoom(object, fetch.length))) return false;
    fetch.hasRoom = false;
    object.uses++; // from before the descriptor is there: between its coming and its use it must not be closed
    const grows = !object.hasFile && fetch.length === object.key.size; // one write makes all of it
    const fd = await object.openOrCreate(grows ? 0 : object.key.size);
    let stored = Math.min(fd, 0);
    if (stored === 0 && !grows && !this.#host.tier.whole(fd, object.key.size)) {
      stored = -Errno.EIO; // cut short by someone: this write would fill what is lost with zeros
      object.broken();
    }
    const bytes = fetch.buffer.bytes.subarray(0, fetch.length);
    if (stored === 0) {
      stored = await this.#host.tier.write(fd, bytes, fetch.offset);
      if (stored < 0 && grows) await this.#host.tier.extend(fd, object.key.size); // as the next write must find it
    }
    object.uses--;
    if (object.dropped) {
      object.bytes += fetch.length; // in its file, which goes with its holders
      this.#host.abandoned(object, fetch.length);
      return false;
    }
    if (stored < 0) {
      this.#host.tier.free(fetch.length);
      return false;
    }
    for (let chunk = fetch.firstChunk; chunk <= fetch.lastChunk; chunk++) {
      const from = object.start(chunk) - fetch.offset;
      object.chunks.put(chunk, checksum(bytes.subarray(from, object.end(chunk) - fetch.offset)));
    }
    object.bytes += fetch.length;
    this.#host.kept(object, fetch.length);
    object.synced = false;
    this.#host.written(object);
    return true;
  }
}
