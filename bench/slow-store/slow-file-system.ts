/**
 * Any file system, made as slow as a store at the other end of a network: every operation the kernel asks for is one
 * request that waits its turn on the `Link`; then the real one does the work at once. Reads are done first and their reply
 * waits, because only the bytes that were there cross the link. RELEASE, FORGET and RELEASEDIR cost nothing, as with a
 * client that tells its server later.
 *
 * Nothing is kept between requests but names and attributes for `ttlMs`: an OPEN drops cached pages, and no handle has a
 * backing file. A reader that comes again therefore asks the store again, as it would with more data than memory.
 */
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
} from '../../src/overlay/filesystem.ts';
import { ReadBuffers } from '../../src/overlay/read-buffers.ts';
import type { StoreStatistics } from '../../src/store/store.ts';
import { Errno, failed, type Outcome, type Reply } from '../../src/sys/errno.ts';
import { Clock, now } from './clock.ts';
import { Counter, type Counts } from './counts.ts';
import { Link } from './link.ts';
import { Paths } from './paths.ts';
import { type Kind, nothingWrong, Rules, type Verdict } from './rules.ts';

export interface SlowOptions {
  latencyMs: number;
  /** Bytes a second for all data together. */
  bandwidth: number;
  /** How long the kernel may keep names and attributes. */
  ttlMs: number;
}

export type Pace = Partial<Pick<SlowOptions, 'latencyMs' | 'bandwidth'>>;

/** As many requests of 1 MiB wait for the link at a time as a client of some width makes. */
const BUFFERS_BYTES = 256 * 1024 * 1024;

export class SlowFileSystem implements FileSystem {
  readonly rules = new Rules();
  readonly #inner: FileSystem;
  readonly #ttlMs: number;
  readonly #link: Link;
  readonly #clock = new Clock();
  readonly #counter = new Counter();
  readonly #paths = new Paths();
  readonly #buffers = new ReadBuffers(BUFFERS_BYTES);

  constructor(inner: FileSystem, options: SlowOptions) {
    this.#inner = inner;
    this.#ttlMs = options.ttlMs;
    this.#link = new Link(options.latencyMs, options.bandwidth);
  }

  counts(): Counts {
    return this.#counter.snapshot(this.#link.busyMs);
  }

  reset(): void {
    this.#counter.reset();
    this.#link.reset();
  }

  /** Makes it slower or quicker from now on. */
  pace({ latencyMs = this.#link.latencyMs, bandwidth = this.#link.bandwidth }: Pace): void {
    if (!(latencyMs >= 0) || !(bandwidth > 0)) throw new Error('a pace: latencyMs >= 0, bandwidth > 0');
    this.#link.latencyMs = latencyMs;
    this.#link.bandwidth = bandwidth;
  }

  start(kernel: Kernel): void {
    const withoutBacking: Kernel = {
      passthrough: false,
      registerBacking: () => -1,
      unregisterBacking: () => {},
      pages: new Uint8Array(0),
      pushPages: () => -Errno.EOPNOTSUPP,
      invalidateAttributes: (node) => kernel.invalidateAttributes(node),
      invalidateData: (node, offset, length) => kernel.invalidateData(node, offset, length),
      invalidateEntry: (parent, name) => kernel.invalidateEntry(parent, name),
    };
    this.#inner.start(withoutBacking);
  }

  async stop(): Promise<void> {
    this.rules.clear();
    this.#clock.flush();
    await this.#inner.stop();
  }

  // --- names and attributes -----------------------------------------------------------------------------------------
  lookup(parent: NodeId, name: string, caller: Caller): Reply<Entry> {
    const who = { ...caller };
    return this.#entry('lookup', parent, name, () => this.#inner.lookup(parent, name, who));
  }

  forget(node: NodeId, count: number): void {
    this.#paths.forget(node, count);
    this.#inner.forget(node, count);
  }

  getattr(node: NodeId, handle: HandleId | undefined, caller: Caller): Reply<AttributesReply> {
    const who = { ...caller };
    return this.#attributes(this.#trip('getattr', node, undefined, 0, () => this.#inner.getattr(node, handle, who)));
  }

  setattr(node: NodeId, changes: SetAttributes, handle: HandleId | undefined, caller: Caller): Reply<AttributesReply> {
    const who = { ...caller };
    const what = { ...changes };
    return this.#attributes(
      this.#trip('setattr', node, undefined, 0, () => this.#inner.setattr(node, what, handle, who)),
    );
  }

