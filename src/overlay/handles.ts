/** Open files and directories, by the number the kernel knows them by. */
import type { Group, Sample } from '../access/hidden.ts';
import type { AccessedHandle, Way } from '../access/observer.ts';
import type { DirectoryEntry, StoreFile } from '../store/store.ts';
import type { HandleId } from './filesystem.ts';
import type { Inode } from './inode.ts';
import type { Listing } from './metadata-listing.ts';

export interface FileHandle extends AccessedHandle {
  readonly id: HandleId;
  readonly inode: Inode;
  /** As open(2), without O_CREAT and O_EXCL. */
  readonly flags: number;
  /** The descriptor of a handle that may write; readers share the inode's. */
  readonly file: StoreFile | undefined;
  /** This handle holds a use of the inode's shared source. */
  usesSource: boolean;
  readonly way: Way;
  /** Why its reads do not come to the daemon, or would not if it were no sample. */
  hiddenBy: Group;
  sample: Sample | undefined;
  observed: object | undefined;
  /** The kernel was told that the pages it has are right. */
  keptPages: boolean;
  /** Behind the last byte it was given; and whether it shall teach the page pusher (push.ts). */
  readTo: number;
  learnFrom: boolean;
}

export interface DirectoryHandle {
  readonly id: HandleId;
  readonly inode: Inode;
  /** The names as of the last read from offset 0. */
  entries: DirectoryEntry[] | undefined;
  /** What is known of these names; undefined where nothing is kept. */
  listing: Listing | undefined;
  /** Its end was read. */
  ended: boolean;
}

export class HandleTable<T extends { readonly id: HandleId }> {
  readonly #handles = new Map<HandleId, T>();
  #next: HandleId = 1;

  get size(): number {
    return this.#handles.size;
  }

  nextId(): HandleId {
    return this.#next++;
  }

  add(handle: T): T {
    this.#handles.set(handle.id, handle);
    return handle;
  }

  get(id: HandleId): T | undefined {
    return this.#handles.get(id);
  }

  take(id: HandleId): T | undefined {
    const handle = this.#handles.get(id);
    this.#handles.delete(id);
    return handle;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    yield* this.#handles.values();
  }
}
