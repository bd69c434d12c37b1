/**
 * Backing files registered with the kernel: at most one for an inode at a time, because the kernel allows no other (even
 * a second registration of the same file is refused while one is in use). They are counted by handles, and idle ones are
 * kept for the next open, which then costs no ioctl.
 */
import type { OverlayCounters } from './counters.ts';
import type { Kernel } from './filesystem.ts';
import type { Backing, Inode } from './inode.ts';

/** Each holds a file of the source or the cache open in the kernel. */
const IDLE_MAX = 4096;

export class BackingFiles {
  readonly #counters: OverlayCounters;
  readonly #idleMax: number;
  readonly #idle = new Set<Inode>();
  /** Registration failed in a way that will not change (no capability, stacking too deep): not tried again. */
  #refused = 0;

  constructor(counters: OverlayCounters, idleMax = IDLE_MAX) {
    this.#counters = counters;
    this.#idleMax = idleMax;
  }

  /** Whether it is worth trying: negotiated, and not refused over and over for this mount. */
  usable(kernel: Kernel): boolean {
    return kernel.passthrough && this.#refused < 16;
  }

  /** One more handle on the backing file an inode has. */
  use(inode: Inode, backing: Backing): Backing {
    backing.users++;
    this.#idle.delete(inode);
    return backing;
  }

  /** Registers `fd` for an inode without a backing file; undefined when the kernel refuses it. */
  register(inode: Inode, kind: Backing['kind'], fd: number, kernel: Kernel): Backing | undefined {
    const id = kernel.registerBacking(fd);
    if (id <= 0) {
      this.#refused++;
      this.#counters.passthroughRefused++;
      return undefined;
    }
    this.#refused = 0;
    inode.backing = { id, kind, version: inode.version, users: 1 };
    return inode.backing;
  }

  /** A handle was closed. */
  release(inode: Inode, kernel: Kernel): void {
    const { backing } = inode;
    if (backing === undefined) return;
    backing.users--;
    if (backing.users > 0) return;
    if (inode.superseded || inode.unlinked) {
      this.drop(inode, kernel);
      return;
    }
    this.#idle.add(inode);
    if (this.#idle.size > this.#idleMax) {
      for (const oldest of this.#idle) {
        this.drop(oldest, kernel);
        break;
      }
    }
    this.#counters.idleBackings = this.#idle.size;
  }

  /** Unregisters the backing file of an inode when no handle uses it. */
  drop(inode: Inode, kernel: Kernel): void {
    const { backing } = inode;
    if (backing === undefined || backing.users > 0) return;
    this.#idle.delete(inode);
    kernel.unregisterBacking(backing.id);
    inode.backing = undefined;
    if (backing.kind === 'tier' && inode.opens === 0) {
      inode.content?.release(); // nothing else holds the object back from eviction now
      inode.content = undefined;
    }
    this.#counters.idleBackings = this.#idle.size;
  }
}
