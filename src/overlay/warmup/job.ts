/**
 * One run over paths: bring into the cache, pin, look what is there, or drop it. Many files are under way at once; how many
 * requests they make together is for the slots to say.
 */
import type { Cache } from '../../cache/cache.ts';
import type { Pin } from '../../cache/eviction/pins.ts';
import { isDirectory, isRegular, isSymlink } from '../../store/attributes.ts';
import { Errno, errnoName, type Failure, failed, type Outcome } from '../../sys/errno.ts';
import { bring } from '../bring.ts';
import type { Core } from '../core.ts';
import type { NodeId } from '../filesystem.ts';
import type { Held } from '../held.ts';
import type { Inode } from '../inode.ts';
import { Slots, type Turns } from '../slots.ts';
import { type Names, pathOf, Walk } from './walk.ts';

/** pin: as fetch, and what is below the paths is kept from then on. */
export type WarmupAction = 'fetch' | 'check' | 'evict' | 'pin';
/** running; done: everything was gone through; cancelled; full: the cache takes no more. */
export type WarmupState = 'running' | 'done' | 'cancelled' | 'full';

/** What a job has come to. Its keys are those of `warmup --json`, and stay. */
export interface WarmupProgress {
  id: number;
  action: WarmupAction;
  state: WarmupState;
  seconds: number;
  /** Every file below the paths has been found; `files.found` and `bytes.found` grow until then. */
  listed: boolean;
  files: {
    found: number;
    /** Gone through. */
    done: number;
    /** As they were met: all of it cached, a part, nothing. */
    whole: number;
    partly: number;
    none: number;
    /** Brought into the cache, or dropped from it. */
    fetched: number;
    evicted: number;
    /** Open, and so not dropped. */
    inUse: number;
    /** Kept whatever else needs room; and so not dropped. */
    pinned: number;
    /** Neither files nor directories (symbolic links are not followed), or never to be cached. */
    skipped: number;
    failed: number;
  };
  /** `found`: of the files gone through. `cached`: as they were met. `pinned`: of those pinned, what is cached when they were done. */
  bytes: { found: number; cached: number; fetched: number; evicted: number; pinned: number };
  /** Ten at most of the pins that kept something from being dropped: paths as in `errors`, or globs of the mount. */
  pinnedBy: { by: 'command' | 'option'; text: string }[];
  /** The first ten; paths below the mountpoint in latin1, a character a byte. */
  errors: { path: string; error: string }[];
}

export interface JobParts {
  core: Core;
  cache: Cache;
  /** Shared by all jobs. */
  slots: Slots;
  forget: (node: NodeId) => void;
}

/** The files under way for each request that may be: some wait for their turn while others are looked up. */
const FILES_EACH = 2;
/** Of files larger than this only so many are under way: together they have pieces enough for all requests. */
const LARGE_BYTES = 8 * 1024 * 1024;
const LARGE_AT_ONCE = 2;
const ERRORS_SHOWN = 10;
const PINS_SHOWN = 10;
/** How often a file that changes under our hands is looked at anew, and after what time. */
const TRIES = 5;
const TRY_AGAIN_MS = 50;
/** Answers of a local source come in the same turn: after this time others have theirs. */
const TURN_MS = 1;

export class Job {
  readonly progress: WarmupProgress;
  readonly #parts: JobParts;
  readonly #walk: Walk;
  readonly #slots: Slots;
  readonly #large = new Slots(() => LARGE_AT_ONCE);
  /** The job's own turns, and those of all jobs. */
  readonly #turns: Turns;
  /** Of a large file under way at once. */
  readonly #piecesAtOnce: number;
  readonly #filesMost: number;
  readonly #cacheBytes: number;
  /** By this job, and by what number; `NO_PIN`: it was pinned with a directory above it. */
  readonly #pinned = new Map<string, number>();
  readonly #begunMs = performance.now();
  #turnMs = performance.now();
  #underWay = 0;
  #oneDone: (() => void) | undefined;
  /** Resolves when nothing of it is under way any more. */
  readonly ended: Promise<void>;

