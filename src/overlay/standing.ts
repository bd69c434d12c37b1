/**
 * Reading without OPEN: for a mount whose source never changes and that nobody can write to (`-o ro,immutable`).
 *
 * The first OPEN is answered ENOSYS. From then on the kernel opens and closes files by itself, keeps their pages for good,
 * and sends READs that name no handle; there is no passthrough. Each inode that is read has a standing handle instead,
 * opened at its first READ as an OPEN would, and released when the kernel forgets the inode or others need the room.
 */
import type { Carrier } from '../sys/carrier.ts';
import { andThen, Errno, failed } from '../sys/errno.ts';
import { O_RDONLY } from '../sys/open-flags.ts';
import type { Core } from './core.ts';
import type { Caller, LateBytes, NodeId } from './filesystem.ts';
import type { FileHandle } from './handles.ts';
import type { Inode } from './inode.ts';
import { openForReading } from './open.ts';
import { read, readLater } from './read.ts';
import { release } from './ways.ts';

/** Each may hold a descriptor of the source. */
const STANDING_MAX = 8192;

export class StandingHandles {
  readonly #core: Core;
  /** The longest unused first. */
  readonly #inodes = new Set<Inode>();
  /** Of these, those opened for who passes by, without what a cache has not: others get another handle. */
  readonly #passing = new Set<Inode>();

  constructor(core: Core) {
    this.#core = core;
  }

  read(
    node: NodeId,
    offset: number,
    size: number,
    into: Uint8Array,
    caller: Caller,
    carrier?: Carrier,
  ): number | Promise<number | LateBytes> {
    const core = this.#core;
    const inode = core.inode(node);
    if (inode === undefined) return -Errno.ESTALE;
    if (this.#passing.has(inode) && !core.passesBy(caller.pid)) this.#end(inode);
    if (inode.standing !== 0) {
      this.#use(inode);
      return read(core, inode.standing, offset, size, into, caller, carrier);
    }
    const { pid } = caller;
    const opened = andThen(openForReading(core, inode, O_RDONLY, pid), ({ handle }) => this.#stand(inode, handle, pid));
    if (opened instanceof Promise) return this.#readOpened(opened, offset, size, { ...caller });
    return failed(opened) ? opened : read(core, (opened as FileHandle).id, offset, size, into, caller, carrier);
  }

  async #readOpened(
    opening: Promise<number | FileHandle>,
    offset: number,
    size: number,
    caller: Caller,
  ): Promise<number | LateBytes> {
    const opened = await opening;
    return typeof opened === 'number' ? opened : readLater(this.#core, opened, offset, size, caller);
  }

  /** Takes a handle just opened as the standing one; another READ may have been quicker. */
  #stand(inode: Inode, id: number, thread: number): FileHandle {
    const core = this.#core;
    if (inode.standing !== 0) release(core, id);
    else {
      inode.standing = id;
      if (inode.content === undefined && core.passesBy(thread)) this.#passing.add(inode);
    }
    this.#use(inode);
    return core.files.get(inode.standing)!;
  }

  #use(inode: Inode): void {
    this.#inodes.delete(inode);
    this.#inodes.add(inode);
    if (this.#inodes.size <= STANDING_MAX) return;
    for (const oldest of this.#inodes) {
      this.#end(oldest);
      break;
    }
  }

  #end(inode: Inode): void {
    this.#inodes.delete(inode);
    this.#passing.delete(inode);
    const { standing } = inode;
    inode.standing = 0;
    release(this.#core, standing);
  }

  forget(node: NodeId, count: number): void {
    const inode = this.#core.inodes.awake(node);
    this.#core.forget(node, count);
    if (inode !== undefined && inode.lookups <= 0 && inode.standing !== 0) this.#end(inode);
  }
}
