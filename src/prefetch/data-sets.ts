/**
 * Which data sets are brought ahead: those that are read in passes, and whose files are not there. What access/ finds out of
 * data sets comes here with every open; a set of which some files were missing gets a `SetPass`.
 */
import { JobShare, type ShareParts } from './job-share.ts';
import type { ReadFile } from './order.ts';
import { type SetParts, SetPass } from './set-pass.ts';

/** A directory tree that a job reads, and the pass it is in, from 1. */
export interface ReadSet {
  readonly path: string;
  readonly pass: number;
}

/** Files that had to be fetched for a reader, lately, before anything is done: a third of a second of two readers at 5 ms. */
const FILES_MISSED_LEAST = 8;
const LATELY_MS = 10_000;
/** Sets that are brought at a time; each has a catalogue in memory. */
const SETS_MOST = 4;
const WATCHED_MOST = 1024;
/** Without an open for so long, in ms, a set may make way for another that it is part of. */
const OVERLAP_MS = 1000;

/** A data set of which what is missing is brought. */
export interface SetSnapshot {
  path: string;
  /** Found below it so far; `listed`: that is all. */
  files: number;
  listed: boolean;
  /** It is read in the order of the pass before. */
  repeats: boolean;
}

export type DataSetsParts = SetParts & ShareParts;

interface Watched {
  /** Files, by their keys. */
  readonly missed: Set<string>;
  sinceMs: number;
  openedMs: number;
  pass: SetPass | undefined;
  readonly share: JobShare;
}

export class PrefetchedSets {
  readonly #parts: DataSetsParts;
  readonly #sets = new Map<string, Watched>();
  #stopped = false;

  constructor(parts: DataSetsParts) {
    this.#parts = parts;
  }

  opened(file: ReadFile, set: ReadSet, nowMs: number): void {
    const watched = this.#sets.get(set.path);
    if (watched === undefined) return;
    watched.openedMs = nowMs;
    watched.pass?.opened(file, set.pass, nowMs);
  }

  /** A read of a file had to wait for the store. */
  missed(file: ReadFile, set: ReadSet, thread: number, nowMs: number): void {
    const watched = this.#watch(set.path, nowMs);
    watched.pass?.missed(file);
    if (nowMs - watched.sinceMs > LATELY_MS) {
      watched.missed.clear();
      watched.sinceMs = nowMs;
    }
    watched.missed.add(file.fileKey);
    if (watched.missed.size < FILES_MISSED_LEAST) return;
    watched.missed.clear();
    if (watched.pass === undefined && !watched.share.closed) void this.#begin(watched, set, thread);
  }

  snapshot(): SetSnapshot[] {
    const shown: SetSnapshot[] = [];
    for (const { pass } of this.#sets.values()) {
      if (pass === undefined) continue;
      const { about: path, files, listed, repeats } = pass;
      shown.push({ path, files, listed, repeats });
    }
    return shown;
  }

  stop(): void {
    this.#stopped = true;
    for (const watched of this.#sets.values()) this.#end(watched);
    this.#sets.clear();
  }

  #watch(path: string, nowMs: number): Watched {
    let watched = this.#sets.get(path);
    if (watched === undefined) {
      watched = {
        missed: new Set(),
        sinceMs: nowMs,
        openedMs: nowMs,
        pass: undefined,
        share: new JobShare(this.#parts),
      };
      this.#sets.set(path, watched);
      this.#forgetOldest();
    }
    return watched;
  }

  /** Few of them have a pass, and those are read, or make way for others that are. */
  #forgetOldest(): void {
    for (const [oldest, { pass }] of this.#sets) {
      if (this.#sets.size <= WATCHED_MOST) return;
      if (pass === undefined) this.#sets.delete(oldest);
    }
  }

  async #begin(watched: Watched, set: ReadSet, thread: number): Promise<void> {
    if (!(await watched.share.isAlone(thread)) || watched.pass !== undefined) return;
    if (this.#sets.get(set.path) !== watched) return;
    if (this.#stopped || !this.#endOverlapping(set.path)) return;
    this.#endOldest();
    watched.pass = new SetPass(set.path, set.pass, this.#parts);
    this.#parts.orders.add(watched.pass);
    this.#parts.orders.add(watched.pass.repeat);
  }

  /**
   * What is known of what belongs together changes while a job goes on: a set may become a part of a larger one, and is not
   * read any more. False: one is, and would have to end.
   */
  #endOverlapping(path: string): boolean {
    const nowMs = this.#parts.host.nowMs();
    const others = [...this.#sets].filter(([other]) => other !== path && (within(other, path) || within(path, other)));
    if (others.some(([, { pass, openedMs }]) => pass !== undefined && nowMs - openedMs < OVERLAP_MS)) return false;
    for (const [, watched] of others) this.#end(watched);
    return true;
  }

  #endOldest(): void {
    const begun = [...this.#sets.values()].filter(({ pass }) => pass !== undefined);
    begun.sort((a, b) => a.openedMs - b.openedMs);
    for (const watched of begun.slice(0, Math.max(0, begun.length - SETS_MOST + 1))) this.#end(watched);
  }

  #end(watched: Watched): void {
    const { pass } = watched;
    if (pass === undefined) return;
    watched.pass = undefined;
    pass.stop();
    this.#parts.orders.remove(pass);
    this.#parts.orders.remove(pass.repeat);
  }
}

function within(path: string, root: string): boolean {
  return root === '' || path.startsWith(`${root}/`);
}
