/**
 * How far the kernel shall read ahead in the file that is being opened: one owner of the mount's knob. In a file that is not in the
 * cache yet a wide window only costs. What its reader goes on to is brought before the kernel asks for it, as far ahead as pays;
 * and around each page of a mapping that is read here and there the kernel would ask for all of the window. Where files of the
 * same directory were read on and on, and in tar shards, it is wide all the same: fewer READs for the same bytes.
 */
import { WHOLE_FILE_BYTES } from '../prefetch/order.ts';
import type { Inode } from './inode.ts';

/**
 * In a file that is not in the cache yet: each side of a page that a mapping faults on has then a half of it, which is enough for
 * a row of some pages to be one READ. Who reads larger pieces has READs of 128 KiB all the same: the kernel bounds them apart.
 */
const FILLING_BYTES = 32 * 1024;

export class KernelReadahead {
  readonly #set: (bytes: number) => boolean;
  readonly #wideBytes: number;
  readonly #goesOn: (file: Inode) => boolean;
  #nowBytes: number;

  /** `wideBytes`: as it is set, for files that are there. `goesOn`: a file is going to be read on and on. */
  constructor(set: (bytes: number) => boolean, wideBytes: number, goesOn: (file: Inode) => boolean) {
    this.#set = set;
    this.#goesOn = goesOn;
    this.#wideBytes = wideBytes;
    this.#nowBytes = wideBytes;
  }

  /** To be called before the reply to its OPEN. Files of no more than the narrow window are opened as it is. */
  opening(inode: Inode): void {
    const { size } = inode.attributes;
    if (size <= FILLING_BYTES) return;
    const wide = inode.whole || size <= WHOLE_FILE_BYTES || this.#goesOn(inode);
    const bytes = wide ? this.#wideBytes : Math.min(this.#wideBytes, FILLING_BYTES);
    if (bytes !== this.#nowBytes && this.#set(bytes)) this.#nowBytes = bytes;
  }
}
