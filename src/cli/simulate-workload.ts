/** What a trace asked of the cache. */
import type { TracedFile, TracedOpen, TracedTransfer, TraceEvent } from '../access/trace-format.ts';
import { Event, Workload } from '../cache/eviction/workload.ts';
import { pathText } from './trace-text.ts';

/** Reads that the daemon served while it was recorded, and those it had in its cache. */
export interface Recorded {
  reads: number;
  readHits: number;
  readBytes: number;
  hitBytes: number;
}

/**
 * Opens for reading are accesses; opens for writing, and a new version of a file, drop what is kept of it. What the kernel
 * reads by itself (kept pages, passthrough) is no read of the trace: such an open counts as one read of the whole file.
 */
export class WorkloadBuilder {
  readonly workload = new Workload();
  readonly recorded: Recorded = { reads: 0, readHits: 0, readBytes: 0, hitBytes: 0 };
  /** Opens that count as a read of the whole file, and events whose file is not known (damage). */
  assumed = 0;
  unknown = 0;
  readonly #byFile = new Map<TracedFile, number>();
  readonly #byContent = new Map<string, number>();
  /** The version of each path that was read last. */
  readonly #current = new Map<string, number>();
  /** Handles whose reads are the kernel's. */
  readonly #hidden = new Set<number>();

  add(event: TraceEvent): void {
    if (event.kind === 'open') this.#open(event);
    else if (event.kind === 'read') this.#read(event);
    else if (event.kind === 'release') this.#hidden.delete(event.handle);
  }

  #open({ file, handle, size, way, keptPages, writes, atUs }: TracedOpen): void {
    if (file === undefined) {
      this.unknown++;
      return;
    }
    const atMs = atUs / 1000;
    if (writes) {
      this.#drop(file.path, atMs);
      return;
    }
    const item = this.#item(file, size, atMs);
    this.workload.add(Event.OPEN, item, atMs);
    if (!keptPages && way !== 'tier-passthrough' && way !== 'source-passthrough') return;
    this.#hidden.add(handle);
    this.assumed++;
    // In pieces, for lengths have 32 bits; none has a chunk in common with another.
    for (let at = 0; at < size; at += 1 << 30)
      this.workload.add(Event.READ, item, atMs, at, Math.min(1 << 30, size - at));
  }

  #read({ file, handle, offset, count, from, atUs }: TracedTransfer): void {
    if (count === 0) return;
    this.recorded.reads++;
    this.recorded.readBytes += count;
    if (from === 'tier') {
      this.recorded.readHits++;
      this.recorded.hitBytes += count;
    }
    if (this.#hidden.has(handle)) return;
    const item = file === undefined ? undefined : this.#byFile.get(file);
    if (item === undefined)
      this.unknown++; // of a file that is written to, or not known
    else this.workload.add(Event.READ, item, atUs / 1000, offset, count);
  }

  #item(file: TracedFile, size: number, atMs: number): number {
    let item = this.#byFile.get(file);
    if (item !== undefined && this.workload.items[item]!.size === size) return item;
    const { path, content } = file;
    const key = `${path}\0${content}\0${size}`;
    item = this.#byContent.get(key);
    if (item === undefined) {
      item = this.workload.addItem(pathText(path), size);
      this.#byContent.set(key, item);
    }
    this.#byFile.set(file, item);
    if (this.#current.get(path) !== item) this.#drop(path, atMs);
    this.#current.set(path, item);
    return item;
  }

  #drop(path: string, atMs: number): void {
    const current = this.#current.get(path);
    if (current !== undefined) this.workload.add(Event.DROP, current, atMs);
    this.#current.delete(path);
  }
}
