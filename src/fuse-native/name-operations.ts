/** Operations that change what is in a directory. Names are dropped from the tables here before and after they change. */
import type { Created, Entry, HandleId, NodeId } from '../overlay/filesystem.ts';
import { isRegular } from '../store/attributes.ts';
import { failed, type Outcome, type Reply } from '../sys/errno.ts';
import { O_CREAT, O_EXCL, O_RDWR } from '../sys/open-flags.ts';
import type { Context } from './context.ts';
import { bytesOf, EILSEQ, namesOf, placeOf } from './paths.ts';

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const OWNER_READS_AND_WRITES = 0o600;
/** The open that belongs to a creation follows at once; mknod(2) alone has none. */
const NEWBORN_MS = 1000;

/**
 * What libfuse renames a file to that is removed, or replaced by a rename, while it is open. Here it is removed at once, and
 * lives on by its handles: nothing is left behind in the source, and its directory can be removed.
 */
const HIDDEN = /\/\.fuse_hidden[0-9a-f]{16}$/;

/** A file created open, for the open(2) that asked for it. */
interface Newborn {
  node: NodeId;
  handle: HandleId;
  timer: NodeJS.Timeout;
}

export class NameOperations {
  readonly #context: Context;
  readonly #newborns = new Map<string, Newborn>();

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Also how files are created: the addon's own `create` would not tell the flags of open(2), so it is not offered, and
   * the kernel sends MKNOD and OPEN instead. The umask has been applied by the kernel.
   */
  mknod(path: string, mode: number, rdev: number): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    if (isRegular(mode) && (mode & OWNER_READS_AND_WRITES) !== OWNER_READS_AND_WRITES) {
      return this.#createOpen(path, this.#safe(mode));
    }
    return this.#make(path, (parent, name) => fileSystem.mknod(parent, name, this.#safe(mode), rdev, 0, caller));
  }

  mkdir(path: string, mode: number): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    return this.#make(path, (parent, name) => fileSystem.mkdir(parent, name, mode & 0o7777, 0, caller));
  }

  symlink(target: string, path: string): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    if (target.includes('\uFFFD')) return Promise.resolve(-EILSEQ);
    const bytes = Buffer.from(bytesOf(target), 'latin1');
    return this.#make(path, (parent, name) => fileSystem.symlink(parent, name, bytes, caller));
  }

  link(path: string, newPath: string): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    return this.#context.at(path, ({ node }) =>
      this.#make(newPath, (parent, name) => fileSystem.link(node, parent, name, caller)),
    );
  }

  unlink(path: string): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    const names = namesOf(path);
    if (names !== undefined && this.#context.dropNameless(placeOf(names))) return Promise.resolve(0);
    return this.#remove(path, (parent, name) => fileSystem.unlink(parent, name, caller));
  }

  rmdir(path: string): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    return this.#remove(path, (parent, name) => fileSystem.rmdir(parent, name, caller));
  }

  async rename(path: string, newPath: string): Promise<Outcome<0>> {
    const { fileSystem, caller, dentries, files } = this.#context;
    const outcome = await this.#context.in(path, (parent, name, from) =>
      this.#context.in(newPath, async (newParent, newName, to) => {
        const open = HIDDEN.test(to) ? files.at(from) : undefined;
        if (open !== undefined) return this.#hide(open.node, parent, name, from, to);
        const renamed = await fileSystem.rename(parent, name, newParent, newName, 0, caller);
        if (!failed(renamed)) {
          dentries.moved(from, to);
          files.moved(from, to);
        }
        return renamed;
      }),
    );
    if (!failed(outcome)) return 0;
    for (const place of [path, newPath].map(namesOf)) if (place !== undefined) dentries.forget(placeOf(place));
    return outcome;
  }

  async #hide(node: NodeId, parent: NodeId, name: string, from: string, to: string): Promise<Outcome<0>> {
    const { fileSystem, caller, dentries, files } = this.#context;
    const outcome = await fileSystem.unlink(parent, name, caller);
    dentries.forget(from);
    if (failed(outcome)) return outcome;
    this.#context.addNameless(to, node);
    files.moved(from, to);
    return 0;
  }

  /** The handle of a file just created at a place, when that is still what is there. */
  takeNewborn(place: string, node: NodeId): HandleId | undefined {
    const newborn = this.#newborns.get(place);
    if (newborn === undefined || newborn.node !== node) return undefined;
    this.#newborns.delete(place);
    clearTimeout(newborn.timer);
    this.#context.references.release(node); // the caller holds it
    return newborn.handle;
  }

  close(): void {
    for (const place of [...this.#newborns.keys()]) this.#abandon(place);
  }

  /** The mode may forbid the daemon to open the file a moment later (0444, as git has it): it is created open. */
  #createOpen(path: string, mode: number): Promise<Outcome<0>> {
    const { fileSystem, caller, dentries } = this.#context;
    return this.#context.in(path, async (parent, name, place) => {
      dentries.forget(place);
      const flags = O_CREAT | O_EXCL | O_RDWR;
      const created: Outcome<Created> = await fileSystem.create(parent, name, mode, 0, flags, caller);
      if (failed(created)) return created;
      const { node } = created.entry;
      dentries.created(parent, place, created.entry); // its hold passes on to the newborn
      this.#abandon(place);
      const timer = setTimeout(() => this.#abandon(place), NEWBORN_MS);
      this.#newborns.set(place, { node, handle: created.opened.handle, timer });
      this.#context.found(place, node);
      return 0;
    });
  }

  #abandon(place: string): void {
    const newborn = this.#newborns.get(place);
    if (newborn === undefined) return;
    this.#newborns.delete(place);
    clearTimeout(newborn.timer);
    this.#context.fileSystem.release(newborn.node, newborn.handle);
    this.#context.references.release(newborn.node);
  }

  /** A set-user-id file made by anyone would be one of the mount's user: such bits are not taken from others. */
  #safe(mode: number): number {
    return this.#context.shared ? mode & ~(S_ISUID | S_ISGID) : mode;
  }

  #make(path: string, make: (parent: NodeId, name: string) => Reply<Entry>): Promise<Outcome<0>> {
    const { dentries, references } = this.#context;
    return this.#context.in(path, async (parent, name, place) => {
      dentries.forget(place);
      const entry = await make(parent, name);
      if (failed(entry)) return entry;
      dentries.created(parent, place, entry);
      this.#context.found(place, entry.node);
      references.release(entry.node);
      return 0;
    });
  }

  #remove(path: string, remove: (parent: NodeId, name: string) => Reply<0>): Promise<Outcome<0>> {
    return this.#context.in(path, async (parent, name, place) => {
      const outcome = await remove(parent, name);
      this.#context.dentries.forget(place);
      return outcome;
    });
  }
}
