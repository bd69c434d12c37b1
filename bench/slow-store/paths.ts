/** Where each node the kernel knows was found: for rules by path and for counting different files. */
import { type Entry, type NodeId, ROOT } from '../../src/overlay/filesystem.ts';

interface Place {
  parent: NodeId;
  name: string;
  lookups: number;
}

export class Paths {
  readonly #places = new Map<NodeId, Place>();

  /** An entry was handed to the kernel. */
  found(parent: NodeId, name: string, entry: Entry): void {
    if (entry.node === 0) return;
    const place = this.#places.get(entry.node);
    if (place === undefined) {
      this.#places.set(entry.node, { parent, name, lookups: 1 });
    } else {
      place.parent = parent;
      place.name = name;
      place.lookups++;
    }
  }

  forget(node: NodeId, count: number): void {
    const place = this.#places.get(node);
    if (place === undefined) return;
    place.lookups -= count;
    if (place.lookups <= 0) this.#places.delete(node);
  }

  moved(parent: NodeId, name: string, newParent: NodeId, newName: string): void {
    for (const place of this.#places.values()) {
      if (place.parent === parent && place.name === name) {
        place.parent = newParent;
        place.name = newName;
      }
    }
  }

  /** Below the source, without a leading slash: "train/0001.jpg"; the root is "". */
  of(node: NodeId, name?: string): string {
    const parts: string[] = name === undefined ? [] : [name];
    for (let at = node; at !== ROOT; ) {
      const place = this.#places.get(at);
      if (place === undefined) break;
      parts.push(place.name);
      at = place.parent;
    }
    return parts.reverse().join('/');
  }
}
