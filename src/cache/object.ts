/**
 * The content of one file at one version, in one file of a tier: which chunks are there, and how a read of it is answered.
 *
 *   readNow   all chunks present, no waiting: copied into the reply
 *   read      missing chunks: one fetch a run, joined by whoever needs the same; answered as soon as the bytes are in hand
 *             -> then: is the source unchanged? -> written to the tier -> present
 *             chunks for which there is no room: the pages that were asked for, and no more
 *   expose    all chunks present: the file itself, for the kernel
 *
 * What an earlier run of the daemon left is held against its checksums before its first use; a chunk that is not what it
 * was is dropped and fetched again.
 *
 * INVARIANT: a chunk is present only after its bytes are in the tier's file. An exposed object is never written again.
 */
import type { Carrier } from '../sys/carrier.ts';
import { secondsNow } from '../sys/clock.ts';
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import { O_CLOEXEC, O_RDONLY } from '../sys/open-flags.ts';
import { assemble } from './assemble.ts';
import type { CachedContent, ContentBytes, ContentKey, ContentSource, FillOptions } from './cache.ts';
import { ChunkChecks } from './checks.ts';
import { Chunks } from './chunks.ts';
import type { ObjectItem } from './eviction/object-item.ts';
import type { Fetch } from './fetch.ts';
import { Filling } from './filling.ts';
import type { IndexRow } from './index-db.ts';
import type { ObjectHost } from './object-host.ts';

/** How exactly the index knows when an object was last used. */
const USED_SECONDS = 600;

export class CacheObject implements CachedContent {
  readonly id: number;
  readonly key: ContentKey;
  readonly chunkBytes: number;
  readonly chunks: Chunks;
  /** What the policy knows it as. */
  item!: ObjectItem;
  /** Lets go of the one reference that only waits for the next open. */
  letGo: (() => void) | undefined;
  /** Resolves when its file has no name any more; set when it is dropped. */
  unlinked: Promise<void> | undefined;
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
  /** Since it was looked at whether it may rest. */
  usedLately = false;
  /** When it rested last it was put among those to be synced, and its turn has not come. */
  queued = false;
  /** It is among those that the cache counts as complete. */
  countedComplete = false;
  /** When it was last used as the index has it; seconds since 1970. */
  usedAtS: number;

  readonly #host: ObjectHost;
  /** The tier's file; -1 when not open. Closed by the host's list of idle ones, never while `#uses` > 0. */
  fd = -1;
  uses = 0;
  #creating: Promise<number> | undefined;
  /** Made when it is needed: there may be a million objects. */
  #filling: Filling | undefined;
  /** Made when there is something to check. */
  #checks: ChunkChecks | undefined;

  /** A new object, or with `row` and `chunks` one that is resumed. */
  constructor(host: ObjectHost, id: number, key: ContentKey, chunkBytes: number, row?: IndexRow, chunks?: Chunks) {
    this.#host = host;
    this.id = id;
    this.key = key;
    this.chunkBytes = chunkBytes;
    this.bytes = row?.bytes ?? 0;
    this.hasFile = this.bytes > 0;
    this.exposed = row?.exposed === 1;
    this.synced = row?.synced === 1;
    this.usedAtS = row?.used ?? secondsNow();
    this.chunks = chunks ?? Chunks.none(Math.ceil(key.size / chunkBytes));
  }

  /** The object of a row; undefined when the row cannot be one. */
  static resume(host: ObjectHost, row: IndexRow): CacheObject | undefined {
    const { id, file, version, size, chunkBytes } = row;
    if (!(size > 0 && chunkBytes >= 4096 && row.bytes > 0 && row.bytes <= size)) return undefined;
    const chunks = Chunks.stored(Math.ceil(size / chunkBytes), row.chunks, row.sums);
    return chunks && new CacheObject(host, id, { file, version, size }, chunkBytes, row, chunks);
  }

  get complete(): boolean {
    return this.chunks.complete;
  }

