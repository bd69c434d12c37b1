/** An inode that is worked with: a lookup of ours is counted as the kernel's are, so that it stays known meanwhile. */
import type { NodeId } from './filesystem.ts';
import type { Inode } from './inode.ts';

export class Held {
  readonly inode: Inode;
  /** Where it was found, held as long as it is. */
  readonly #directory: Held | undefined;
  readonly #forget: (node: NodeId) => void;
  #users = 1;

  constructor(inode: Inode, directory: Held | undefined, forget: (node: NodeId) => void) {
    this.inode = inode;
    this.#directory = directory?.retain();
    this.#forget = forget;
    inode.lookups++;
    inode.holders++;
  }

  retain(): this {
    this.#users++;
    return this;
  }

  release(): void {
    if (--this.#users > 0) return;
    this.inode.holders--;
    this.#forget(this.inode.nodeId);
    this.#directory?.release();
  }
}
