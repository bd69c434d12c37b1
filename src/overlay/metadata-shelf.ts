/**
 * Between what is known of names in memory and the shelf, where it outlives the mount. Only for a source that never changes.
 *
 *   a start    a few of the shelf's names, chosen by chance, are asked for; unless all are what they were, all is forgotten
 *   a listing  is brought from the shelf when its directory is first used, and is believed as if this mount had asked for it
 *   at rest    what was learned is written, a part of a directory a turn of the loop
 */
import type { Shelf, ShelfDraft, ShelvedDirectory } from '../cache/shelf.ts';
import type { DirectoryEntry, Found, StoreNode } from '../store/store.ts';
import { failed, isGone } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { Inode } from './inode.ts';
import { EncodedEntries, encodable, encodeEntries } from './metadata-codec.ts';
import {
  BEFORE_MS,
  knownAt,
  type Listing,
  listingBytes,
  newListing,
  PART_ENTRIES,
  takeStored,
} from './metadata-listing.ts';
import { NameIndex } from './name-index.ts';

/** Most bytes of an entry in a part; for asking whether there is room. */
const ENTRY_BYTES = 180;
/** How long nothing new must have been learned of a directory before it is written. */
const REST_MS = 1500;
/** A directory is not written again sooner, unless an eighth of its entries was learned since. */
const AGAIN_MS = 60_000;
const LOOK_MS = 500;
/** Between two parts. */
const PAUSE_MS = 20;
/** At the end everything is written, unless that takes longer. */
const LAST_MS = 3000;
/** Names asked for at the start. A data set that was made anew has hardly one that is what it was. */
const SAMPLE = 16;

/** What is to be written of a listing, and when that was noted (monotonic ms). */
interface Unwritten {
  sinceMs: number;
  learned: number;
}

export class Shelving {
  readonly #core: Core;
  readonly #shelf: Shelf;
  readonly #believed: (listing: Listing, at: number) => boolean;
  /** Nothing usable is there of these. */
  readonly #absent = new WeakSet<Inode>();
  readonly #unwritten = new Map<Listing, Unwritten>();
  readonly #writtenAtMs = new WeakMap<Listing, number>();
  #writing: { listing: Listing; draft: ShelfDraft } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #confirmed = false;
  #stopped = false;

  /** `believed`: whether what is known of an entry may be told. */
  constructor(core: Core, shelf: Shelf, believed: (listing: Listing, at: number) => boolean) {
    this.#core = core;
    this.#shelf = shelf;
    this.#believed = believed;
  }

  snapshot() {
    return this.#shelf.snapshot();
  }

  // --- the start -----------------------------------------------------------------------------------------------------

