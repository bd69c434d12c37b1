/**
 * The file system over a store and a cache: what the transport calls, each operation in a file of its own.
 * A READ: fuse/session -> here -> read.ts -> cache (or store) -> reply.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { HiddenSnapshot } from '../access/hidden.ts';
import type { AccessedFile } from '../access/observer.ts';
import { Prefetch } from '../prefetch/index.ts';
import type { StoreStatistics } from '../store/store.ts';
import type { Carrier } from '../sys/carrier.ts';
import { Errno, type Outcome, type Reply } from '../sys/errno.ts';
import type { MetadataStats } from '../telemetry/stats.ts';
import * as attributes from './attributes.ts';
import { Core, type LiveOptions, type OverlayOptions } from './core.ts';
import * as creating from './create.ts';
import * as directory from './directory.ts';
import type {
  AttributesReply,
  Caller,
  Created,
  DirectorySink,
  Entry,
  FileSystem,
  HandleId,
  Kernel,
  LateBytes,
  NodeId,
  Opened,
  OpenedDirectory,
  SetAttributes,
} from './filesystem.ts';
import { KernelReadahead } from './kernel-readahead.ts';
import * as names from './names.ts';
import * as opening from './open.ts';
import { OverlayPrefetchHost } from './prefetch-host.ts';
import { read } from './read.ts';
import { Space } from './space.ts';
import { StandingHandles } from './standing.ts';
import { Warmups } from './warmup/warmups.ts';
import * as ways from './ways.ts';
import * as writing from './write.ts';

const WARMUP_REQUESTS = 16;
/** Of the cache's buffers for chunks on their way (64 MiB) readers have the other half. */
const PREFETCH_BYTES = 32 * 1024 * 1024;
/** A store that hangs must not keep the daemon. */
const STOP_MS = 1000;

export class Overlay implements FileSystem {
  readonly #core: Core;
  readonly #standing: StandingHandles;
  readonly #space: Space;
  /** What brings files into the cache before somebody reads them. */
  readonly warmups: Warmups;
  /** What brings data of its own accord; whoever observes tells it what is opened and read. */
  readonly prefetch: Prefetch | undefined;
  readonly #prefetchHost: OverlayPrefetchHost | undefined;

