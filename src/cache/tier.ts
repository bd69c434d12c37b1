/**
 * One tier: a directory of object files on a local disk, its space and its health. An object's file is as long as the
 * source file from the start and sparse until its chunks come.
 *
 * A tier that fails (an error of the disk, the directory gone) is set aside: nothing new is kept, reads go on from the
 * source, and every few seconds it is tried again.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Errno, errnoName, failureOf } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import { O_CLOEXEC, O_CREAT, O_DIRECT, O_EXCL, O_RDWR } from '../sys/open-flags.ts';
import { Residency } from '../sys/residency.ts';
import type { Log } from '../telemetry/log.ts';

const RETRY_MS = 5000;
const SPACE_CHECK_MS = 2000;
/** Directories the objects are spread over. */
const FAN_OUT = 256;

/** Where the tier in a directory keeps an object. */
export function objectPath(directory: string, id: number): string {
  return path.join(directory, 'objects', (id % FAN_OUT).toString(16).padStart(2, '0'), String(id));
}

export interface TierOptions {
  directory: string;
  sizeBytes: number;
  /** Free space of the file system that is never used. */
  reserveBytes: number | undefined;
  log: Log;
}

export class Tier {
  readonly directory: string;
  /** May change; below what is in use nothing new is taken. */
  sizeBytes: number;
  readonly #reserveBytes: number | undefined;
  readonly #log: Log;
  /** The file system answers RWF_NOWAIT; where it does not (tmpfs), a plain read does not wait either. */
  nowait = true;
  readonly residency: Residency = new Residency();
  #usedBytes = 0;
  #freeBytes = Number.POSITIVE_INFINITY;
  #trouble: string | undefined;
  #full = false;
  #timer: NodeJS.Timeout | undefined;
  /** Called when a tier that had vanished is there again, empty. */
  onReset: (() => void) | undefined;

  constructor({ directory, sizeBytes, reserveBytes, log }: TierOptions) {
    this.directory = directory;
    this.sizeBytes = sizeBytes;
    this.#reserveBytes = reserveBytes;
    this.#log = log;
    this.#checkSpace();
    this.#timer = setInterval(() => this.#tend(), SPACE_CHECK_MS).unref();
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get health(): string {
    return this.#trouble ?? 'ok';
  }

  get healthy(): boolean {
    return this.#trouble === undefined;
  }

  /** Takes room for bytes about to be written; false when there is none. INVARIANT: usedBytes grows to sizeBytes at most. */
  reserve(bytes: number): boolean {
    if (!this.room(bytes)) return false;
    this.#usedBytes += bytes;
    this.#freeBytes -= bytes;
    return true;
  }

  room(bytes: number): boolean {
    return this.healthy && !this.#full && this.#usedBytes + bytes <= this.sizeBytes && this.#freeBytes >= bytes;
  }

  /** Removing something would make room. */
  get takesMore(): boolean {
    return this.healthy && !this.#full;
  }

  /** Counts what a resumed object holds. */
  count(bytes: number): void {
    this.#usedBytes += bytes;
  }

  free(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#freeBytes += bytes;
  }

  path(id: number): string {
    return objectPath(this.directory, id);
  }

  /** Creates an object's file of a size; a descriptor or a negated errno. */
  async create(id: number, size: number): Promise<number> {
    const file = this.path(id);
    const name = sys.cstring(file);
    let fd = await sys.openat.later(-100, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600);
    if (fd === -Errno.ENOENT) {
      if (!fs.existsSync(path.join(this.directory, 'objects'))) return this.failed(-Errno.ENOENT, 'directory');
      fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      fd = await sys.openat.later(-100, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600);
    }
    if (fd < 0) return this.failed(fd, 'create');
    const sized = size === 0 ? 0 : await this.resize(fd, size);
    if (sized === 0) return fd;
    sys.close.now(fd);
    await this.remove(id); // left there it would take space, and the next try for it would meet EEXIST
    return sized;
  }

  /** 0 or a negated errno, which has been taken note of. */
  async resize(fd: number, size: number): Promise<number> {
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
    if (failure === -Errno.ENOSPC || failure === -Errno.EDQUOT) {
      if (!this.#full) this.#log.warn({ tier: this.directory }, 'the cache disk is full; nothing new is kept');
      this.#full = true;
    } else if (this.#trouble === undefined) {
      this.#trouble = `${doing}: ${errnoName(failure)} since ${new Date().toISOString()}`;
      this.#log.error({ tier: this.directory, doing, errno: errnoName(failure) }, 'the cache tier is set aside');
      setTimeout(() => this.#retry(), RETRY_MS).unref();
    }
    return failure;
  }

  #retry(): void {
    const objects = path.join(this.directory, 'objects');
    const vanished = !fs.existsSync(objects);
    try {
      fs.mkdirSync(objects, { recursive: true, mode: 0o700 });
      const probe = path.join(this.directory, 'probe');
      fs.writeFileSync(probe, 'x');
      fs.unlinkSync(probe);
    } catch {
      setTimeout(() => this.#retry(), RETRY_MS).unref();
      return;
    }
    this.#trouble = undefined;
    this.#log.info({ tier: this.directory }, 'the cache tier is in use again');
    if (vanished) this.onReset?.();
  }

  #tend(): void {
    this.#checkSpace();
  }

  #checkSpace(): void {
    fs.statfs(this.directory, (error, stat) => {
      if (error !== null) {
        this.failed(failureOf(error), 'directory');
        return;
      }
      const reserve = this.#reserveBytes ?? 0.05 * stat.blocks * stat.bsize;
      this.#freeBytes = stat.bavail * stat.bsize - reserve;
      if (this.#full && this.#freeBytes > 0) this.#full = false;
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
