/**
 * What is to be written to the index: objects whose rows have changed, rows of what is no object in memory, and ids that have
 * none any more. A batch deletes before it writes.
 *
 * INVARIANT: of an id there is an object, a row, or that it is to be deleted.
 */
import type { IndexRow } from './index-db.ts';
import type { CacheObject } from './object.ts';

export class PendingRows {
  readonly #objects = new Set<CacheObject>();
  readonly #rows = new Map<number, IndexRow>();
  readonly #deleted = new Set<number>();

  get size(): number {
    return this.#objects.size + this.#rows.size + this.#deleted.size;
  }

  /** Objects whose rows are to be written: each batch takes them first. */
  get objects(): number {
    return this.#objects.size;
  }

  /** Ids that are to be deleted. */
  get deletions(): number {
    return this.#deleted.size;
  }

  has(object: CacheObject): boolean {
    return this.#objects.has(object);
  }

  row(id: number): IndexRow | undefined {
    return this.#rows.get(id);
  }

  deletes(id: number): boolean {
    return this.#deleted.has(id);
  }

  put(object: CacheObject): void {
    this.#deleted.delete(object.id);
    this.#objects.add(object);
  }

  putRow(row: IndexRow): void {
    this.#rows.set(row.id, row);
  }

  drop(object: CacheObject): void {
    this.#objects.delete(object);
  }

  /** False: there was none to be written. */
  dropRow(id: number): boolean {
    return this.#rows.delete(id);
  }

  delete(id: number): void {
    this.#rows.delete(id);
    this.#deleted.add(id);
  }

  /** Nothing is known any more of what is no object. */
  clearRows(): void {
    this.#rows.clear();
    this.#deleted.clear();
  }

  clear(): void {
    this.clearRows();
    this.#objects.clear();
  }

  /** Hands so many at most to `write`, and lets go of them unless that throws. */
  write(most: number, write: (rows: IndexRow[], deleted: number[]) => void): void {
    const objects = firstOf(this.#objects, most);
    const rows = firstOf(this.#rows.values(), most - objects.length);
    const deleted = firstOf(this.#deleted, most);
    write([...objects.map((object) => object.row()), ...rows], deleted);
    for (const object of objects) this.#objects.delete(object);
    for (const { id } of rows) this.#rows.delete(id);
    for (const id of deleted) this.#deleted.delete(id);
  }
}

function firstOf<T>(all: Iterable<T>, most: number): T[] {
  const first: T[] = [];
  for (const one of all) {
    if (first.length >= most) break;
    first.push(one);
  }
  return first;
}
