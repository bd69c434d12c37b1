/** A file as this store knows it: its identity, the names it was seen under, and perhaps a descriptor. */
import { FileType } from '../attributes.ts';
import type { FileId, Found, StoreNode } from '../store.ts';
import type { FileIdentity } from './statx.ts';

export interface Location {
  parent: PosixNode;
  name: string;
}

/** Names kept for one file. More than that only happens with heavily hard-linked trees, where the newest suffice. */
const LOCATIONS_MAX = 32;
/** Directories moved into each other by others can look like a circle for a while. */
const DEPTH_MAX = 4096;

export class PosixNode implements StoreNode, FileIdentity {
  readonly id: FileId;
  readonly birth: string;
  readonly device: number;
  readonly inoLow: number;
  readonly inoHigh: number;
  readonly type: number;
  readonly btimeSec: number;
  readonly btimeNsec: number;

  /** Where it was seen, newest last; empty for the root and for files that have no name any more. */
  locations: Location[] = [];
  /** An O_PATH descriptor, -1 for none. Owned by `Descriptors`, as is everything below. */
  fd = -1;
  /** Calls under way that use `fd`: it must not be closed, since its number would be given to another file at once. */
  uses = 0;
  /** The descriptor is the only way to the file (its last name was removed): kept until release. */
  pinned = false;
  /** Its link count when it was last made sure that a descriptor is of it. */
  links = 1;
  /** Given back while calls were under way: the last of them closes the descriptor. */
  closing = false;
  /** The open under way of a pooled store, which others wait for instead of opening again. */
  opening: Promise<number> | undefined;
  /** Changes of its names through this store that have ended, and when the last one did (monotonic ms). */
  moves = 0;
  movedAtMs: number = Number.NEGATIVE_INFINITY;
  #movesUnderWay = 0;
  #moved: PromiseWithResolvers<number> | undefined;
  /** Neighbours in the list of directories by last use. */
  older: PosixNode | undefined;
  newer: PosixNode | undefined;

  constructor(found: Found, rootDevice: number) {
    const { ino, mode, btimeSec, btimeNsec } = found.attributes;
    this.id = found.id;
    this.birth = found.birth;
    this.device = typeof found.id === 'number' ? rootDevice : Number(found.id.slice(0, found.id.indexOf('.')));
    this.inoLow = Number(ino & 0xffff_ffffn);
    this.inoHigh = Number(ino >> 32n);
    this.type = mode & FileType.MASK;
    this.btimeSec = btimeSec;
    this.btimeNsec = btimeNsec;
  }

  get isDirectory(): boolean {
    return this.type === FileType.DIRECTORY;
  }

  /** Its descriptor leads to it without a name. Those of directories with a name are for finding what is in them. */
  get held(): boolean {
    return this.pinned || (this.fd >= 0 && !this.isDirectory);
  }

  /** Nothing is known of it but one name and what was found there. */
  get plain(): boolean {
    return this.locations.length === 1 && this.fd < 0 && this.uses === 0 && this.moves === 0 && !this.#busy;
  }

  get #busy(): boolean {
    return this.#movesUnderWay > 0 || this.opening !== undefined;
  }

  newest(): Location | undefined {
    return this.locations[this.locations.length - 1];
  }

  path(): string {
    const names: string[] = [];
    let at = this.newest();
    for (; at !== undefined && names.length < DEPTH_MAX; at = at.parent.newest()) names.push(at.name);
    return names.reverse().join('/');
  }

  /** Notes that it is at parent/name, as the newest of its names. */
  addLocation(parent: PosixNode, name: string): void {
    const locations = this.locations;
    const last = locations[locations.length - 1];
    if (last !== undefined && last.parent === parent && last.name === name) return;
    if (last === undefined) {
      this.locations = [{ parent, name }]; // a list that grows takes room for seventeen
      return;
    }
    this.removeLocation(parent, name);
    if (locations.length >= LOCATIONS_MAX) locations.shift();
    locations.push({ parent, name });
  }

  removeLocation(parent: PosixNode, name: string): void {
    // By identity: a directory that was forgotten and found again has another node.
    const { id, birth } = parent;
    const index = this.locations.findIndex(
      (at) => at.name === name && at.parent.id === id && at.parent.birth === birth,
    );
    if (index >= 0) this.locations.splice(index, 1);
  }

  /** Forgets a name that does not lead to it any more, unless it is the last one known: that may come to again. */
  dropLocation(parent: PosixNode, name: string): void {
    if (this.locations.length > 1) this.removeLocation(parent, name);
  }

  /** Settles when the changes of its names that are under way have ended; undefined when there are none. */
  get moving(): Promise<number> | undefined {
    if (this.#movesUnderWay === 0) return undefined;
    this.#moved ??= Promise.withResolvers<number>();
    return this.#moved.promise;
  }

  moveBegins(): void {
    this.#movesUnderWay++;
  }

  moveEnds(): void {
    this.moves++;
    this.movedAtMs = performance.now();
    if (--this.#movesUnderWay > 0) return;
    this.#moved?.resolve(0);
    this.#moved = undefined;
  }
}
