/**
 * What we tell the kernel unasked, and the registration of backing files.
 *
 * A notification that concerns pages or names can wait inside the kernel for a page or directory lock, whose holder may
 * be waiting for an answer of ours: sent from the session's thread it would hang both for good. So all go out through
 * the pool, one after the other (a blocked one holds one thread of it, not all), save one: dropping attributes only
 * takes no such lock and is wanted within an operation, before its reply.
 */
import type { Kernel, NodeId } from '../overlay/filesystem.ts';
import type { Carrier } from '../sys/carrier.ts';
import { Errno, errnoName } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import type { Log } from '../telemetry/log.ts';
import { IOC_BACKING_CLOSE, IOC_BACKING_OPEN, Notify } from './abi.ts';
import { OutHeader, PAYLOAD } from './codec.ts';
import type { Counters } from './counters.ts';
import { DevicePipe } from './device-pipe.ts';
import type { CapabilityName } from './negotiate.ts';
import { BackingMap, NotifyInvalEntry, NotifyInvalInode, NotifyStore } from './structs.ts';

/** Larger files gain little from coming with their OPEN: the trip saved is small beside the copy. */
const PUSHED_MOST = 256 * 1024;

const PUSH_HEAD = PAYLOAD + NotifyStore.size;

/** An offset below zero: attributes only. */
const ATTRIBUTES_ONLY = -1;

export class Notifier implements Kernel, Carrier {
  readonly #fd: number;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #attributes: Buffer = Buffer.alloc(PAYLOAD + NotifyInvalInode.size);
  readonly #attributesAddress: number = sys.addressOf(this.#attributes);
  readonly #push: Buffer = Buffer.allocUnsafeSlow(PUSH_HEAD + PUSHED_MOST);
  readonly #pushView: DataView = viewOf(this.#push);
  readonly #pushAddress: number = sys.addressOf(this.#push);
  readonly pages: Uint8Array = this.#push.subarray(PUSH_HEAD);
  readonly #map: Buffer = Buffer.alloc(BackingMap.size);
  readonly #id: Buffer = Buffer.alloc(4);
  /** Pages that a file's own are taken for. */
  #pipe: DevicePipe | undefined;
  #pushedNode: NodeId = 0;
  #passthrough = false;
  #directIoMappable = false;
  #stopped = false;
  #last: Promise<void> = Promise.resolve();

  constructor(fd: number, log: Log, counters: Counters) {
    this.#fd = fd;
    this.#log = log;
    this.#counters = counters;
  }

  get passthrough(): boolean {
    return this.#passthrough;
  }

  get directIoMappable(): boolean {
    return this.#directIoMappable;
  }

  negotiated(on: ReadonlySet<CapabilityName>): void {
    this.#passthrough = on.has('passthrough');
    this.#directIoMappable = on.has('direct-io-allow-mmap');
    if (on.has('splice')) this.#pipe = new DevicePipe(this.#fd, PUSHED_MOST);
  }

  /** Nothing more is sent. */
  stop(): void {
    this.#stopped = true;
    this.#pipe?.discard();
  }

