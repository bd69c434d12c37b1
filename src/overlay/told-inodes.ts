/**
 * Inodes that the kernel was told of with the names of a directory and that nobody has used since: what a walk leaves behind.
 * Of each only its record is kept, where an earlier mount had put it; the inode is made when the kernel asks for it. Only
 * where neither the source nor anybody here changes a file, so that what the record says stays so. The directory's inode
 * is there as long: directories never rest, and the kernel forgets no directory before what is in it.
 */
import type { FileId, Found } from '../store/store.ts';
import type { NodeId } from './filesystem.ts';
import type { Inode } from './inode.ts';
import type { EncodedEntries } from './metadata-codec.ts';

export interface ToldInode {
  readonly nodeId: NodeId;
  readonly parent: Inode;
  readonly part: EncodedEntries;
  /** Its record in the part. */
  readonly index: number;
  /** As `Inode.lookups`. */
  lookups: number;
}

export class ToldInodes {
  readonly #byNode = new Map<NodeId, ToldInode>();
  readonly #byFile = new Map<FileId, ToldInode>();

  get size(): number {
    return this.#byNode.size;
  }

  /** Of a file. */
  of(id: FileId): ToldInode | undefined {
    return this.#byFile.size === 0 ? undefined : this.#byFile.get(id);
  }

  at(node: NodeId): ToldInode | undefined {
    return this.#byNode.size === 0 ? undefined : this.#byNode.get(node);
  }

  add(told: ToldInode, { id }: Found): void {
    this.#byNode.set(told.nodeId, told);
    this.#byFile.set(id, told);
  }

  files(): IterableIterator<FileId> {
    return this.#byFile.keys();
  }

  remove({ nodeId, part, index }: ToldInode): void {
    this.#byNode.delete(nodeId);
    this.#byFile.delete(part.id(index));
  }
}
