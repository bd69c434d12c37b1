/**
 * The content of one file at one version, in one file of a tier: which chunks are there, and how a read of it is answered.
 *
 *   readNow   all chunks present, no waiting: copied into the reply
 *   read      missing chunks: one fetch a run, joined by whoever needs the same; answered as soon as the bytes are in hand
 *             -> then: is the source unchanged? -> written to the tier -> present
 *
 * INVARIANT: a chunk is present only after its bytes are in the tier's file. An exposed object is never written again.
 */
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import type { ChunkBuffer } from './buffers.ts';
import type { CachedContent, ContentBytes, ContentKey, ContentSource } from './cache.ts';
import { ChunkMap } from './chunk-map.ts';
import type { ObjectItem } from './eviction/room.ts';
import { Fetch } from './fetch.ts';
import type { IndexRow } from './index-db.ts';
import type { ObjectHost } from './object-host.ts';

/** A file up to this size is fetched whole at its first miss: a trip costs more than its bytes. */
const WHOLE_FILE_BYTES = 1024 * 1024;
const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;

export class CacheObject implements CachedContent {
  readonly id: number;
  readonly key: ContentKey;
  readonly chunkBytes: number;
  /** What the policy knows it as. */
  item!: ObjectItem;
  /** Lets go of the one reference that only waits for the next open. */
  letGo: (() => void) | undefined;
  /** Resolves when its file has no name any more; set when it is dropped. */
  unlinked: Promise<void> | undefined;
  /** Absent once every chunk is present. */
  #map: ChunkMap | undefined;
  /** Bytes present. */
  bytes: number;
  exposed: boolean;
  synced: boolean;
  stale = false;
  /** Not in the cache any more: its file is unlinked, those who hold it read what it has. */
  dropped = false;
  references = 0;
  /** The tier has a file of it, with or without bytes that count. */
  hasFile: boolean;
  /** When it was last written to (monotonic ms), for the pass that syncs. */
  writtenAtMs = 0;

  readonly #host: ObjectHost;
  /** The tier's file; -1 when not open. Closed by the host's list of idle ones, never while `#uses` > 0. */
  fd = -1;
  uses = 0;
  #creating: Promise<number> | undefined;
  readonly #inFlight = new Map<number, Fetch>();

  constructor(host: ObjectHost, id: number, key: ContentKey, chunkBytes: number, row?: IndexRow) {
    this.#host = host;
    this.id = id;
    this.key = key;
    this.chunkBytes = chunkBytes;
    this.bytes = row?.bytes ?? 0;
    this.hasFile = this.bytes > 0;
    this.exposed = row?.exposed === 1;
    this.synced = row?.synced === 1;
    const chunks = Math.ceil(key.size / chunkBytes);
    const complete = key.size === 0 || (row !== undefined && row.chunks === null);
    this.#map = complete ? undefined : new ChunkMap(chunks, row?.chunks ?? undefined);
  }

  get complete(): boolean {
    return this.#map === undefined;
  }

  /** Bytes are on their way to it. */
  get busy(): boolean {
    return this.#inFlight.size > 0;
  }

  /** Removing it would free nothing now. */
  get held(): boolean {
    return this.busy || this.uses > 0 || this.references > (this.letGo === undefined ? 0 : 1);
  }

  park(letGo: (() => void) | undefined): void {
    if (letGo === undefined && this.letGo !== undefined) this.#host.reused(this);
    this.letGo = letGo;
  }

  row(): IndexRow {
    return {
      id: this.id,
      file: this.key.file,
      version: this.key.version,
      size: this.key.size,
      chunkBytes: this.chunkBytes,
      chunks: this.#map?.bytes() ?? null,
      bytes: this.bytes,
      exposed: this.exposed ? 1 : 0,
      synced: this.synced ? 1 : 0,
    };
  }

  release(): void {
    this.letGo = undefined; // whoever parked it has gone, or is not alone
    this.references--;
    this.#host.released(this);
  }

  // --- reading ---------------------------------------------------------------------------------------------------------

  readNow(into: Uint8Array, length: number, offset: number): number {
    const end = Math.min(offset + length, this.key.size);
    if (offset >= end) return 0;
    if (!this.#present(offset, end)) return -Errno.EAGAIN;
    const fd = this.#open();
    if (fd < 0) return -Errno.EAGAIN;
    const count = this.#host.readNow(fd, into, end - offset, offset);
    if (count !== end - offset) return -Errno.EAGAIN; // not in memory, or not right: `read` finds out
    this.#host.hit(count);
    return count;
  }

  async read(length: number, offset: number, source: ContentSource): Promise<Outcome<ContentBytes>> {
    const end = Math.min(offset + length, this.key.size);
    if (offset >= end) return { bytes: new Uint8Array(0) };
    if (this.#present(offset, end)) {
      const bytes = await this.#readTier(end - offset, offset);
      if (bytes !== undefined) return bytes;
      this.#broken();
    }
    if (this.dropped || this.stale) return this.#readAround(end - offset, offset, source);
    return this.#readFetched(offset, end, source);
  }

  #present(offset: number, end: number): boolean {
    const map = this.#map;
    return map === undefined || map.covers(this.#chunkOf(offset), this.#chunkOf(end - 1));
  }

  #chunkOf(offset: number): number {
    return Math.floor(offset / this.chunkBytes);
  }

