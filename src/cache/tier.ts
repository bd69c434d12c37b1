/**
 * One tier: a directory of object files on a local disk or in memory, its space and its health (tier-health.ts). An object's
 * file is as long as the source file from the start and sparse until its chunks come.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Errno, failureOf } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import { O_CLOEXEC, O_CREAT, O_DIRECT, O_EXCL, O_RDWR } from '../sys/open-flags.ts';
import { Residency } from '../sys/residency.ts';
import type { Log } from '../telemetry/log.ts';
import { objectPath, objectsDirectory } from './objects-directory.ts';
import { diskRemedies, type Remedies, TierHealth } from './tier-health.ts';

const SPACE_CHECK_MS = 2000;

export interface TierOptions {
  directory: string;
  /** As the user named it; the directory unless said. */
  name?: string;
  sizeBytes: number;
  /** What is taken is rounded up to these; 1 unless said. In memory a byte takes a page, and there is no more than `sizeBytes`. */
  blockBytes?: number;
  /** Tells a file system that is the tier's alone how much it may hold: never less than it does. 0 or a negated errno. */
  allow?: (sizeBytes: number) => number;
  /** What to do when it cannot be written, and when it is full; as of a disk unless said. */
  remedies?: Remedies;
  /** Free space of the file system that is never used. */
  reserveBytes: number | undefined;
  log: Log;
}

export class Tier {
  readonly directory: string;
  readonly name: string;
  #sizeBytes: number;
  readonly #allow: ((sizeBytes: number) => number) | undefined;
  #allowedBytes: number;
  readonly #reserveBytes: number | undefined;
  readonly #blockBytes: number;
  readonly #health: TierHealth;
  /** The file system answers RWF_NOWAIT; where it does not (tmpfs), a plain read does not wait either. */
  nowait = true;
  readonly residency: Residency = new Residency();
  #usedBytes = 0;
  #freeBytes = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** Called when a tier that had vanished is there again, empty. */
  onReset: (() => void) | undefined;