  /** Resolves when it is known whether what is on the shelf can be believed; until then nothing of it is. */
  async confirm(): Promise<void> {
    const { log, inodes } = this.#core;
    const rows = this.#shelf.sample(SAMPLE);
    const answers = await Promise.all(rows.map((row) => this.#stillThere(row)));
    const root = this.#shelf.find('');
    if (root !== undefined && root.version !== inodes.root.version) answers.push(false);
    if (this.#stopped) return;
    const changed = answers.includes(false);
    if (changed) {
      this.#shelf.forget();
      log.warn({}, 'the source has changed since an earlier immutable mount: what that knew of its names is forgotten');
    }
    this.#confirmed = changed || !answers.includes(undefined);
    const { directories } = this.#shelf.snapshot();
    if (!this.#confirmed)
      log.warn({}, 'the source did not confirm what earlier mounts knew of its names: it is asked anew');
    else if (directories > 0) log.info({ directories }, 'names are known from earlier immutable mounts');
  }

  /** Directories that can be brought, those used last, of at most so many names. */
  knownDirectories(namesMost: number): string[] {
    return this.#confirmed ? this.#shelf.recent(namesMost) : [];
  }

  /** Whether a directory, and an entry of it, are what they were; undefined: the source does not say. */
  async #stillThere(row: ShelvedDirectory): Promise<boolean | undefined> {
    const { store, inodes } = this.#core;
    const names = row.path === '' ? [] : row.path.split('/');
    // Where names were changed by earlier mounts, it may have been moved by one: then it is not found, nor believed.
    const moved = this.#shelf.changes;
    const nodes: StoreNode[] = [];
    let at: StoreNode = inodes.root.node;
    try {
      for (const name of names) {
        const found = await store.lookup(at, name);
        if (failed(found)) return isGone(found) ? moved : undefined;
        at = store.node(at, name, found as Found);
        nodes.push(at);
        if (nodes.length < names.length) continue;
        const { id, birth, attributes } = found as Found;
        if (String(id) !== row.file || birth !== row.birth) return moved;
        if (store.version(attributes) !== row.version) return false;
      }
      return await this.#entryStillThere(row, at);
    } finally {
      for (const node of nodes) store.release(node);
    }
  }

  async #entryStillThere(row: ShelvedDirectory, directory: StoreNode): Promise<boolean | undefined> {
    const { store } = this.#core;
    const part = row.parts === 0 ? undefined : this.#part(row, Math.floor(Math.random() * row.parts));
    if (part === undefined || part.count === 0) return true; // it is empty, or damaged, and then not believed
    const at = Math.floor(Math.random() * part.count);
    const was = part.found(at);
    const found = await store.lookup(directory, part.entry(at).name);
    if (failed(found)) return isGone(found) ? false : undefined;
    const { id, birth, attributes } = found as Found;
    if (was === undefined) return true;
    return id === was.id && birth === was.birth && store.version(attributes) === store.version(was.attributes);
  }

  // --- from the shelf ------------------------------------------------------------------------------------------------

  /** What is there of a directory; a promise when that is more than a turn's work. */
  bring(directory: Inode, mostBytes: number): Listing | undefined | Promise<Listing | undefined> {
    if (!this.#confirmed || this.#absent.has(directory)) return undefined;
    const row = this.#shelf.find(directory.path());
    if (row === undefined || !describes(row, directory) || listingBytes(row.entries, row.entries) > mostBytes) {
      this.#absent.add(directory);
      return undefined;
    }
    const listing = newListing(directory, [], undefined, row.complete === 1 ? row.version : '', BEFORE_MS);
    if (row.parts > 1) return this.#bringParts(listing, row);
    const part = row.parts === 0 ? undefined : this.#part(row, 0);
    if (part !== undefined) takeStored(listing, part);
    return row.parts === 0 || part !== undefined ? listing : undefined;
  }

  async #bringParts(listing: Listing, row: ShelvedDirectory): Promise<Listing | undefined> {
    listing.index = new NameIndex(listing.entries, PART_ENTRIES);
    for (let at = 0; at < row.parts; at++) {
      if (at > 0) await new Promise(setImmediate);
      const part = this.#part(row, at);
      if (part === undefined) return undefined;
      takeStored(listing, part);
    }
    return listing;
  }

  /** A part without what was changed since; undefined: it is damaged. */
  #part(row: ShelvedDirectory, at: number): EncodedEntries | undefined {
    const bytes = this.#shelf.part(row, at);
    if (bytes === undefined) return undefined;
    const part = new EncodedEntries(bytes);
    if (!this.#shelf.changes) return part;
    for (let i = 0; i < part.count; i++) {
      if (part.known(i) && !this.#shelf.holds(String(part.id(i)), row.generation)) part.drop(i);
    }
    return part;
  }

  // --- to the shelf --------------------------------------------------------------------------------------------------

  /** Something was learned of a directory. */
  learned(listing: Listing): void {
    if (typeof listing.directory.node.id !== 'number') return;
    const nowMs = this.#core.nowMs();
    const unwritten = this.#unwritten.get(listing);
    if (unwritten === undefined) this.#unwritten.set(listing, { sinceMs: nowMs, learned: 1 });
    else {
      unwritten.sinceMs = nowMs;
      unwritten.learned++;
    }
    this.#schedule(LOOK_MS);
  }

  #schedule(afterMs: number): void {
    if (this.#timer !== undefined || this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const next = this.#atRest();
      if (next === undefined) {
        if (this.#unwritten.size > 0) this.#schedule(LOOK_MS);
      } else this.#write(next);
    }, afterMs).unref();
  }

  /** The listing to write next. */
  #atRest(): Listing | undefined {
    const nowMs = this.#core.nowMs();
    for (const [listing, { sinceMs, learned }] of this.#unwritten) {
      const writtenAtMs = this.#writtenAtMs.get(listing) ?? Number.NEGATIVE_INFINITY;
      const worth = learned >= listing.entries.length / 8 || nowMs - writtenAtMs >= AGAIN_MS;
      if (worth && nowMs - sinceMs >= REST_MS && listing.underWay.size === 0) return listing;
    }
    return undefined;
  }

  /** Writes a listing part by part. */
  #write(listing: Listing): void {
    const draft = this.#begin(listing);
    this.#writing = draft && { listing, draft };
    const step = (from: number): void => {
      this.#timer = undefined;
      if (draft !== undefined && from < listing.entries.length && draft.part(this.#encoded(listing, from))) {
        this.#timer = setTimeout(() => step(from + PART_ENTRIES), PAUSE_MS).unref();
        return;
      }
      if (from >= listing.entries.length) draft?.end();
      this.#writing = undefined;
      this.#schedule(PAUSE_MS);
    };
    step(0);
  }

  #begin(listing: Listing): ShelfDraft | undefined {
    const { directory, entries, version } = listing;
    const { node } = directory;
    const complete = version !== '';
    this.#unwritten.delete(listing);
    this.#writtenAtMs.set(listing, this.#core.nowMs());
    this.#absent.delete(directory);
    const head = {
      path: node.path(),
      file: String(node.id),
      birth: node.birth,
      version: complete ? version : directory.version, // names that came since are not among these
      complete: complete ? 1 : 0,
      entries: entries.length,
    } as const;
    return this.#shelf.draft(head, entries.length * ENTRY_BYTES);
  }

  #encoded(listing: Listing, from: number): Uint8Array {
    const part: { entry: DirectoryEntry; found: Found | undefined }[] = [];
    for (let at = from; at < Math.min(from + PART_ENTRIES, listing.entries.length); at++) {
      const found = this.#believed(listing, at) ? encodable(knownAt(listing, at)?.found) : undefined;
      part.push({ entry: listing.entries[at]!, found });
    }
    return encodeEntries(part);
  }

  /** Writes what is left, and closes the shelf. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    if (this.#writing !== undefined) {
      const { listing, draft } = this.#writing;
      draft.drop();
      this.#unwritten.set(listing, { sinceMs: 0, learned: 0 });
    }
    const untilMs = this.#core.nowMs() + LAST_MS;
    for (const listing of this.#unwritten.keys()) {
      if (this.#core.nowMs() > untilMs) break;
      const draft = this.#begin(listing);
      if (draft === undefined) continue;
      let from = 0;
      while (from < listing.entries.length && draft.part(this.#encoded(listing, from))) from += PART_ENTRIES;
      if (from >= listing.entries.length) draft.end();
    }
    this.#shelf.close();
  }
}

function describes({ file, birth, version }: ShelvedDirectory, { node, version: now }: Inode): boolean {
  return String(node.id) === file && node.birth === birth && version === now;
}
