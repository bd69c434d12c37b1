/**
 * Takes the entries of a directory until the reply is full. It has memory of its own, because a listing may be filled
 * in over several turns of the loop, while other replies are sent.
 *
 * An entry with attributes counts as a lookup from the moment it is taken. Should the reply not reach the kernel, `undo`
 * gives all of them back.
 */
import type { DirectorySink, Entry, FileSystem, NodeId } from '../overlay/filesystem.ts';
import { putEntry } from './replies.ts';
import { Dirent, EntryOut } from './structs.ts';

const ALIGN = 8;

export class DirectoryReply implements DirectorySink {
  #bytes = Buffer.alloc(0);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, 0);
  #room = 0;
  #plus = false;
  #length = 0;
  #taken: NodeId[] = [];
  #dots: NodeId[] = [];

  /** Begins a reply of at most `room` bytes. */
  begin(room: number, plus: boolean): void {
    if (this.#bytes.length < room) {
      this.#bytes = Buffer.allocUnsafeSlow(room);
      this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, room);
    }
    this.#room = room;
    this.#plus = plus;
    this.#length = 0;
    this.#taken.length = 0;
    this.#dots.length = 0;
  }

  add(name: string, ino: bigint, type: number, nextOffset: number, entry: Entry | undefined): boolean {
    const head = this.#plus ? EntryOut.size : 0;
    const end = this.#length + head + Dirent.size + name.length;
    const next = (end + ALIGN - 1) & -ALIGN;
    if (next > this.#room) return false;
    if (this.#plus) this.#putEntry(name, entry);
    const view = this.#view;
    const at = this.#length + head;
    Dirent.set.ino(view, at, ino);
    Dirent.set.off(view, at, nextOffset);
    Dirent.set.namelen(view, at, name.length);
    Dirent.set.type(view, at, type);
    this.#bytes.write(name, at + Dirent.size, name.length, 'latin1');
    this.#bytes.fill(0, end, next);
    this.#length = next;
    return true;
  }

  #putEntry(name: string, entry: Entry | undefined): void {
    const at = this.#length;
    if (entry === undefined || name === '.' || name === '..') {
      // The kernel takes no lookup for these two, nor for an entry without a node.
      if (entry !== undefined && entry.node !== 0) this.#dots.push(entry.node);
      this.#bytes.fill(0, at, at + EntryOut.size);
      return;
    }
    putEntry(this.#bytes, this.#view, at, entry);
    if (entry.node !== 0) this.#taken.push(entry.node);
  }

  /** Copies the entries to where the reply is sent from. */
  copyTo(payload: Buffer): number {
    this.#bytes.copy(payload, 0, 0, this.#length);
    return this.#length;
  }

  /** After the reply was sent: lookups that were given for entries the kernel does not count are taken back. */
  settle(fileSystem: FileSystem): void {
    for (const node of this.#dots) fileSystem.forget(node, 1);
    this.#dots.length = 0;
  }

  /** The reply did not reach the kernel: takes every lookup back. */
  undo(fileSystem: FileSystem): void {
    for (const node of this.#taken) fileSystem.forget(node, 1);
    this.#taken.length = 0;
    this.settle(fileSystem);
  }
}
