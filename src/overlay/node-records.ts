/** Which nodeid is in which record. Nodeids only go up, and those that are known lie close together: pages of them, 4 bytes each. */
import type { NodeId } from './filesystem.ts';

const PAGE = 1024;

interface Page {
  /** Records plus one; 0: none. */
  records: Uint32Array;
  used: number;
}

export class NodeRecords {
  readonly #pages = new Map<number, Page>();

  /** -1: none. */
  get(node: NodeId): number {
    const page = this.#pages.get(Math.floor(node / PAGE));
    return page === undefined ? -1 : page.records[node % PAGE]! - 1;
  }

  /** Of a node that is in none. */
  set(node: NodeId, record: number): void {
    const number = Math.floor(node / PAGE);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = { records: new Uint32Array(PAGE), used: 0 };
      this.#pages.set(number, page);
    }
    page.records[node % PAGE] = record + 1;
    page.used++;
  }

  /** Of a node that is in one. */
  delete(node: NodeId): void {
    const number = Math.floor(node / PAGE);
    const page = this.#pages.get(number)!;
    page.records[node % PAGE] = 0;
    if (--page.used === 0) this.#pages.delete(number);
  }
}
