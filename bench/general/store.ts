/**
 * Finished cells, kept in .bench/ so that a run that was interrupted goes on where it was (`--resume`). A cell's file is
 * named by everything its figures depend on: settings, versions, and the code of the overlay and of the benchmarks.
 */
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Cell } from './result.ts';

const root = resolve(import.meta.dirname, '../..');

export class CellStore {
  readonly #directory: string;
  readonly #base: string;

  /** `about`: what all cells of the run have in common. */
  constructor(about: object, directory = join(root, '.bench/cells')) {
    this.#directory = directory;
    this.#base = JSON.stringify(about);
    mkdirSync(directory, { recursive: true });
  }

  #path(key: CellKey): string {
    const name = createHash('sha256').update(this.#base).update(JSON.stringify(key)).digest('hex').slice(0, 24);
    return join(this.#directory, `${name}.json`);
  }

  find(key: CellKey): Cell | undefined {
    try {
      const { cell } = JSON.parse(readFileSync(this.#path(key), 'utf8')) as { cell: Cell };
      return cell.failed === undefined ? cell : undefined;
    } catch {
      return undefined;
    }
  }

  keep(key: CellKey, cell: Cell): void {
    writeFileSync(this.#path(key), JSON.stringify({ key, about: JSON.parse(this.#base) as object, cell }));
  }
}

export interface CellKey {
  work: string;
  system: string;
  version: string;
  settings: string;
  round: number;
}

/** Of all files that match, in order. */
export function hashOf(...patterns: string[]): string {
  const hash = createHash('sha256');
  for (const name of patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).sort()) {
    hash.update(name).update(readFileSync(join(root, name)));
  }
  return hash.digest('hex').slice(0, 16);
}