  registerBacking(fd: number): number {
    if (!this.#passthrough) return -Errno.EOPNOTSUPP;
    const view = viewOf(this.#map);
    BackingMap.set.fd(view, 0, fd);
    return sys.ioctl.now(this.#fd, IOC_BACKING_OPEN, this.#map);
  }

  unregisterBacking(id: number): void {
    this.#id.writeInt32LE(id, 0);
    const result = sys.ioctl.now(this.#fd, IOC_BACKING_CLOSE, this.#id);
    if (result < 0 && !this.#stopped) {
      this.#log.warn({ id, errno: errnoName(result) }, 'a backing file could not be unregistered');
    }
  }

  pushPages(node: NodeId, length: number): number {
    if (this.#stopped) return -Errno.ENODEV;
    const total = PUSH_HEAD + length;
    let result: number;
    if (this.#pipe?.loaded === total) result = this.#pipe.send();
    else {
      fillStore(this.#pushView, node, length);
      result = sys.writeNow(this.#fd, this.#pushAddress, total);
    }
    this.#sent(result);
    return Math.min(result, 0);
  }

  carrierOfPages(node: NodeId): Carrier | undefined {
    if (this.#pipe === undefined) return undefined;
    if (this.#pipe.loaded > 0) this.#pipe.discard();
    this.#pushedNode = node;
    return this;
  }

  get mostBytes(): number {
    return this.#pipe?.mostBytes ?? 0;
  }

  take(fd: number, offset: number, length: number, asked: number): boolean {
    fillStore(this.#pushView, this.#pushedNode, length);
    return this.#pipe!.load(this.#pushAddress, PUSH_HEAD, fd, offset, length, asked);
  }

  invalidateAttributes(node: NodeId): void {
    if (this.#stopped) return;
    fillInvalInode(this.#attributes, node, ATTRIBUTES_ONLY, 0);
    this.#sent(sys.writeNow(this.#fd, this.#attributesAddress, this.#attributes.length));
  }

  invalidateData(node: NodeId, offset: number, length: number): Promise<void> {
    const frame = Buffer.allocUnsafe(PAYLOAD + NotifyInvalInode.size);
    fillInvalInode(frame, node, offset, length);
    return this.#queue(frame);
  }

  invalidateEntry(parent: NodeId, name: string): Promise<void> {
    const at = PAYLOAD + NotifyInvalEntry.size;
    const frame = Buffer.alloc(at + name.length + 1);
    const view = viewOf(frame);
    header(view, frame.length, Notify.INVAL_ENTRY);
    NotifyInvalEntry.set.parent(view, PAYLOAD, parent);
    NotifyInvalEntry.set.namelen(view, PAYLOAD, name.length);
    frame.write(name, at, 'latin1');
    return this.#queue(frame);
  }

  #queue(frame: Buffer): Promise<void> {
    const sent = this.#last.then(async () => {
      if (this.#stopped) return;
      this.#sent(await sys.write.later(this.#fd, frame, frame.length));
    });
    this.#last = sent.catch((error) => {
      this.#log.error({ err: error }, 'a notification failed');
    });
    return this.#last;
  }

  #sent(result: number): void {
    this.#counters.notifications++;
    // ENOENT: the kernel does not know the node or name, so there is nothing to drop. ENOTEMPTY: a directory in use.
    if (result >= 0 || result === -Errno.ENOENT || result === -Errno.ENODEV || result === -Errno.ENOTEMPTY) return;
    if (result === -Errno.ENOTCONN || result === -Errno.ENOTDIR) return;
    this.#log.warn({ errno: errnoName(result) }, 'the kernel refused a notification');
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A notification is a reply to request 0 whose error is its code. */
function header(view: DataView, length: number, code: number): void {
  OutHeader.set.len(view, 0, length);
  OutHeader.set.error(view, 0, code);
  OutHeader.set.unique(view, 0, 0);
}

/** The head of a message that fills a file's first pages. */
function fillStore(view: DataView, node: NodeId, length: number): void {
  header(view, PUSH_HEAD + length, Notify.STORE);
  NotifyStore.set.nodeid(view, PAYLOAD, node);
  NotifyStore.set.offset(view, PAYLOAD, 0);
  NotifyStore.set.size(view, PAYLOAD, length);
  NotifyStore.set.padding(view, PAYLOAD, 0);
}

function fillInvalInode(frame: Buffer, node: NodeId, offset: number, length: number): void {
  const view = viewOf(frame);
  header(view, frame.length, Notify.INVAL_INODE);
  NotifyInvalInode.set.ino(view, PAYLOAD, node);
  NotifyInvalInode.set.off(view, PAYLOAD, offset);
  NotifyInvalInode.set.len(view, PAYLOAD, length);
}
