/**
 * Replies, written into one buffer that serves all of them: a reply is encoded and sent in one go, so no two ever share
 * it. Encoders write the payload behind the header and return its length.
 */
import type { AttributesReply, Created, Entry, Opened, OpenedDirectory } from '../overlay/filesystem.ts';
import type { Attributes } from '../store/attributes.ts';
import type { StoreStatistics } from '../store/store.ts';
import { addressOf } from '../sys/libc.ts';
import { OpenReplyFlag, STATX_BASIC_STATS, STATX_BTIME } from './abi.ts';
import { OutHeader, PAYLOAD } from './codec.ts';
import { Attr, AttrOut, EntryOut, Kstatfs, OpenOut, Statx, StatxOut, SxTime } from './structs.ts';

/** The largest time-out we write, in seconds (about 136 years): the kernel converts it to jiffies. */
const LONGEST_TTL_SECONDS = 0xffff_ffff;

export class ReplyBuffer {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly address: number;
  /** The payload's place, for bytes that are read straight into a reply. */
  readonly payload: Buffer;

  constructor(payloadSize: number) {
    this.bytes = Buffer.allocUnsafeSlow(PAYLOAD + payloadSize);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    this.address = addressOf(this.bytes);
    this.payload = this.bytes.subarray(PAYLOAD);
  }

  header(payload: number, error: number, uniqueLow: number, uniqueHigh: number): void {
    const view = this.view;
    OutHeader.set.len(view, 0, PAYLOAD + payload);
    OutHeader.set.error(view, 0, error);
    view.setUint32(OutHeader.at.unique, uniqueLow, true);
    view.setUint32(OutHeader.at.unique + 4, uniqueHigh, true);
  }
}

export function ttlSeconds(ms: number): number {
  return ms > 0 ? Math.min(Math.floor(ms / 1000), LONGEST_TTL_SECONDS) : 0;
}

export function ttlNanoseconds(ms: number): number {
  return ms > 0 && ms < LONGEST_TTL_SECONDS * 1000 ? Math.floor((ms % 1000) * 1e6) : 0;
}

function putAttributes(view: DataView, at: number, a: Attributes): void {
  const set = Attr.set;
  set.ino(view, at, a.ino);
  set.size(view, at, a.size);
  set.blocks(view, at, a.blocks);
  set.atime(view, at, a.atimeSec);
  set.mtime(view, at, a.mtimeSec);
  set.ctime(view, at, a.ctimeSec);
  set.atimensec(view, at, a.atimeNsec);
  set.mtimensec(view, at, a.mtimeNsec);
  set.ctimensec(view, at, a.ctimeNsec);
  set.mode(view, at, a.mode);
  set.nlink(view, at, a.nlink);
  set.uid(view, at, a.uid);
  set.gid(view, at, a.gid);
  set.rdev(view, at, a.rdev);
  set.blksize(view, at, a.blksize);
  set.flags(view, at, 0);
}

export function putEntry(bytes: Buffer, view: DataView, at: number, entry: Entry): void {
  const set = EntryOut.set;
  set.nodeid(view, at, entry.node);
  set.generation(view, at, 0); // a node number is never used twice, so one generation is enough
  set.entry_valid(view, at, ttlSeconds(entry.entryTtlMs));
  set.entry_valid_nsec(view, at, ttlNanoseconds(entry.entryTtlMs));
  set.attr_valid(view, at, ttlSeconds(entry.attributesTtlMs));
  set.attr_valid_nsec(view, at, ttlNanoseconds(entry.attributesTtlMs));
  if (entry.node === 0) bytes.fill(0, at + EntryOut.at.attr, at + EntryOut.size);
  else putAttributes(view, at + EntryOut.at.attr, entry.attributes);
}

export function encodeEntry(reply: ReplyBuffer, entry: Entry): number {
  putEntry(reply.bytes, reply.view, PAYLOAD, entry);
  return EntryOut.size;
}

export function encodeAttributes(reply: ReplyBuffer, value: AttributesReply): number {
  const view = reply.view;
  AttrOut.set.attr_valid(view, PAYLOAD, ttlSeconds(value.ttlMs));
  AttrOut.set.attr_valid_nsec(view, PAYLOAD, ttlNanoseconds(value.ttlMs));
  AttrOut.set.dummy(view, PAYLOAD, 0);
  putAttributes(view, PAYLOAD + AttrOut.at.attr, value.attributes);
  return AttrOut.size;
}

function putTime(view: DataView, at: number, sec: number, nsec: number): void {
  SxTime.set.tv_sec(view, at, sec);
  SxTime.set.tv_nsec(view, at, nsec);
}