  constructor(options: OverlayOptions) {
    this.#core = new Core(options);
    this.#standing = new StandingHandles(this.#core);
    const { store, nowMs, readOnly } = this.#core;
    this.#space = new Space(store, { nowMs, ttlMs: () => this.#core.ttlMs, readOnly });
    const { warmupRequests = WARMUP_REQUESTS } = options;
    const { cache } = options;
    if (options.prefetch !== undefined && cache !== undefined && store.speed === 'pooled') {
      this.#prefetchHost = new OverlayPrefetchHost(this.#core, cache, (node) => this.forget(node, 1));
      this.prefetch = new Prefetch({ host: this.#prefetchHost, bytesMost: PREFETCH_BYTES, ...options.prefetch });
    }
    this.warmups = new Warmups(this.#core, warmupRequests, (node) => this.forget(node, 1));
  }

  /**
   * Before anybody comes: asks for what every walk begins with, and resolves when what earlier mounts knew of names is used,
   * or known to be of no use.
   */
  async prepare(): Promise<void> {
    void this.#space.reply();
    await this.#core.metadata?.start();
  }

  /** Directories whose names are known from earlier mounts, those used last, of at most so many names; as byte strings. */
  knownDirectories(namesMost: number): string[] {
    return this.#core.metadata?.knownDirectories(namesMost) ?? [];
  }

  start(kernel: Kernel): void {
    this.#core.kernel = kernel;
  }

  /** Applies to what is answered from now on. */
  change(options: Partial<LiveOptions>): void {
    this.#core.change(options);
  }

  lookup(parent: NodeId, name: string, caller?: Caller): Reply<Entry> {
    return this.#told(parent, names.lookup(this.#core, parent, name, caller?.pid ?? 0), caller);
  }

  forget(node: NodeId, count: number): void {
    if (this.#core.withoutOpen) this.#standing.forget(node, count);
    else this.#core.forget(node, count);
  }

  getattr(node: NodeId, handle: HandleId | undefined, caller?: Caller): Reply<AttributesReply> {
    return this.#told(node, attributes.getattr(this.#core, node, handle), caller);
  }

  setattr(node: NodeId, changes: SetAttributes, handle: HandleId | undefined, caller?: Caller): Reply<AttributesReply> {
    return this.#told(node, attributes.setattr(this.#core, node, changes, handle), caller);
  }

  readlink(node: NodeId): Reply<Buffer> {
    const inode = this.#core.inode(node);
    return inode === undefined ? -Errno.ESTALE : this.#told(node, this.#core.store.readlink(inode.node), undefined);
  }

  mknod(parent: NodeId, name: string, mode: number, rdev: number, umask: number, caller: Caller): Reply<Entry> {
    return this.#told(parent, names.mknod(this.#core, parent, name, mode, rdev, umask, caller), caller);
  }

  mkdir(parent: NodeId, name: string, mode: number, umask: number, caller: Caller): Reply<Entry> {
    return this.#told(parent, names.mkdir(this.#core, parent, name, mode, umask, caller), caller);
  }

  symlink(parent: NodeId, name: string, target: Buffer, caller: Caller): Reply<Entry> {
    return this.#told(parent, names.symlink(this.#core, parent, name, target, caller), caller);
  }

  link(node: NodeId, newParent: NodeId, newName: string, caller?: Caller): Reply<Entry> {
    return this.#told(node, names.link(this.#core, node, newParent, newName), caller);
  }

  unlink(parent: NodeId, name: string, caller?: Caller): Reply<0> {
    return this.#told(parent, names.unlink(this.#core, parent, name), caller);
  }

  rmdir(parent: NodeId, name: string, caller?: Caller): Reply<0> {
    return this.#told(parent, names.rmdir(this.#core, parent, name), caller);
  }

  rename(parent: NodeId, name: string, newParent: NodeId, newName: string, flags: number, caller?: Caller): Reply<0> {
    return this.#told(parent, names.rename(this.#core, parent, name, newParent, newName, flags), caller);
  }

  open(node: NodeId, flags: number, clearSuidSgid: boolean, caller: Caller): Reply<Opened> {
    return this.#told(node, opening.open(this.#core, node, flags, clearSuidSgid, caller), caller);
  }

  create(parent: NodeId, name: string, mode: number, umask: number, flags: number, caller: Caller): Reply<Created> {
    return this.#told(parent, creating.create(this.#core, parent, name, mode, umask, flags, caller), caller);
  }

  tmpfile(parent: NodeId, mode: number, umask: number, flags: number, caller: Caller): Reply<Created> {
    return this.#held(creating.tmpfile(this.#core, parent, mode, umask, flags, caller));
  }

  read(
    node: NodeId,
    handle: HandleId,
    offset: number,
    size: number,
    into: Uint8Array,
    caller: Caller,
    carrier?: Carrier,
  ): number | Promise<number | LateBytes> {
    const standing = handle === 0 && this.#core.withoutOpen;
    return this.#held(
      standing
        ? this.#standing.read(node, offset, size, into, caller, carrier)
        : read(this.#core, handle, offset, size, into, caller, carrier),
    );
  }

  write(
    _node: NodeId,
    handle: HandleId,
    offset: number,
    data: Uint8Array,
    clearSuidSgid: boolean,
    caller: Caller,
  ): Reply<number> {
    return this.#held(writing.write(this.#core, handle, offset, data, clearSuidSgid, caller));
  }

  flush(_node: NodeId, handle: HandleId): Reply<0> {
    return this.#held(writing.flush(this.#core, handle));
  }

  fsync(_node: NodeId, handle: HandleId, dataOnly: boolean): Reply<0> {
    return this.#held(writing.fsync(this.#core, handle, dataOnly));
  }

  release(_node: NodeId, handle: HandleId): void {
    ways.release(this.#core, handle);
  }

  fallocate(_node: NodeId, handle: HandleId, mode: number, offset: number, length: number, caller: Caller): Reply<0> {
    return this.#held(writing.fallocate(this.#core, handle, mode, offset, length, caller));
  }

  lseek(_node: NodeId, handle: HandleId, offset: number, whence: number): Reply<number> {
    return this.#held(writing.lseek(this.#core, handle, offset, whence));
  }

  copyFileRange(
    _node: NodeId,
    handle: HandleId,
    offset: number,
    _toNode: NodeId,
    toHandle: HandleId,
    toOffset: number,
    length: number,
    caller: Caller,
  ): Reply<number> {
    return this.#held(writing.copyFileRange(this.#core, handle, offset, toHandle, toOffset, length, caller));
  }

  opendir(node: NodeId, caller?: Caller): Reply<OpenedDirectory> {
    return this.#told(node, directory.opendir(this.#core, node, caller?.pid ?? 0), caller);
  }

  readdir(
    _node: NodeId,
    handle: HandleId,
    offset: number,
    plus: boolean,
    sink: DirectorySink,
    caller?: Caller,
  ): Reply<0> {
    return this.#held(directory.readdir(this.#core, handle, offset, plus, sink, caller?.pid ?? 0));
  }

  releasedir(_node: NodeId, handle: HandleId): void {
    directory.releasedir(this.#core, handle);
  }

  fsyncdir(node: NodeId): Reply<0> {
    return this.#held(directory.fsyncdir(this.#core, node));
  }

  getxattr(node: NodeId, name: string, caller?: Caller): Reply<Buffer> {
    return this.#told(node, attributes.getxattr(this.#core, node, name), caller);
  }

  setxattr(node: NodeId, name: string, value: Buffer, flags: number, caller?: Caller): Reply<0> {
    return this.#told(node, attributes.setxattr(this.#core, node, name, value, flags), caller);
  }

  listxattr(node: NodeId, caller?: Caller): Reply<Buffer> {
    return this.#told(node, attributes.listxattr(this.#core, node), caller);
  }

  removexattr(node: NodeId, name: string, caller?: Caller): Reply<0> {
    return this.#told(node, attributes.removexattr(this.#core, node, name), caller);
  }

  statfs(): Reply<StoreStatistics> {
    return this.#space.reply();
  }

  /** The kernel checks permissions itself (default_permissions) and asks this only where that is off. */
  access(node: NodeId): Reply<0> {
    return this.#core.inode(node) === undefined ? -Errno.ESTALE : 0;
  }

  /** Notes who is sent back by ESTALE, before the answer goes out: what led there must not lead there again. */
  #told<T>(node: NodeId, reply: Reply<T>, caller: Caller | undefined): Reply<T> {
    const thread = caller?.pid ?? 0; // the object is reused
    if (reply instanceof Promise) return this.#held(reply.then((outcome) => this.#note(node, outcome, thread)));
    return this.#note(node, reply, thread);
  }

  /** What goes on may have hold of inodes until it ends. */
  #held<T>(reply: T): T {
    if (reply instanceof Promise) this.#core.inodes.grace.until(reply);
    return reply;
  }

  #note<T>(node: NodeId, outcome: Outcome<T>, thread: number): Outcome<T> {
    if (outcome === -Errno.ESTALE) this.#core.sendBack(node, thread);
    return outcome;
  }

  async stop(): Promise<void> {
    const core = this.#core;
    core.inodes.stop();
    await this.warmups.stop();
    if (this.prefetch !== undefined) {
      await Promise.race([this.prefetch.stop(), sleep(STOP_MS, undefined, { ref: false })]);
      this.#prefetchHost?.stop();
    }
    for (const handle of core.files) ways.release(core, handle.id);
    for (const inode of core.inodes) {
      core.backings.drop(inode, core.kernel);
      core.sources.drop(inode);
      core.dropContent(inode);
    }
    core.metadata?.stop(); // the shelf is under the cache's lock
    await core.cache?.shutdown();
    await core.store.shutdown();
  }

  /** Everything counted, as plain numbers, with what is open and known now. */
  snapshot(): Record<string, number> {
    const { counters, inodes, files, directories, sources } = this.#core;
    return {
      ...counters,
      inodes: inodes.size,
      restingInodes: inodes.resting.inodes,
      restingBytes: inodes.resting.bytes,
      openFiles: files.size,
      openDirectories: directories.size,
      idleDescriptors: sources.idle,
    };
  }

  /** What is known of names ahead; undefined where every look-up asks the store. */
  metadata(): MetadataStats | undefined {
    return this.#core.metadata?.snapshot();
  }

  /** `set` turns the kernel's read-ahead for files opened from now on; it is at `wideBytes`. See kernel-readahead.ts. */
  ownsReadahead(set: (bytes: number) => boolean, wideBytes: number, goesOn: (file: AccessedFile) => boolean): void {
    if (this.prefetch?.largeFiles === undefined) return; // nobody else reads ahead
    this.#core.kernelReadahead = new KernelReadahead(set, wideBytes, goesOn);
  }

  /** What the kernel reads by itself, estimated. */
  hidden(): HiddenSnapshot {
    const { sampling, withoutOpen } = this.#core;
    const snapshot = sampling.snapshot();
    if (!withoutOpen) return snapshot;
    return { ...snapshot, opens: null, reads: null, readsError: null, bytes: null, bytesError: null };
  }

  /** Throws when an invariant does not hold; for tests. */
  checkInvariants(): void {
    this.#core.inodes.checkInvariants();
  }
}
