/** Fills a catalogue with the files below a directory: some listings at once, and few names in one turn of the loop. */
import { setImmediate as turn } from 'node:timers/promises';
import { failed } from '../sys/errno.ts';
import type { Catalogue } from './catalogue.ts';
import type { Names, PrefetchHost } from './host.ts';

const LISTINGS_AT_ONCE = 8;
/** Names taken in in one turn: less than 5 ms. */
const SLICE = 4096;
/** Files that were read and are not in the catalogue, after which all is listed again; at most once in so many ms. */
const UNLISTED_MOST = 8;
const AGAIN_MS = 30_000;

export class Lister {
  readonly #host: PrefetchHost;
  readonly #catalogue: Catalogue;
  readonly #root: string;
  /** There is more than there was, or that is all. */
  readonly #told: () => void;
  readonly #toList: string[] = [];
  #underWay = 0;
  #unlisted = 0;
  #begunMs = 0;
  #stopped = false;

  constructor(host: PrefetchHost, catalogue: Catalogue, root: string, told: () => void) {
    this.#host = host;
    this.#catalogue = catalogue;
    this.#root = root;
    this.#told = told;
    this.#begin();
  }

  /** All that there is, or that can be taken, is in the catalogue. */
  get done(): boolean {
    return this.#underWay === 0 && (this.#toList.length === 0 || this.#catalogue.full);
  }

  /** A file was read that is not in the catalogue: it may have come since. */
  unknown(): void {
    if (!this.done || this.#catalogue.full || ++this.#unlisted < UNLISTED_MOST) return;
    if (this.#host.nowMs() - this.#begunMs >= AGAIN_MS) this.#begin();
  }

  stop(): void {
    this.#stopped = true;
    this.#toList.length = 0;
  }

  #begin(): void {
    this.#unlisted = 0;
    this.#begunMs = this.#host.nowMs();
    this.#toList.push(this.#root);
    this.#go();
  }

  #go(): void {
    while (this.#underWay < LISTINGS_AT_ONCE && !this.#stopped && !this.#catalogue.full) {
      const path = this.#toList.pop();
      if (path === undefined) return;
      this.#underWay++;
      void this.#list(path)
        .catch((error: unknown) => this.#host.defect(error))
        .then(() => {
          this.#underWay--;
          this.#go();
          this.#told();
        });
    }
  }

  async #list(path: string): Promise<void> {
    const names = await this.#host.list(path);
    if (failed(names)) return;
    const { files, directories } = names as Names;
    const directory = this.#catalogue.addDirectory(path);
    for (let i = 0; i < files.length && !this.#stopped; i++) {
      if (i > 0 && i % SLICE === 0) {
        this.#told();
        await turn();
      }
      this.#catalogue.add(directory, files[i]!);
    }
    if (this.#stopped) return;
    for (const name of directories) this.#toList.push(path === '' ? name : `${path}/${name}`);
  }
}