  readlink(node: NodeId): Reply<Buffer> {
    return this.#trip('readlink', node, undefined, 0, () => this.#inner.readlink(node));
  }

  mknod(parent: NodeId, name: string, mode: number, rdev: number, umask: number, caller: Caller): Reply<Entry> {
    const who = { ...caller };
    return this.#entry('mknod', parent, name, () => this.#inner.mknod(parent, name, mode, rdev, umask, who));
  }

  mkdir(parent: NodeId, name: string, mode: number, umask: number, caller: Caller): Reply<Entry> {
    const who = { ...caller };
    return this.#entry('mkdir', parent, name, () => this.#inner.mkdir(parent, name, mode, umask, who));
  }

  symlink(parent: NodeId, name: string, target: Buffer, caller: Caller): Reply<Entry> {
    const who = { ...caller };
    const copy = Buffer.from(target);
    return this.#entry('symlink', parent, name, () => this.#inner.symlink(parent, name, copy, who));
  }

  link(node: NodeId, newParent: NodeId, newName: string, caller: Caller): Reply<Entry> {
    const who = { ...caller };
    return this.#entry('link', newParent, newName, () => this.#inner.link(node, newParent, newName, who));
  }

  unlink(parent: NodeId, name: string, caller: Caller): Reply<0> {
    const who = { ...caller };
    return this.#trip('unlink', parent, name, 0, () => this.#inner.unlink(parent, name, who));
  }

  rmdir(parent: NodeId, name: string, caller: Caller): Reply<0> {
    const who = { ...caller };
    return this.#trip('rmdir', parent, name, 0, () => this.#inner.rmdir(parent, name, who));
  }