  constructor({ directory, name = directory, sizeBytes, blockBytes = 1, reserveBytes, allow, ...more }: TierOptions) {
    const { log, remedies = diskRemedies(name) } = more;
    this.directory = directory;
    this.name = name;
    this.#sizeBytes = sizeBytes;
    this.#allow = allow;
    this.#allowedBytes = sizeBytes;
    this.#blockBytes = blockBytes;
    this.#reserveBytes = reserveBytes;
    this.#health = new TierHealth({ directory, name, remedies, log, onReset: () => this.onReset?.() });
    this.#checkSpace();
    this.#timer = setInterval(() => this.#checkSpace(), SPACE_CHECK_MS).unref();
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Below what is in use nothing new is taken. */
  setSize(sizeBytes: number): void {
    this.#sizeBytes = this.blocks(sizeBytes);
    this.#allowSize();
  }

  /** A file system of its own follows when it has no more than that. */
  #allowSize(): void {
    if (this.#allow === undefined || this.#allowedBytes === this.#sizeBytes || this.#usedBytes > this.#sizeBytes)
      return;
    const allowed = this.#allow(this.#sizeBytes);
    if (allowed < 0) {
      this.failed(allowed, 'resize');
      return;
    }
    this.#freeBytes += this.#sizeBytes - this.#allowedBytes;
    this.#allowedBytes = this.#sizeBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get health(): string {
    return this.#health.text;
  }

  get healthy(): boolean {
    return this.#health.usable;
  }

  /** What so many bytes take here. Of several pieces: the sum of what each takes. */
  blocks(bytes: number): number {
    return Math.ceil(bytes / this.#blockBytes) * this.#blockBytes;
  }

  /** What can be written without removing anything, in bytes. */
  get freeBytes(): number {
    if (!this.takesMore) return 0;
    return Math.max(0, Math.min(this.#sizeBytes - this.#usedBytes, this.#freeBytes));
  }

  /** Takes room for bytes about to be written; false when there is none. INVARIANT: usedBytes grows to sizeBytes at most. */
  reserve(bytes: number): boolean {
    if (!this.room(bytes)) return false;
    const taken = this.blocks(bytes);
    this.#usedBytes += taken;
    this.#freeBytes -= taken;
    return true;
  }

  room(bytes: number): boolean {
    const taken = this.blocks(bytes);
    return this.takesMore && this.#usedBytes + taken <= this.#sizeBytes && this.#freeBytes >= taken;
  }

  /** Removing something would make room. */
  get takesMore(): boolean {
    return this.#health.takesMore;
  }

  /** Counts what a resumed object holds. */
  count(bytes: number): void {
    this.#usedBytes += this.blocks(bytes);
  }

  free(bytes: number): void {
    const freed = this.blocks(bytes);
    this.#usedBytes -= freed;
    this.#freeBytes += freed;
  }

  path(id: number): string {
    return objectPath(this.directory, id);
  }

  /** Creates an object's file of a size; a descriptor or a negated errno. */
  async create(id: number, size: number): Promise<number> {
    const file = this.path(id);
    const name = sys.cstring(file);
    const open = (): Promise<number> => sys.openat.later(-100, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600);
    let fd = await open();
    if (fd === -Errno.ENOENT) {
      if (!fs.existsSync(objectsDirectory(this.directory))) return this.failed(-Errno.ENOENT, 'directory');
      try {
        fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      } catch (error) {
        return this.failed(failureOf(error), 'create');
      }
      fd = await open();
    }
    if (fd === -Errno.EEXIST) {
      await this.remove(id); // left over of a run whose clock was ahead of ours: an id is given once
      fd = await open();
    }
    if (fd < 0) return this.failed(fd, 'create');
    const sized = size === 0 ? 0 : await this.extend(fd, size);
    if (sized === 0) return fd;
    sys.close.now(fd);
    await this.remove(id); // left there it would take space, and the next try for it would meet EEXIST
    return sized;
  }

  /** 0 or a negated errno, which has been taken note of. */
  async extend(fd: number, size: number): Promise<number> {
    const sized = await sys.ftruncate.later(fd, size);
    return sized === 0 ? 0 : this.failed(sized, 'truncate');
  }

  /** Opens an object's file when it is there and as long as it must be; else a negated errno. */
  open(id: number, size: number): number {
    const fd = sys.openat.now(-100, sys.cstring(this.path(id)), O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return fd;
    if (this.whole(fd, size)) return fd;
    sys.close.now(fd);
    return -Errno.ENOENT;
  }

  /** Whether an open file is as long as it must be. */
  whole(fd: number, size: number): boolean {
    try {
      return fs.fstatSync(fd).size === size;
    } catch (error) {
      this.failed(failureOf(error), 'stat');
      return false;
    }
  }

  /** Resolves when the name is gone; the space is, when nobody has the file open any more. */
  remove(id: number): Promise<void> {
    return new Promise((resolve) => fs.unlink(this.path(id), () => resolve())); // gone already: as good
  }

  /** Writes all of `data`; 0 or a negated errno, which has been taken note of. */
  async write(fd: number, data: Uint8Array, offset: number): Promise<number> {
    for (let done = 0; done < data.length; ) {
      const count = await sys.pwrite.later(fd, data.subarray(done), data.length - done, offset + done);
      if (count <= 0) return this.failed(count === 0 ? -Errno.EIO : count, 'write');
      done += count;
    }
    this.#health.wrote();
    return 0;
  }

  /** Reads up to `length` bytes through the pool; short only at the end of the file. */
  async read(fd: number, into: Uint8Array, length: number, offset: number): Promise<number> {
    let done = 0;
    while (done < length) {
      const count = await sys.pread.later(fd, into.subarray(done), length - done, offset + done);
      if (count < 0) return count;
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** Opens an object's file past the page cache, for whole pages; where that cannot be, as any file. */
  openDirect(id: number): number {
    const name = sys.cstring(this.path(id));
    const fd = sys.openat.now(-100, name, O_DIRECT | O_CLOEXEC, 0);
    return fd === -Errno.EINVAL ? sys.openat.now(-100, name, O_CLOEXEC, 0) : fd;
  }

  /** Reads whole pages through the pool, up to the end of the file; a count or a negated errno. */
  readPages(fd: number, into: Uint8Array, length: number, offset: number): Promise<number> {
    return sys.pread.later(fd, into, length, offset);
  }

  /** Takes note of a failure and hands it on. A full disk is no trouble: nothing new is kept until there is space. */
  failed(failure: number, doing: string): number {
    return this.#health.failed(failure, doing);
  }

  #checkSpace(): void {
    this.#allowSize();
    fs.statfs(this.directory, (error, stat) => {
      if (error !== null) {
        this.failed(failureOf(error), 'directory');
        return;
      }
      const reserve = this.#reserveBytes ?? 0.05 * stat.blocks * stat.bsize;
      const available = stat.bavail * stat.bsize;
      this.#freeBytes = available - reserve;
      this.#health.space(available, reserve);
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#health.close();
  }
}