/** Major and minor of a device number as `Attributes.rdev` holds it. */
function major(rdev: number): number {
  return (rdev >>> 8) & 0xfff;
}

function minor(rdev: number): number {
  return (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
}

export function encodeStatx(reply: ReplyBuffer, value: AttributesReply): number {
  const view = reply.view;
  const a = value.attributes;
  reply.bytes.fill(0, PAYLOAD, PAYLOAD + StatxOut.size);
  StatxOut.set.attr_valid(view, PAYLOAD, ttlSeconds(value.ttlMs));
  StatxOut.set.attr_valid_nsec(view, PAYLOAD, ttlNanoseconds(value.ttlMs));
  const at = PAYLOAD + StatxOut.at.stat;
  const born = a.btimeSec >= 0;
  Statx.set.mask(view, at, STATX_BASIC_STATS | (born ? STATX_BTIME : 0));
  Statx.set.blksize(view, at, a.blksize);
  Statx.set.nlink(view, at, a.nlink);
  Statx.set.uid(view, at, a.uid);
  Statx.set.gid(view, at, a.gid);
  Statx.set.mode(view, at, a.mode);
  Statx.set.ino(view, at, a.ino);
  Statx.set.size(view, at, a.size);
  Statx.set.blocks(view, at, a.blocks);
  putTime(view, at + Statx.at.atime, a.atimeSec, a.atimeNsec);
  putTime(view, at + Statx.at.ctime, a.ctimeSec, a.ctimeNsec);
  putTime(view, at + Statx.at.mtime, a.mtimeSec, a.mtimeNsec);
  if (born) putTime(view, at + Statx.at.btime, a.btimeSec, a.btimeNsec);
  Statx.set.rdev_major(view, at, major(a.rdev));
  Statx.set.rdev_minor(view, at, minor(a.rdev));
  return StatxOut.size;
}

function putOpened(view: DataView, at: number, opened: Opened): void {
  let flags = 0;
  if (opened.directIo) flags |= OpenReplyFlag.DIRECT_IO;
  if (opened.nonSeekable) flags |= OpenReplyFlag.NONSEEKABLE;
  if (opened.noFlush) flags |= OpenReplyFlag.NOFLUSH;
  if (opened.backingId > 0) flags |= OpenReplyFlag.PASSTHROUGH;
  else if (opened.keepCache) flags |= OpenReplyFlag.KEEP_CACHE; // the kernel refuses it beside PASSTHROUGH
  OpenOut.set.fh(view, at, opened.handle);
  OpenOut.set.open_flags(view, at, flags);
  OpenOut.set.backing_id(view, at, Math.max(0, opened.backingId));
}

export function encodeOpened(reply: ReplyBuffer, opened: Opened): number {
  putOpened(reply.view, PAYLOAD, opened);
  return OpenOut.size;
}

export function encodeCreated(reply: ReplyBuffer, created: Created): number {
  putEntry(reply.bytes, reply.view, PAYLOAD, created.entry);
  putOpened(reply.view, PAYLOAD + EntryOut.size, created.opened);
  return EntryOut.size + OpenOut.size;
}

export function encodeOpenedDirectory(reply: ReplyBuffer, opened: OpenedDirectory): number {
  let flags = 0;
  if (opened.cacheListing) flags |= OpenReplyFlag.CACHE_DIR;
  if (opened.keepCache) flags |= OpenReplyFlag.KEEP_CACHE;
  OpenOut.set.fh(reply.view, PAYLOAD, opened.handle);
  OpenOut.set.open_flags(reply.view, PAYLOAD, flags);
  OpenOut.set.backing_id(reply.view, PAYLOAD, 0);
  return OpenOut.size;
}

export function encodeStatistics(reply: ReplyBuffer, s: StoreStatistics): number {
  const view = reply.view;
  reply.bytes.fill(0, PAYLOAD, PAYLOAD + Kstatfs.size);
  Kstatfs.set.blocks(view, PAYLOAD, s.blocks);
  Kstatfs.set.bfree(view, PAYLOAD, s.blocksFree);
  Kstatfs.set.bavail(view, PAYLOAD, s.blocksAvailable);
  Kstatfs.set.files(view, PAYLOAD, s.files);
  Kstatfs.set.ffree(view, PAYLOAD, s.filesFree);
  Kstatfs.set.bsize(view, PAYLOAD, s.blockSize);
  Kstatfs.set.namelen(view, PAYLOAD, s.nameLengthMax);
  Kstatfs.set.frsize(view, PAYLOAD, s.fragmentSize);
  return Kstatfs.size;
}