  async rename(
    parent: NodeId,
    name: string,
    newParent: NodeId,
    newName: string,
    flags: number,
    caller: Caller,
  ): Promise<Outcome<0>> {
    const who = { ...caller };
    const outcome = await this.#trip('rename', parent, name, 0, () =>
      this.#inner.rename(parent, name, newParent, newName, flags, who),
    );
    if (!failed(outcome)) this.#paths.moved(parent, name, newParent, newName);
    return outcome;
  }

  // --- files --------------------------------------------------------------------------------------------------------
  async open(node: NodeId, flags: number, clearSuidSgid: boolean, caller: Caller): Promise<Outcome<Opened>> {
    const who = { ...caller };
    const run = () => this.#inner.open(node, flags, clearSuidSgid, who);
    const outcome = await this.#trip('open', node, undefined, 0, run);
    if (failed(outcome)) return outcome;
    this.#counter.file(this.#paths.of(node));
    return { ...outcome, keepCache: false, backingId: 0 };
  }

  create(
    parent: NodeId,
    name: string,
    mode: number,
    umask: number,
    flags: number,
    caller: Caller,
  ): Promise<Outcome<Created>> {
    const who = { ...caller };
    const run = () => this.#inner.create(parent, name, mode, umask, flags, who);
    return this.#created(parent, name, this.#trip('create', parent, name, 0, run));
  }

  tmpfile(parent: NodeId, mode: number, umask: number, flags: number, caller: Caller): Promise<Outcome<Created>> {
    const who = { ...caller };
    const run = () => this.#inner.tmpfile(parent, mode, umask, flags, who);
    return this.#created(parent, '#unnamed', this.#trip('tmpfile', parent, undefined, 0, run));
  }

  async read(
    node: NodeId,
    handle: HandleId,
    offset: number,
    size: number,
    _into: Uint8Array,
    caller: Caller,
  ): Promise<number | LateBytes> {
    const who = { ...caller };
    const verdict = this.#begin('read', node, undefined);
    if (verdict.hang !== undefined) await verdict.hang;
    if (verdict.failure !== 0) return this.#late(0, verdict.failure);

    const buffer = this.#buffers.take(size);
    const give = () => this.#buffers.give(buffer);
    const answer = await this.#inner.read(node, handle, offset, size, buffer, who);
    if (typeof answer !== 'number' || answer < 0) give(); // it was not in memory, and came in a buffer of its own
    if (typeof answer === 'number' && answer < 0) return this.#late(0, answer);
    const late = typeof answer === 'number' ? { bytes: buffer.subarray(0, answer), release: give } : answer;
    if (late.bytes.length > verdict.shortenTo) {
      late.bytes = late.bytes.subarray(0, verdict.shortenTo);
      this.#counter.shortened++;
    }
    this.#counter.bytesRead += late.bytes.length;
    return this.#late(late.bytes.length, late);
  }

  write(
    node: NodeId,
    handle: HandleId,
    offset: number,
    data: Uint8Array,
    clearSuidSgid: boolean,
    caller: Caller,
  ): Reply<number> {
    const who = { ...caller };
    this.#counter.bytesWritten += data.length;
    const run = () => this.#inner.write(node, handle, offset, data, clearSuidSgid, who);
    return this.#trip('write', node, undefined, data.length, run);
  }

  flush(node: NodeId, handle: HandleId): Reply<0> {
    return this.#trip('flush', node, undefined, 0, () => this.#inner.flush(node, handle));
  }

  fsync(node: NodeId, handle: HandleId, dataOnly: boolean): Reply<0> {
    return this.#trip('fsync', node, undefined, 0, () => this.#inner.fsync(node, handle, dataOnly));
  }

  release(node: NodeId, handle: HandleId): void {
    this.#inner.release(node, handle);
  }

  fallocate(node: NodeId, handle: HandleId, mode: number, offset: number, length: number, caller: Caller): Reply<0> {
    const who = { ...caller };
    return this.#trip('fallocate', node, undefined, 0, () =>
      this.#inner.fallocate(node, handle, mode, offset, length, who),
    );
  }

  lseek(node: NodeId, handle: HandleId, offset: number, whence: number): Reply<number> {
    return this.#trip('lseek', node, undefined, 0, () => this.#inner.lseek(node, handle, offset, whence));
  }

  copyFileRange(
    node: NodeId,
    handle: HandleId,
    offset: number,
    toNode: NodeId,
    toHandle: HandleId,
    toOffset: number,
    length: number,
    caller: Caller,
  ): Reply<number> {
    const who = { ...caller };
    return this.#trip('copy_file_range', node, undefined, 0, () =>
      this.#inner.copyFileRange(node, handle, offset, toNode, toHandle, toOffset, length, who),
    );
  }

  // --- directories --------------------------------------------------------------------------------------------------
  async opendir(node: NodeId, caller: Caller): Promise<Outcome<OpenedDirectory>> {
    const who = { ...caller };
    const outcome = await this.#trip('opendir', node, undefined, 0, () => this.#inner.opendir(node, who));
    return failed(outcome) ? outcome : { ...outcome, cacheListing: false, keepCache: false };
  }

  readdir(
    node: NodeId,
    handle: HandleId,
    offset: number,
    plus: boolean,
    sink: DirectorySink,
    caller: Caller,
  ): Reply<0> {
    const who = { ...caller };
    const recording: DirectorySink = {
      add: (name, ino, type, nextOffset, entry) => {
        const handed = entry && this.#aged(entry);
        const taken = sink.add(name, ino, type, nextOffset, handed);
        if (taken && handed !== undefined) this.#paths.found(node, name, handed);
        return taken;
      },
    };
    return this.#trip('readdir', node, undefined, 0, () =>
      this.#inner.readdir(node, handle, offset, plus, recording, who),
    );
  }

  releasedir(node: NodeId, handle: HandleId): void {
    this.#inner.releasedir(node, handle);
  }

  fsyncdir(node: NodeId, handle: HandleId, dataOnly: boolean): Reply<0> {
    return this.#trip('fsyncdir', node, undefined, 0, () => this.#inner.fsyncdir(node, handle, dataOnly));
  }

  // --- the rest -----------------------------------------------------------------------------------------------------
  getxattr(node: NodeId, name: string, caller: Caller): Reply<Buffer> {
    const who = { ...caller };
    return this.#trip('getxattr', node, undefined, 0, () => this.#inner.getxattr(node, name, who));
  }

  setxattr(node: NodeId, name: string, value: Buffer, flags: number, caller: Caller): Reply<0> {
    const who = { ...caller };
    const copy = Buffer.from(value);
    return this.#trip('setxattr', node, undefined, 0, () => this.#inner.setxattr(node, name, copy, flags, who));
  }

  listxattr(node: NodeId, caller: Caller): Reply<Buffer> {
    const who = { ...caller };
    return this.#trip('listxattr', node, undefined, 0, () => this.#inner.listxattr(node, who));
  }

  removexattr(node: NodeId, name: string, caller: Caller): Reply<0> {
    const who = { ...caller };
    return this.#trip('removexattr', node, undefined, 0, () => this.#inner.removexattr(node, name, who));
  }

  statfs(node: NodeId): Reply<StoreStatistics> {
    return this.#trip('statfs', node, undefined, 0, () => this.#inner.statfs(node));
  }

  access(node: NodeId, mask: number, caller: Caller): Reply<0> {
    const who = { ...caller };
    return this.#trip('access', node, undefined, 0, () => this.#inner.access(node, mask, who));
  }

  // --- a request ----------------------------------------------------------------------------------------------------
  #begin(kind: Kind, node: NodeId, name: string | undefined): Verdict {
    this.#counter.begin(kind);
    if (this.rules.idle) return nothingWrong;
    const verdict = this.rules.judge(kind, this.#paths.of(node, name));
    if (verdict.hang !== undefined) this.#counter.hung++;
    if (verdict.failure !== 0) this.#counter.failed++;
    return verdict;
  }

  /** One request: hangs when told to, waits its turn, then `run` does the work. */
  async #trip<T>(
    kind: Kind,
    node: NodeId,
    name: string | undefined,
    bytes: number,
    run: () => Reply<T>,
  ): Promise<Outcome<T>> {
    const verdict = this.#begin(kind, node, name);
    if (verdict.hang !== undefined) await verdict.hang;
    await this.#wait(verdict.failure === 0 ? bytes : 0);
    try {
      return verdict.failure === 0 ? await run() : verdict.failure;
    } finally {
      this.#counter.end();
    }
  }

  async #late<T>(bytes: number, answer: T): Promise<T> {
    await this.#wait(bytes);
    this.#counter.end();
    return answer;
  }

  #wait(bytes: number): Promise<void> {
    return new Promise((resolve) => this.#clock.at(this.#link.due(now(), bytes), resolve));
  }

  async #entry(kind: Kind, parent: NodeId, name: string, run: () => Reply<Entry>): Promise<Outcome<Entry>> {
    const outcome = await this.#trip(kind, parent, name, 0, run);
    if (failed(outcome)) return outcome;
    const entry = this.#aged(outcome);
    this.#paths.found(parent, name, entry);
    return entry;
  }

  async #created(parent: NodeId, name: string, reply: Promise<Outcome<Created>>): Promise<Outcome<Created>> {
    const outcome = await reply;
    if (failed(outcome)) return outcome;
    const entry = this.#aged(outcome.entry);
    this.#paths.found(parent, name, entry);
    this.#counter.file(this.#paths.of(parent, name));
    return { entry, opened: { ...outcome.opened, keepCache: false, backingId: 0 } };
  }

  async #attributes(reply: Promise<Outcome<AttributesReply>>): Promise<Outcome<AttributesReply>> {
    const outcome = await reply;
    return failed(outcome) ? outcome : { attributes: outcome.attributes, ttlMs: this.#ttlMs };
  }

  /** Names that do not exist are forgotten as soon as the file system below says. */
  #aged(entry: Entry): Entry {
    const entryTtlMs = entry.node === 0 ? Math.min(entry.entryTtlMs, this.#ttlMs) : this.#ttlMs;
    return { node: entry.node, attributes: entry.attributes, entryTtlMs, attributesTtlMs: this.#ttlMs };
  }
}
