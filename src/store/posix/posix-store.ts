/**
 * A directory of this machine as a store: any file system that is mounted, local or not. This file is the contract's
 * front; what each part does is beside it: look.ts (finding), files.ts (bytes), names.ts (making and moving), changes.ts
 * (attributes), descriptors.ts (how nothing ever leaves the root), trips.ts (one text for two speeds).
 */
import type { Carrier } from '../../sys/carrier.ts';
import type { Reply } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { Attributes } from '../attributes.ts';
import type {
  AttributeChanges,
  DirectoryEntry,
  Found,
  Identity,
  SpeedClass,
  Store,
  StoreCapability,
  StoreCounts,
  StoreFile,
  StoreNode,
  StoreStatistics,
  Version,
} from '../store.ts';
import { Changes } from './changes.ts';
import type { Context } from './context.ts';
import type { CredentialWorkers } from './credential-workers.ts';
import type { PosixFile } from './file.ts';
import { Files } from './files.ts';
import { Look } from './look.ts';
import { Names } from './names.ts';
import { type Location, PosixNode } from './node.ts';
import { flat } from './statx.ts';
import { type Steps, trip } from './trips.ts';

/** How long `shutdown` waits for calls under way; a source that hangs must not keep the program from ending. */
const SHUTDOWN_MS = 2000;

export interface PosixStoreParts {
  path: string;
  context: Context;
  rootFound: Found;
  memory: boolean;
  /** Files are read with O_DIRECT; see files.ts. */
  direct: boolean;
  workers: readonly CredentialWorkers[];
}

export class PosixStore implements Store {
  readonly id: string;
  readonly speed: SpeedClass;
  readonly readOnly: boolean;
  readonly #context: Context;
  readonly #rootFound: Found;
  readonly #workers: readonly CredentialWorkers[];
  readonly #look: Look;
  readonly #files: Files;
  readonly #names: Names;
  readonly #changes: Changes;

  constructor({ path, context, rootFound, memory, direct, workers }: PosixStoreParts) {
    this.id = `posix:${path}`;
    this.speed = context.runner.inline ? 'inline' : 'pooled';
    this.readOnly = context.readOnly;
    this.#context = context;
    this.#rootFound = rootFound;
    this.#workers = workers;
    this.#look = new Look(context);
    this.#files = new Files(context, { memory, direct });
    this.#names = new Names(context);
    this.#changes = new Changes(context);
  }

  /** True until a call has shown that the source cannot. */
  can(capability: StoreCapability): boolean {
    return !this.#context.missing.has(capability);
  }

  /** Calls in flight on the pool and waiting for it, and directories held open: for gauges. */
  load(): { inFlight: number; waiting: number; directories: number } {
    const { runner, descriptors } = this.#context;
    return { inFlight: runner.lane.inFlight, waiting: runner.lane.waiting, directories: descriptors.open };
  }