  /** `parallel`: requests to the source at once, at most. */
  constructor(id: number, action: WarmupAction, parallel: number, parts: JobParts) {
    this.#parts = parts;
    const files = { found: 0, done: 0, whole: 0, partly: 0, none: 0, fetched: 0, evicted: 0, inUse: 0, pinned: 0 };
    this.progress = {
      id,
      action,
      state: 'running',
      seconds: 0,
      listed: false,
      files: { ...files, skipped: 0, failed: 0 },
      bytes: { found: 0, cached: 0, fetched: 0, evicted: 0, pinned: 0 },
      pinnedBy: [],
      errors: [],
    };
    const { core, cache, slots, forget } = parts;
    this.#slots = new Slots(() => parallel);
    this.#turns = { run: (bytes, work) => this.#slots.run(0, () => slots.run(bytes, work)) };
    this.#piecesAtOnce = Math.ceil(parallel / LARGE_AT_ONCE); // and others go on beside a large one that hangs
    this.#filesMost = parallel * FILES_EACH;
    this.#cacheBytes = this.#fetches ? cache.snapshot().sizeBytes : 0;
    this.#walk = new Walk({
      core,
      slots: this.#turns,
      forget,
      trouble: (path, failure) => {
        this.#walk.found++;
        this.#failed(path, failure);
      },
      skipped: (count) => {
        this.progress.files.skipped += count;
      },
    });
    this.ended = this.#run();
  }

  get #fetches(): boolean {
    return this.progress.action === 'fetch' || this.progress.action === 'pin';
  }

  get #stopped(): boolean {
    return this.progress.state !== 'running';
  }

  /** Paths below the root, in latin1; how many of them were taken: the others are to be sent again later. */
  add(paths: readonly string[]): number {
    const refused = paths.findIndex((path) => this.#stopped || !this.#walk.add(path));
    const taken = refused < 0 ? paths.length : refused;
    // The root is met by no name.
    if (this.progress.action === 'pin' && paths.slice(0, taken).some(isRoot)) void this.#pinRoot();
    return taken;
  }

  /** No more paths come. */
  end(): void {
    this.#walk.end();
  }

  /** Begins nothing more; what is under way comes to its end, and what is cached stays. */
  cancel(): void {
    this.#stop('cancelled');
  }

  now(): WarmupProgress {
    const { progress } = this;
    if (!this.#stopped) progress.seconds = this.#seconds();
    progress.files.found = Math.max(this.#walk.found, progress.files.done);
    progress.listed = this.#walk.finished;
    return progress;
  }

  #seconds(): number {
    return (performance.now() - this.#begunMs) / 1000;
  }

  #stop(state: WarmupState): void {
    if (this.#stopped) return;
    this.progress.seconds = this.#seconds();
    this.progress.listed = this.#walk.finished;
    this.progress.state = state;
    this.#walk.stop();
    this.#oneDone?.();
  }

  async #run(): Promise<void> {
    for (;;) {
      const names = await this.#walk.next();
      if (names !== undefined) await this.#workThrough(names);
      else if (this.#underWay > 0) await this.#untilBelow(this.#underWay);
      else break;
    }
    if (!this.#stopped) await this.#settlePins();
    this.#stop('done');
  }

  /** Before it is said to be done, the next run would know of it, also after kill -9. */
  async #settlePins(): Promise<void> {
    const { pinning } = this.#parts.cache;
    if (this.#pinned.size === 0 || !(await pinning.noted()) || this.#stopped) return;
    if (this.progress.files.failed > 0) return; // what could not be looked at keeps the pin it had
    for (const [path, number] of this.#pinned) await pinning.pins.settle(path, number);
  }

  async #workThrough(names: Names): Promise<void> {
    for (const name of names.names) {
      await this.#untilBelow(this.#filesMost);
      if (this.#stopped) break;
      this.#begin(names, name);
      if (performance.now() - this.#turnMs > TURN_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        this.#turnMs = performance.now();
      }
    }
    names.directory.release();
  }

  async #untilBelow(count: number): Promise<void> {
    while (this.#underWay >= count) {
      await new Promise<void>((resolve) => {
        this.#oneDone = resolve;
      });
    }
  }

  #begin(names: Names, name: string): void {
    this.#underWay++;
    names.directory.retain();
    void this.#file(names, name).finally(() => {
      names.directory.release();
      this.#underWay--;
      this.#oneDone?.();
    });
  }

  async #file({ directory, byPath }: Names, name: string): Promise<void> {
    const again = { left: TRIES, met: false, notKept: false };
    for (;;) {
      const found = await this.#walk.find(directory, name);
      if (failed(found)) {
        if (found === -Errno.ENOENT && !byPath)
          this.#walk.found--; // removed since it was listed
        else this.#failed(pathOf(directory, name), found);
        return;
      }
      const held = found as Held;
      let outcome: Failure | 0 = 0;
      try {
        outcome = await this.#found(held, byPath ? pathOf(directory, name) : undefined, again);
      } finally {
        held.release();
      }
      if (outcome === 0 || outcome === -Errno.ECANCELED || this.#stopped) return;
      if (outcome === -Errno.EDQUOT || (outcome === -Errno.ENOSPC && again.notKept)) {
        this.#stop('full');
        return;
      }
      if (outcome === -Errno.ENOSPC)
        again.notKept = true; // for a moment there were no buffers, perhaps
      else if ((outcome !== -Errno.EAGAIN && outcome !== -Errno.ESTALE) || --again.left === 0) {
        this.#failed(pathOf(directory, name), outcome);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
    }
  }

  /** 0: it was dealt with. `path`: by which it was asked for. */
  async #found(held: Held, path: string | undefined, again: { met: boolean }): Promise<Failure | 0> {
    const { inode } = held;
    const { mode } = inode.attributes;
    const byPath = path !== undefined;
    if (byPath && (isDirectory(mode) || isRegular(mode))) {
      const pinned = await this.#pinPath(path, inode);
      if (failed(pinned)) return pinned;
    }
    if (isDirectory(mode)) {
      this.#walk.enter(held.retain());
      return 0;
    }
    if (!isRegular(mode)) return this.#skip(byPath, isSymlink(mode) ? -Errno.ELOOP : -Errno.EINVAL);
    const { core, cache } = this.#parts;
    const { action, files, bytes } = this.progress;
    const key = inode.contentKey();
    const present = key.size === 0 ? 0 : cache.presentBytes(key);
    const whole = key.size === 0 || cache.has(key);
    if (this.#fetches && !whole && cache.refuses(key.file, inode)) return this.#skip(byPath, -Errno.EPERM);
    if (!again.met) {
      again.met = true;
      bytes.found += key.size;
      bytes.cached += present;
      files[whole ? 'whole' : present > 0 ? 'partly' : 'none']++;
    }
    const pin = cache.pinning.of(key.file, inode);
    if (this.#fetches && !whole) {
      const outcome = await this.#bring(held, key.size - present);
      if (failed(outcome)) return outcome;
      files.fetched++;
    } else if (action === 'evict' && present > 0) {
      if (pin !== undefined) this.#staysPinned(pin);
      else if (evict(core, cache, inode)) {
        files.evicted++;
        bytes.evicted += present;
      } else files.inUse++;
    }
    if (pin !== undefined && (action !== 'evict' || present > 0)) {
      if (action === 'pin' && !(await cache.pinning.apply(key, inode))) return -Errno.EDQUOT;
      files.pinned++;
      bytes.pinned += this.#fetches ? key.size : present;
    }
    files.done++;
    return 0;
  }

  #staysPinned({ by, text }: Pin): void {
    const { pinnedBy } = this.progress;
    const known = pinnedBy.some((each) => each.by === by && each.text === text);
    if (!known && pinnedBy.length < PINS_SHOWN) pinnedBy.push({ by, text });
  }

  /** What is asked for to be pinned is, from before anything of it is brought. Not what is never to be cached. */
  async #pinPath(path: string, inode: Inode): Promise<Outcome<0>> {
    const { action } = this.progress;
    if (action !== 'pin' || this.#pinned.has(path)) return 0;
    const { cache } = this.#parts;
    if (!isDirectory(inode.attributes.mode) && cache.refuses(inode.fileKey, inode)) return 0;
    const pinned = await cache.pinning.pins.add(path);
    if (!failed(pinned)) {
      this.#pinned.set(path, pinned);
      return 0;
    }
    return pinned === -Errno.E2BIG ? pinned : -Errno.EROFS; // the log says more; "full" is said of the cache only
  }

  async #pinRoot(): Promise<void> {
    this.#underWay++;
    const pinned = await this.#pinPath('', this.#parts.core.inodes.root);
    if (failed(pinned)) {
      this.#walk.found++;
      this.#failed('', pinned);
    }
    this.#underWay--;
    this.#oneDone?.();
  }

  /** What there is nothing to do about; who has named it is told why. */
  #skip(byPath: boolean, why: Failure): Failure | 0 {
    if (byPath) return why;
    this.#walk.found--;
    this.progress.files.skipped++;
    return 0;
  }

  #bring({ inode }: Held, missing: number): Promise<Outcome<number>> {
    const { cached, fetched } = this.progress.bytes;
    // More than the cache holds: to go on would be to push out what was just brought.
    if (cached + fetched + missing > this.#cacheBytes) return Promise.resolve(-Errno.EDQUOT);
    const { core, cache } = this.#parts;
    const { size } = inode.attributes;
    const work = (): Promise<Outcome<number>> =>
      bring(core, cache, inode, {
        offset: 0,
        length: size,
        reader: inode,
        piecesAtOnce: this.#piecesAtOnce,
        turns: this.#turns,
        stopped: () => this.#stopped,
        brought: (bytes) => {
          this.progress.bytes.fetched += bytes;
        },
      });
    return size > LARGE_BYTES ? this.#large.run(0, work) : work();
  }

  #failed(path: string, failure: Failure): void {
    const { files, errors } = this.progress;
    files.failed++;
    files.done++;
    if (errors.length < ERRORS_SHOWN) errors.push({ path, error: errnoName(failure) });
  }
}

function isRoot(path: string): boolean {
  return path.split('/').every((name) => name === '');
}

/** Drops what is cached of a file; false: it is open, and stays. */
function evict(core: Core, cache: Cache, inode: Inode): boolean {
  if (inode.opens > 0) return false;
  core.dropContent(inode); // what the kernel still has registered, too
  cache.drop(inode.fileKey);
  return true;
}
