/** Operations on what is known of a file: attributes, extended attributes, link targets, statistics. */
import type { AttributesReply, SetAttributes } from '../../overlay/filesystem.ts';
import type { StoreStatistics } from '../../store/store.ts';
import { andThen, Errno, type Failure } from '../../sys/errno.ts';
import { GETATTR_FH, LINK_TARGET_MAX, SETXATTR_ACL_KILL_SGID, SetattrValid } from '../abi.ts';
import { BODY, PAYLOAD } from '../codec.ts';
import { always, type Context, isFailure, type Operation, operation } from '../operation.ts';
import { encodeAttributes, encodeStatistics, encodeStatx } from '../replies.ts';
import type { Request } from '../requests.ts';
import {
  AccessIn,
  AttrOut,
  GetattrIn,
  GetxattrIn,
  GetxattrOut,
  Kstatfs,
  SetattrIn,
  SetxattrIn,
  StatxIn,
  StatxOut,
} from '../structs.ts';

const S_ISGID = 0o2000;
const PERMISSIONS = 0o7777;
const NANOSECONDS = 1_000_000_000;
/** fuse_setxattr_in as it was before FUSE_SETXATTR_EXT: size and flags only. */
const SHORT_SETXATTR = 8;

function encodeBytes({ reply }: Context, bytes: Buffer): number {
  if (bytes.length <= reply.payload.length) bytes.copy(reply.payload);
  return bytes.length; // too long is found out by the dispatcher
}

export const getattr = operation<AttributesReply>({
  body: GetattrIn.size,
  wide: [GetattrIn.at.fh],
  interruptible: always,
  most: () => AttrOut.size,
  call: ({ fileSystem }, request) => {
    const { view, node, caller } = request;
    const given = GetattrIn.get.getattr_flags(view, BODY) & GETATTR_FH;
    return fileSystem.getattr(node, given ? GetattrIn.get.fh(view, BODY) : undefined, caller);
  },
  encode: (context, value) => encodeAttributes(context.reply, value),
});

export const statx = operation<AttributesReply>({
  body: StatxIn.size,
  wide: [StatxIn.at.fh],
  interruptible: always,
  most: () => StatxOut.size,
  call: ({ fileSystem }, request) => {
    const { view, node, caller } = request;
    const given = StatxIn.get.getattr_flags(view, BODY) & GETATTR_FH;
    return fileSystem.getattr(node, given ? StatxIn.get.fh(view, BODY) : undefined, caller);
  },
  encode: (context, value) => encodeStatx(context.reply, value),
});

function requestedTime(view: DataView, valid: number, which: 'atime' | 'mtime'): SetAttributes['atime'] | Failure {
  const now = which === 'atime' ? SetattrValid.ATIME_NOW : SetattrValid.MTIME_NOW;
  if (valid & now) return 'now';
  const nsec = SetattrIn.get[which === 'atime' ? 'atimensec' : 'mtimensec'](view, BODY);
  return nsec < NANOSECONDS ? { sec: SetattrIn.get[which](view, BODY), nsec } : -Errno.EINVAL;
}

function requestedChanges(request: Request): SetAttributes | Failure {
  const { view } = request;
  const valid = SetattrIn.get.valid(view, BODY);
  const changes: SetAttributes = {};
  if (valid & SetattrValid.MODE) changes.mode = SetattrIn.get.mode(view, BODY) & PERMISSIONS;
  if (valid & SetattrValid.UID) changes.uid = SetattrIn.get.uid(view, BODY);
  if (valid & SetattrValid.GID) changes.gid = SetattrIn.get.gid(view, BODY);
  if (valid & SetattrValid.SIZE) {
    const size = request.offset(BODY + SetattrIn.at.size);
    if (size < 0) return -Errno.EFBIG;
    changes.size = size;
  }
  if (valid & SetattrValid.ATIME) {
    const atime = requestedTime(view, valid, 'atime');
    if (typeof atime === 'number') return atime;
    if (atime) changes.atime = atime;
  }
  if (valid & SetattrValid.MTIME) {
    const mtime = requestedTime(view, valid, 'mtime');
    if (typeof mtime === 'number') return mtime;
    if (mtime) changes.mtime = mtime;
  }
  if (valid & SetattrValid.KILL_SUIDGID) changes.clearSuidSgid = true;
  return changes;
}

