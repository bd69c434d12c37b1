/**
 * Which nodes this transport holds, and with how many lookups. A node is forgotten, with its exact count, when nobody
 * holds it any more: no cached name, no open file, no operation under way.
 */
import { type FileSystem, type NodeId, ROOT } from '../overlay/filesystem.ts';

interface Held {
  lookups: number;
  holders: number;
}

export class References {
  readonly #forget: FileSystem['forget'];
  readonly #nodes = new Map<NodeId, Held>();

  constructor(fileSystem: FileSystem) {
    this.#forget = (node, count) => fileSystem.forget(node, count);
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Takes over the lookup that came with an entry. The caller is a holder now. */
  adopt(node: NodeId): void {
    const held = this.#nodes.get(node);
    if (held === undefined) this.#nodes.set(node, { lookups: 1, holders: 1 });
    else {
      held.lookups++;
      held.holders++;
    }
  }

  /** One more holder of a node that has one. */
  hold(node: NodeId): void {
    if (node === ROOT) return;
    const held = this.#nodes.get(node);
    if (held === undefined) throw new Error(`nodeid ${node} is not held by anyone`);
    held.holders++;
  }

  release(node: NodeId): void {
    if (node === ROOT) return;
    const held = this.#nodes.get(node);
    if (held === undefined) throw new Error(`nodeid ${node} is not held by anyone`);
    if (--held.holders > 0) return;
    this.#nodes.delete(node);
    this.#forget(node, held.lookups);
  }
}