  /** From the tier through the pool; undefined when its file does not have what it should. */
  async #readTier(length: number, offset: number): Promise<ContentBytes | undefined> {
    const fd = this.#open();
    if (fd < 0) return undefined;
    const buffer = this.#host.buffers.take(length);
    this.uses++;
    const count = await this.#host.tier.read(fd, buffer.bytes, length, offset);
    this.uses--;
    if (this.dropped) this.#host.released(this); // its holders may have gone meanwhile, and left the descriptor to this read
    if (count !== length) {
      buffer.release();
      return undefined;
    }
    this.#host.hit(count);
    return { bytes: buffer.bytes.subarray(0, count), release: () => buffer.release() };
  }

  /** Past the cache: the object is of no use any more. */
  async #readAround(length: number, offset: number, source: ContentSource): Promise<Outcome<ContentBytes>> {
    const buffer = this.#host.buffers.take(length);
    const count = await source.read(buffer.bytes, length, offset);
    if (failed(count)) {
      buffer.release();
      return count;
    }
    this.#host.miss(count);
    return { bytes: buffer.bytes.subarray(0, count), fetched: true, release: () => buffer.release() };
  }

  async #readFetched(offset: number, end: number, source: ContentSource): Promise<Outcome<ContentBytes>> {
    const fetches = this.#fetchesFor(offset, end, source);
    const [only] = fetches;
    if (fetches.length === 1 && only !== undefined && only.offset <= offset && only.offset + only.length >= end) {
      only.buffer.retain();
      const count = await only.arrived;
      if (failed(count)) {
        only.buffer.release();
        return count;
      }
      const from = Math.min(offset - only.offset, count);
      const to = Math.min(end - only.offset, count);
      return { bytes: only.buffer.bytes.subarray(from, to), fetched: true, release: () => only.buffer.release() };
    }
    return this.#assemble(offset, end, fetches, source);
  }

  /** Puts a read together from several fetches and what the tier already had. */
  async #assemble(
    offset: number,
    end: number,
    fetches: Fetch[],
    source: ContentSource,
  ): Promise<Outcome<ContentBytes>> {
    for (const fetch of fetches) fetch.buffer.retain();
    const result = this.#host.buffers.take(end - offset);
    const outcome = await this.#assembleInto(result, offset, end, fetches);
    for (const fetch of fetches) fetch.buffer.release();
    if (outcome !== undefined && !failed(outcome)) {
      return { bytes: result.bytes.subarray(0, outcome), fetched: true, release: () => result.release() };
    }
    result.release();
    return outcome ?? this.#readAround(end - offset, offset, source);
  }

  /** The count put together; undefined when the tier does not have what it should. */
  async #assembleInto(
    result: ChunkBuffer,
    offset: number,
    end: number,
    fetches: Fetch[],
  ): Promise<Outcome<number> | undefined> {
    let at = offset;
    while (at < end) {
      const fetch = fetches.find((one) => one.offset <= at && at < one.offset + one.length);
      const next = fetches.reduce((least, one) => (one.offset > at ? Math.min(least, one.offset) : least), end);
      if (fetch === undefined) {
        const part = await this.#readTier(next - at, at);
        if (part === undefined) {
          this.#broken();
          return undefined;
        }
        result.bytes.set(part.bytes, at - offset);
        part.release?.();
        at = next;
        continue;
      }
      const count = await fetch.arrived;
      if (failed(count)) return count;
      const stop = Math.min(fetch.offset + count, end);
      if (stop <= at) break; // the file has become shorter
      result.bytes.set(fetch.buffer.bytes.subarray(at - fetch.offset, stop - fetch.offset), at - offset);
      at = stop;
      if (count < fetch.length) break;
    }
    return at - offset;
  }

  // --- fetching --------------------------------------------------------------------------------------------------------

  /** The fetches under way or begun now that bring every missing chunk of a range. */
  #fetchesFor(offset: number, end: number, source: ContentSource): Fetch[] {
    const whole = this.key.size <= WHOLE_FILE_BYTES;
    const first = whole ? 0 : this.#chunkOf(offset);
    const last = this.#chunkOf((whole ? this.key.size : end) - 1);
    const fetches: Fetch[] = [];
    for (let chunk = first; chunk <= last; ) {
      const under = this.#inFlight.get(chunk);
      if (under !== undefined) {
        fetches.push(under);
        chunk = under.lastChunk + 1;
      } else if (this.#map?.has(chunk) !== false) {
        chunk++;
      } else {
        const from = chunk;
        while (chunk <= last && !this.#inFlight.has(chunk) && this.#map?.has(chunk) === false) chunk++;
        fetches.push(this.#begin(from, chunk - 1, source));
      }
    }
    return fetches;
  }

  #begin(firstChunk: number, lastChunk: number, source: ContentSource): Fetch {
    const offset = firstChunk * this.chunkBytes;
    const length = Math.min((lastChunk + 1) * this.chunkBytes, this.key.size) - offset;
    const keep = !this.#host.buffers.exhausted;
    const buffer = this.#host.buffers.take(length);
    const room = Math.min(buffer.bytes.length, Math.ceil(length / 4096) * 4096);
    const arrived = source.read(buffer.bytes, room, offset).then(async (count) => {
      if (failed(count)) return count;
      const useful = Math.min(count, length);
      this.#host.miss(useful);
      // The end of a file that has become shorter, or of one whose store lies: a file cut short is no answer.
      if (useful < length && (await source.unchanged())) return -Errno.EIO;
      return useful;
    });
    const fetch = new Fetch(firstChunk, lastChunk, offset, length, buffer, arrived);
    for (let chunk = firstChunk; chunk <= lastChunk; chunk++) this.#inFlight.set(chunk, fetch);
    void this.#finish(fetch, source, keep);
    return fetch;
  }

  /** What happens to a fetch after its readers have their bytes. Never rejects. */
  async #finish(fetch: Fetch, source: ContentSource, keep: boolean): Promise<void> {
    try {
      const count = await fetch.arrived;
      if (failed(count)) return;
      if (count < fetch.length) this.#changed();
      else if (keep && (await this.#unchanged(source))) await this.#store(fetch);
    } catch (error) {
      this.#host.defect(error);
    } finally {
      for (let chunk = fetch.firstChunk; chunk <= fetch.lastChunk; chunk++) this.#inFlight.delete(chunk);
      fetch.buffer.release();
      this.#host.released(this); // its readers may have gone long since
    }
  }

  async #unchanged(source: ContentSource): Promise<boolean> {
    if (this.dropped || this.stale) return false;
    const same = await source.unchanged();
    if (!same) this.#changed();
    return same && !this.dropped;
  }

  async #store(fetch: Fetch): Promise<void> {
    if (!this.#host.tier.reserve(fetch.length) && !(await this.#host.makeRoom(this, fetch.length))) return;
    this.uses++; // from before the descriptor is there: between its coming and its use it must not be closed
    const fd = await this.#openOrCreate();
    let stored = Math.min(fd, 0);
    if (stored === 0) {
      stored = await this.#host.tier.write(fd, fetch.buffer.bytes.subarray(0, fetch.length), fetch.offset);
    }
    this.uses--;
    if (this.dropped) {
      this.bytes += fetch.length; // in its file, which goes with its holders
      this.#host.abandoned(this, fetch.length);
      return;
    }
    if (stored < 0 || this.#map === undefined) {
      this.#host.tier.free(fetch.length);
      return;
    }
    for (let chunk = fetch.firstChunk; chunk <= fetch.lastChunk; chunk++) this.#map.set(chunk);
    this.bytes += fetch.length;
    this.#host.kept(this, fetch.length);
    this.synced = false;
    if (this.#map.full) this.#map = undefined;
    this.#host.written(this);
  }

  // --- the tier's file -------------------------------------------------------------------------------------------------

  /** The open file of an object that has one; a negated errno when it is not what it should be. */
  #open(): number {
    if (this.fd >= 0) {
      this.#host.touch(this);
      return this.fd;
    }
    if (!this.hasFile) return -Errno.ENOENT;
    this.fd = this.#host.tier.open(this.id, this.key.size);
    if (this.fd >= 0) this.#host.touch(this);
    return this.fd;
  }

  async #openOrCreate(): Promise<number> {
    if (this.hasFile) return this.#open();
    this.#creating ??= this.#host.tier.create(this.id, this.key.size).then((fd) => {
      this.#creating = undefined;
      this.fd = fd;
      this.hasFile = fd >= 0;
      if (fd >= 0) this.#host.touch(this);
      return fd;
    });
    return this.#creating;
  }

  expose(): number {
    if (!this.complete || this.key.size === 0 || this.dropped) return -Errno.EAGAIN;
    const checked = this.#open();
    if (checked < 0) {
      this.#broken();
      return checked;
    }
    // By the descriptor that was checked, not by a name that may lead elsewhere by now.
    const fd = sys.openat.now(-100, sys.cstring(`/proc/self/fd/${checked}`), O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0 && !this.exposed) {
      this.exposed = true;
      this.#host.written(this);
    }
    return fd;
  }

  /** The source has other content now: what this object holds is right for its version, but no more can be had. */
  #changed(): void {
    if (this.stale) return;
    this.stale = true;
    this.#host.remove(this);
  }

  /** The tier's file is damaged or gone. */
  #broken(): void {
    this.#host.broken(this);
  }
}