  /** Bytes are on their way to it. */
  get busy(): boolean {
    return this.#filling?.busy === true;
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
      chunks: this.chunks.storedMap(),
      sums: this.chunks.storedSums(),
      bytes: this.bytes,
      exposed: this.exposed ? 1 : 0,
      synced: this.synced ? 1 : 0,
      used: this.usedAtS,
      pin: this.item.pin,
    };
  }

  /** Somebody opened it: its row says so, to ten minutes. */
  used(): void {
    const now = secondsNow();
    if (now - this.usedAtS < USED_SECONDS) return;
    this.usedAtS = now;
    if (this.bytes > 0) this.#host.touched(this);
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
    const first = this.chunkOf(offset);
    const last = this.chunkOf(end - 1);
    if (!this.chunks.covers(first, last)) return this.#arrived(into, offset, end);
    const trusted = this.chunks.trusts(first, last);
    // To be checked here the bytes must be whole chunks: small files always are.
    if (!trusted && (offset !== this.start(first) || end !== this.end(last))) return -Errno.EAGAIN;
    const fd = this.open();
    if (fd < 0) return -Errno.EAGAIN;
    const count = this.#host.readNow(fd, into, end - offset, offset);
    if (count !== end - offset) return -Errno.EAGAIN; // not in memory, or not right: `read` finds out
    if (!trusted && !this.checks.here(into, first, last)) return -Errno.EAGAIN;
    this.#host.hit(count);
    return count;
  }

  /** What has come from the source and is still being kept. */
  #arrived(into: Uint8Array, offset: number, end: number): number {
    if (this.#filling === undefined || this.dropped || this.stale) return -Errno.EAGAIN;
    const count = this.#filling.readNow(into, offset, end);
    if (count > 0) this.#host.hit(count);
    return count;
  }

  carryNow(carrier: Carrier, length: number, offset: number): number {
    const end = Math.min(offset + length, this.key.size);
    if (offset >= end) return 0;
    const first = this.chunkOf(offset);
    const last = this.chunkOf(end - 1);
    if (!this.chunks.covers(first, last) || !this.chunks.trusts(first, last)) return -Errno.EAGAIN; // `readNow` may check
    const fd = this.open();
    if (fd < 0 || !this.#host.tier.residency.covers(fd, offset, end - offset)) return -Errno.EAGAIN;
    if (!carrier.take(fd, offset, end - offset, length)) return -Errno.EAGAIN;
    this.#host.hit(end - offset);
    return end - offset;
  }

  async read(length: number, offset: number, source: ContentSource): Promise<Outcome<ContentBytes>> {
    const end = Math.min(offset + length, this.key.size);
    if (offset >= end) return { bytes: new Uint8Array(0) };
    if (this.#present(offset, end)) {
      const bytes = await this.#readTier(end - offset, offset);
      if (bytes !== undefined) return bytes;
    }
    if (this.dropped || this.stale) return this.#readAround(end - offset, offset, source);
    return this.#readFetched(offset, end, source);
  }

  missingBytes(offset: number, length: number): number {
    const end = Math.min(offset + length, this.key.size);
    if (this.complete) return 0;
    let missing = 0;
    for (let at = offset; at < end; ) {
      const chunk = this.chunkOf(at);
      const next = Math.min(this.end(chunk), end);
      if (!this.chunks.has(chunk) && !this.#filling?.waits(at, next)) missing += next - at;
      at = next;
    }
    return missing;
  }

  #present(offset: number, end: number): boolean {
    return this.chunks.covers(this.chunkOf(offset), this.chunkOf(end - 1));
  }

  chunkOf(offset: number): number {
    return Math.floor(offset / this.chunkBytes);
  }

  /** Where a chunk begins in the file, and where it ends. */
  start(chunk: number): number {
    return chunk * this.chunkBytes;
  }

  end(chunk: number): number {
    return Math.min((chunk + 1) * this.chunkBytes, this.key.size);
  }

  /**
   * From the tier through the pool; undefined when its file does not have what it should: what it lacks is then no longer
   * present.
   */
  async #readTier(length: number, offset: number): Promise<ContentBytes | undefined> {
    const first = this.chunkOf(offset);
    const last = this.chunkOf(offset + length - 1);
    const trusted = this.chunks.trusts(first, last);
    if (!trusted && !(await this.checks.all(first, last))) return undefined;
    const fd = this.open();
    if (fd < 0) {
      this.broken();
      return undefined;
    }
    const buffer = this.#host.buffers.take(length);
    this.uses++;
    let count = trusted ? -1 : this.#host.readNow(fd, buffer.bytes, length, offset); // just checked: it is in memory
    if (count !== length) count = await this.#host.tier.read(fd, buffer.bytes, length, offset);
    this.uses--;
    if (this.dropped) this.#host.released(this); // its holders may have gone meanwhile, and left the descriptor to this read
    if (count !== length) {
      buffer.release();
      this.broken();
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
    const fetches = this.#fetches(offset, end, source, true);
    const [only] = fetches;
    if (fetches.length === 1 && only !== undefined && only.offset <= offset && only.offset + only.length >= end) {
      only.buffer.retain();
      this.#filling?.taken(offset, end);
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
    this.#filling?.taken(offset, end);
    const result = this.#host.buffers.take(end - offset);
    const outcome = await assemble(result.bytes, offset, end, fetches, (length, at) => this.#readTier(length, at));
    for (const fetch of fetches) fetch.buffer.release();
    if (outcome !== undefined && !failed(outcome)) {
      return { bytes: result.bytes.subarray(0, outcome), fetched: true, release: () => result.release() };
    }
    result.release();
    return outcome ?? this.#readAround(end - offset, offset, source);
  }

  // --- fetching --------------------------------------------------------------------------------------------------------

  async fill(
    length: number,
    offset: number,
    source: ContentSource,
    { arrived, mayWait = false }: FillOptions = {},
  ): Promise<Outcome<number>> {
    const end = Math.min(offset + length, this.key.size);
    if (offset >= end) return 0;
    if (this.dropped || this.stale) return -Errno.ESTALE;
    const fetches = this.#fetches(offset, end, source, false, mayWait);
    if (arrived !== undefined) {
      for (const fetch of fetches) await fetch.arrived;
      arrived();
    }
    let brought = 0;
    let failure = 0;
    for (const fetch of fetches) {
      const kept = await fetch.kept;
      if (failed(kept)) failure = kept;
      else brought += kept;
    }
    if (failure !== 0) return failure;
    if (this.#present(offset, end) || (mayWait && brought > 0)) return brought;
    return this.dropped || this.stale ? -Errno.ESTALE : -Errno.ENOSPC;
  }

  #fetches(offset: number, end: number, source: ContentSource, demand: boolean, mayWait = false): Fetch[] {
    this.#filling ??= new Filling(this, this.#host);
    return this.#filling.fetches(offset, end, source, demand, mayWait);
  }

  /** Out of the cache: see `dropped`. */
  drop(): void {
    this.dropped = true;
    this.#filling?.dropped();
  }

  /** Nothing is on its way any more. */
  filled(): void {
    this.#filling = undefined;
  }

  // --- the tier's file -------------------------------------------------------------------------------------------------

  /** The open file of an object that has one; a negated errno when it is not what it should be. */
  open(): number {
    if (this.fd >= 0) {
      this.#host.touch(this);
      return this.fd;
    }
    if (!this.hasFile) return -Errno.ENOENT;
    this.fd = this.#host.tier.open(this.id, this.key.size);
    if (this.fd >= 0) this.#host.touch(this);
    return this.fd;
  }

  async openOrCreate(size: number): Promise<number> {
    if (this.hasFile) return this.open();
    this.#creating ??= this.#host.tier.create(this.id, size).then((fd) => {
      this.#creating = undefined;
      this.fd = fd;
      this.hasFile = fd >= 0;
      if (fd >= 0) this.#host.touch(this);
      return fd;
    });
    return this.#creating;
  }

  /**
   * What the kernel reads by itself cannot be checked later. So an object of an earlier run is checked as a whole first,
   * beside the readers, whom the daemon serves meanwhile: to wait for gigabytes would hold up the open.
   */
  expose(): number {
    if (!this.complete || this.key.size === 0 || this.dropped) return -Errno.EAGAIN;
    if (!this.chunks.trustsAll) {
      this.checks.beginAll();
      return -Errno.EAGAIN;
    }
    const checked = this.open();
    if (checked < 0 || !this.#host.tier.whole(checked, this.key.size)) {
      this.broken();
      return checked < 0 ? checked : -Errno.EIO;
    }
    // By the descriptor that was checked, not by a name that may lead elsewhere by now.
    const fd = sys.openat.now(-100, sys.cstring(`/proc/self/fd/${checked}`), O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0 && !this.exposed) {
      this.exposed = true;
      this.#host.written(this);
    }
    return fd;
  }

  get checks(): ChunkChecks {
    this.#checks ??= new ChunkChecks(this, this.#host);
    return this.#checks;
  }

  /** A present chunk is not what it was: it goes, and with it an exposed object as a whole, which must not be written. */
  damaged(chunk: number): void {
    const { integrity, tier } = this.#host;
    integrity.damaged({ object: tier.path(this.id), file: this.key.file, chunk });
    const length = this.end(chunk) - this.start(chunk);
    this.chunks.lose(chunk);
    if (this.dropped) return; // its space is free when its holders go
    this.bytes -= length;
    this.#host.lost(this, length);
    if (this.exposed) this.#giveUp();
    else {
      this.#host.written(this);
      this.#host.released(this); // nothing may be left, and nobody hold it
    }
  }

  /** The source has other content now: what this object holds is right for its version, but no more can be had. */
  changed(): void {
    if (!this.stale) this.#giveUp();
  }

  /** The tier's file is damaged or gone. */
  broken(): void {
    if (this.dropped) return;
    this.#host.broken(this);
    this.stale = true;
  }

  /** Out of the cache; the next open gets another object. */
  #giveUp(): void {
    this.stale = true;
    this.#host.remove(this);
  }
}