  root(): Found & { node: StoreNode } {
    return { ...this.#rootFound, node: this.#context.root };
  }

  lookup(parent: StoreNode, name: string): Reply<Found> {
    return this.#look.lookup(parent as PosixNode, name);
  }

  node(parent: StoreNode, name: string, found: Found): StoreNode {
    const node = new PosixNode(found, this.#context.root.device);
    node.addLocation(parent as PosixNode, name);
    return node;
  }

  alias(node: StoreNode, parent: StoreNode, name: string, askedMs: number): void {
    if (node === this.#context.root) return;
    const found = node as PosixNode;
    // It may have been at that name before a move and not be after; the move itself notes where it is.
    if (found.moving === undefined && askedMs >= found.movedAtMs) found.addLocation(parent as PosixNode, name);
  }

  place(node: StoreNode): Location | undefined {
    const known = node as PosixNode;
    return known.plain ? known.newest() : undefined;
  }

  release(node: StoreNode): void {
    if (node !== this.#context.root) this.#context.descriptors.release(node as PosixNode);
  }

  attributes(node: StoreNode, file?: StoreFile): Reply<Attributes> {
    return this.#look.attributes(node as PosixNode, file as PosixFile | undefined);
  }

  revalidate(node: StoreNode): Reply<Attributes> {
    return this.#look.revalidate(node as PosixNode);
  }

  change(node: StoreNode, changes: AttributeChanges, file?: StoreFile): Reply<Attributes> {
    return this.#changes.change(node as PosixNode, changes, file as PosixFile | undefined);
  }

  version(attributes: Attributes): Version {
    const { ino, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = attributes;
    return flat(`${ino}:${size}:${mtimeSec}.${mtimeNsec}:${ctimeSec}.${ctimeNsec}`);
  }

  readlink(node: StoreNode): Reply<Buffer> {
    return this.#look.readlink(node as PosixNode);
  }

  list(node: StoreNode): Reply<DirectoryEntry[]> {
    return this.#look.list(node as PosixNode);
  }

  makeNode(parent: StoreNode, name: string, mode: number, rdev: number, who: Identity): Reply<Found> {
    return this.#names.makeNode(parent as PosixNode, name, mode, rdev, who);
  }

  makeDirectory(parent: StoreNode, name: string, mode: number, who: Identity): Reply<Found> {
    return this.#names.makeDirectory(parent as PosixNode, name, mode, who);
  }

  makeSymlink(parent: StoreNode, name: string, target: Buffer, who: Identity): Reply<Found> {
    return this.#names.makeSymlink(parent as PosixNode, name, target, who);
  }

  makeLink(node: StoreNode, parent: StoreNode, name: string): Reply<Found> {
    return this.#names.makeLink(node as PosixNode, parent as PosixNode, name);
  }

  unlink(parent: StoreNode, name: string, node?: StoreNode): Reply<0> {
    return this.#names.unlink(parent as PosixNode, name, node as PosixNode | undefined);
  }

  removeDirectory(parent: StoreNode, name: string, node?: StoreNode): Reply<0> {
    return this.#names.removeDirectory(parent as PosixNode, name, node as PosixNode | undefined);
  }

  rename(
    parent: StoreNode,
    name: string,
    newParent: StoreNode,
    newName: string,
    flags: number,
    node?: StoreNode,
    target?: StoreNode,
  ): Reply<0> {
    const [moved, replaced] = [node as PosixNode | undefined, target as PosixNode | undefined];
    return this.#names.rename(parent as PosixNode, name, newParent as PosixNode, newName, flags, moved, replaced);
  }

  open(node: StoreNode, flags: number): Reply<StoreFile> {
    return this.#files.open(node as PosixNode, flags);
  }

  create(
    parent: StoreNode,
    name: string,
    mode: number,
    flags: number,
    who: Identity,
  ): Reply<{ found: Found; file: StoreFile }> {
    return this.#names.create(parent as PosixNode, name, mode, flags, who);
  }

  createUnnamed(
    parent: StoreNode,
    mode: number,
    flags: number,
    who: Identity,
  ): Reply<{ found: Found; file: StoreFile; node: StoreNode }> {
    return this.#names.createUnnamed(parent as PosixNode, mode, flags, who);
  }

  close(file: StoreFile): void {
    this.#files.close(file as PosixFile);
  }

  readNow(file: StoreFile, into: Uint8Array, length: number, offset: number): number {
    return this.#files.readNow(file as PosixFile, into, length, offset);
  }

  carryNow(file: StoreFile, carrier: Carrier, length: number, offset: number, end: number): number {
    return this.#files.carryNow(file as PosixFile, carrier, length, offset, end);
  }

  read(file: StoreFile, into: Uint8Array, length: number, offset: number, end?: number): Reply<number> {
    return this.#files.read(file as PosixFile, into, length, offset, end);
  }

  write(file: StoreFile, data: Uint8Array, offset: number): Reply<number> {
    return this.#files.write(file as PosixFile, data, offset);
  }

  flush(file: StoreFile): Reply<0> {
    return this.#files.flush(file as PosixFile) as Reply<0>;
  }

  delaysErrors(): boolean {
    return this.speed === 'pooled';
  }

  sync(file: StoreFile, dataOnly: boolean): Reply<0> {
    return this.#files.sync(file as PosixFile, dataOnly) as Promise<0>;
  }

  syncDirectory(node: StoreNode): Reply<0> {
    return this.#changes.syncDirectory(node as PosixNode);
  }

  allocate(file: StoreFile, mode: number, offset: number, length: number): Reply<0> {
    return this.#files.allocate(file as PosixFile, mode, offset, length) as Promise<0>;
  }

  seek(file: StoreFile, offset: number, whence: number): Reply<number> {
    return this.#files.seek(file as PosixFile, offset, whence);
  }

  copyRange(from: StoreFile, fromOffset: number, to: StoreFile, toOffset: number, length: number): Reply<number> {
    return this.#files.copyRange(from as PosixFile, fromOffset, to as PosixFile, toOffset, length);
  }

  getXattr(node: StoreNode, name: string, file?: StoreFile): Reply<Buffer> {
    return this.#changes.getXattr(node as PosixNode, name, file as PosixFile | undefined);
  }

  setXattr(node: StoreNode, name: string, value: Buffer, flags: number, file?: StoreFile): Reply<0> {
    return this.#changes.setXattr(node as PosixNode, name, value, flags, file as PosixFile | undefined);
  }

  listXattr(node: StoreNode, file?: StoreFile): Reply<Buffer> {
    return this.#changes.listXattr(node as PosixNode, file as PosixFile | undefined);
  }

  removeXattr(node: StoreNode, name: string, file?: StoreFile): Reply<0> {
    return this.#changes.removeXattr(node as PosixNode, name, file as PosixFile | undefined);
  }

  statistics(): Reply<StoreStatistics> {
    return this.#context.runner.run(statisticsSteps(this.#context.root.fd));
  }

  counts(): StoreCounts {
    return this.#context.runner.counts.snapshot();
  }

  async shutdown(): Promise<void> {
    const idle = await this.#context.runner.idle(SHUTDOWN_MS);
    // Descriptors that a hung call uses end with the process.
    if (idle) {
      this.#context.descriptors.closeAll();
      this.#context.runner.close(this.#context.root.fd);
      this.#context.root.fd = -1;
      await this.#context.runner.lane.idle(SHUTDOWN_MS);
    }
    await Promise.all(this.#workers.map((workers) => workers.close()));
  }
}

/** struct statfs, 64-bit: eight-byte words type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize. */
function* statisticsSteps(fd: number): Steps<StoreStatistics> {
  const bytes = Buffer.alloc(120);
  const result = yield trip(sys.fstatfs, fd, bytes);
  if (result < 0) return result;
  const word = (index: number) => Number(bytes.readBigUInt64LE(index * 8));
  return {
    blockSize: word(1),
    fragmentSize: word(9) || word(1),
    blocks: word(2),
    blocksFree: word(3),
    blocksAvailable: word(4),
    files: word(5),
    filesFree: word(6),
    nameLengthMax: word(8),
  };
}