export const setattr = operation<AttributesReply>({
  body: SetattrIn.size,
  wide: [SetattrIn.at.fh],
  most: () => AttrOut.size,
  call: ({ fileSystem }, request) => {
    const changes = requestedChanges(request);
    if (typeof changes === 'number') return changes;
    const given = SetattrIn.get.valid(request.view, BODY) & SetattrValid.FH;
    const handle = given ? SetattrIn.get.fh(request.view, BODY) : undefined;
    return fileSystem.setattr(request.node, changes, handle, request.caller);
  },
  encode: (context, value) => encodeAttributes(context.reply, value),
});

export const readlink = operation<Buffer>({
  interruptible: always,
  most: () => LINK_TARGET_MAX,
  call: ({ fileSystem }, request) => fileSystem.readlink(request.node),
  encode: encodeBytes,
});

export const access = operation<0>({
  body: AccessIn.size,
  interruptible: always,
  call: ({ fileSystem }, request) =>
    fileSystem.access(request.node, AccessIn.get.mask(request.view, BODY), request.caller),
});

export const statfs = operation<StoreStatistics>({
  interruptible: always,
  most: () => Kstatfs.size,
  call: ({ fileSystem }, request) => fileSystem.statfs(request.node),
  encode: (context, value) => encodeStatistics(context.reply, value),
});

/** A request for 0 bytes asks for the length; else the value must fit. */
const sizedReply = {
  body: GetxattrIn.size,
  interruptible: always,
  asked: (request: Request) => GetxattrIn.get.size(request.view, BODY),
  most: (asked: number) => (asked === 0 ? GetxattrOut.size : asked),
  encode: (context: Context, value: Buffer, asked: number) => {
    if (asked === 0) {
      GetxattrOut.set.size(context.reply.view, PAYLOAD, value.length);
      GetxattrOut.set.padding(context.reply.view, PAYLOAD, 0);
      return GetxattrOut.size;
    }
    return value.length > asked ? -Errno.ERANGE : encodeBytes(context, value);
  },
} satisfies Partial<Operation<Buffer>>;

export const getxattr = operation<Buffer>({
  ...sizedReply,
  call: ({ fileSystem }, request) => {
    const name = request.attributeName(BODY + GetxattrIn.size);
    return isFailure(name) ? name : fileSystem.getxattr(request.node, name, request.caller);
  },
});

export const listxattr = operation<Buffer>({
  ...sizedReply,
  call: ({ fileSystem }, request) => fileSystem.listxattr(request.node, request.caller),
});

export const setxattr = operation<0>({
  body: SHORT_SETXATTR,
  call: (context, request) => {
    const { view, node } = request;
    const head = context.setxattrExtended ? SetxattrIn.size : SHORT_SETXATTR;
    if (request.end - BODY < head) return -Errno.EIO;
    const name = request.attributeName(BODY + head);
    if (isFailure(name)) return name;
    const size = SetxattrIn.get.size(view, BODY);
    const from = request.cursor;
    if (size > request.end - from) return -Errno.EIO;
    const value = Buffer.from(request.frame.bytes.subarray(from, from + size));
    const clear = context.setxattrExtended && SetxattrIn.get.setxattr_flags(view, BODY) & SETXATTR_ACL_KILL_SGID;
    const caller = clear ? { ...request.caller } : request.caller;
    const done = context.fileSystem.setxattr(node, name, value, SetxattrIn.get.flags(view, BODY), caller);
    return clear ? andThen(done, () => clearSgid(context, node, caller)) : done;
  },
});

/** Setting an access ACL takes the set-group-id bit from a file whose group the caller is not in. */
function clearSgid({ fileSystem }: Context, node: number, caller: Request['caller']) {
  return andThen(fileSystem.getattr(node, undefined, caller), ({ attributes }) => {
    if ((attributes.mode & S_ISGID) === 0) return 0 as const;
    const mode = attributes.mode & PERMISSIONS & ~S_ISGID;
    return andThen(fileSystem.setattr(node, { mode }, undefined, caller), () => 0 as const);
  });
}

export const removexattr = operation<0>({
  call: ({ fileSystem }, request) => {
    const name = request.attributeName(BODY);
    return isFailure(name) ? name : fileSystem.removexattr(request.node, name, request.caller);
  },
});
