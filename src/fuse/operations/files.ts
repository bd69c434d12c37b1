/** Operations on open files. */
import type { FileSystem, LateBytes, NodeId, Opened } from '../../overlay/filesystem.ts';
import { Errno, type Reply } from '../../sys/errno.ts';
import { mayWrite } from '../../sys/open-flags.ts';
import { FSYNC_FDATASYNC, OPEN_KILL_SUIDGID, WRITE_KILL_SUIDGID } from '../abi.ts';
import { BODY, PAYLOAD } from '../codec.ts';
import { always, type Operation, operation } from '../operation.ts';
import { encodeOpened } from '../replies.ts';
import type { Request } from '../requests.ts';
import {
  CopyFileRangeIn,
  CopyFileRangeOut,
  FallocateIn,
  FlushIn,
  FsyncIn,
  IoctlIn,
  IoctlOut,
  LseekIn,
  LseekOut,
  OpenIn,
  OpenOut,
  ReadIn,
  ReleaseIn,
  WriteIn,
  WriteOut,
} from '../structs.ts';

/** MAX_RW_COUNT of 64-bit Linux: no call moves more, and what COPY_FILE_RANGE answers in 32 bits always fits. */
const MOST_AT_ONCE = 0x7fff_f000;

export const open = operation<Opened>({
  body: OpenIn.size,
  interruptible: ({ view }) => !mayWrite(OpenIn.get.flags(view, BODY)),
  most: () => OpenOut.size,
  call: ({ fileSystem }, request) => {
    const { view, node, caller } = request;
    const clear = (OpenIn.get.open_flags(view, BODY) & OPEN_KILL_SUIDGID) !== 0;
    return fileSystem.open(node, OpenIn.get.flags(view, BODY), clear, caller);
  },
  encode: (context, opened) => encodeOpened(context.reply, opened),
  undo: (fileSystem: FileSystem, node: NodeId, opened: Opened) => fileSystem.release(node, opened.handle),
});

export const read = operation<number | LateBytes>({
  body: ReadIn.size,
  wide: [ReadIn.at.fh, ReadIn.at.offset],
  interruptible: always,
  bytesLate: true,
  asked: (request) => ReadIn.get.size(request.view, BODY),
  most: (asked) => asked,
  call: ({ fileSystem, reply, carrier }, request): Reply<number | LateBytes> => {
    const { view, node, caller } = request;
    const size = ReadIn.get.size(view, BODY);
    if (size > reply.payload.length) return -Errno.EINVAL; // more than INIT allowed
    const { fh, offset } = ReadIn.get;
    return fileSystem.read(node, fh(view, BODY), offset(view, BODY), size, reply.payload, caller, carrier);
  },
  encode: (_context, count) => count as number, // the bytes are in place, or on their way
});

export const write = operation<number>({
  body: WriteIn.size,
  wide: [WriteIn.at.fh, WriteIn.at.offset],
  keepsFrame: true,
  asked: (request) => WriteIn.get.size(request.view, BODY),
  most: () => WriteOut.size,
  call: ({ fileSystem }, request) => {
    const { view, node, caller } = request;
    const size = WriteIn.get.size(view, BODY);
    const from = BODY + WriteIn.size;
    if (size > request.end - from) return -Errno.EIO;
    const data = request.frame.bytes.subarray(from, from + size);
    const clear = (WriteIn.get.write_flags(view, BODY) & WRITE_KILL_SUIDGID) !== 0;
    const { fh, offset } = WriteIn.get;
    return fileSystem.write(node, fh(view, BODY), offset(view, BODY), data, clear, caller);
  },
  encode: ({ reply }, count, asked) => {
    if (count > asked) return -Errno.EIO;
    WriteOut.set.size(reply.view, PAYLOAD, count);
    WriteOut.set.padding(reply.view, PAYLOAD, 0);
    return WriteOut.size;
  },
});

export const release = operation<0>({
  body: ReleaseIn.size,
  wide: [ReleaseIn.at.fh],
  call: ({ fileSystem }, request) => {
    fileSystem.release(request.node, ReleaseIn.get.fh(request.view, BODY));
    return 0;
  },
});

export const flush = operation<0>({
  body: FlushIn.size,
  wide: [FlushIn.at.fh],
  call: ({ fileSystem }, request) => fileSystem.flush(request.node, FlushIn.get.fh(request.view, BODY)),
});

export const fsync = operation<0>({
  body: FsyncIn.size,
  wide: [FsyncIn.at.fh],
  call: ({ fileSystem }, request) => {
    const { view, node } = request;
    const dataOnly = (FsyncIn.get.fsync_flags(view, BODY) & FSYNC_FDATASYNC) !== 0;
    return fileSystem.fsync(node, FsyncIn.get.fh(view, BODY), dataOnly);
  },
});

export const fallocate = operation<0>({
  body: FallocateIn.size,
  wide: [FallocateIn.at.fh, FallocateIn.at.offset, FallocateIn.at.length],
  call: ({ fileSystem }, request) => {
    const { view, node, caller } = request;
    const { fh, mode, offset, length } = FallocateIn.get;
    const [handle, how] = [fh(view, BODY), mode(view, BODY)];
    return fileSystem.fallocate(node, handle, how, offset(view, BODY), length(view, BODY), caller);
  },
});

export const lseek = operation<number>({
  body: LseekIn.size,
  wide: [LseekIn.at.fh, LseekIn.at.offset],
  interruptible: always,
  most: () => LseekOut.size,
  call: ({ fileSystem }, request) => {
    const { view, node } = request;
    const { fh, offset, whence } = LseekIn.get;
    return fileSystem.lseek(node, fh(view, BODY), offset(view, BODY), whence(view, BODY));
  },
  encode: ({ reply }, offset) => {
    LseekOut.set.offset(reply.view, PAYLOAD, offset);
    return LseekOut.size;
  },
});

/** Asked by Python for every file it opens (TCGETS), and what a file says to that is ENOTTY. */
export const ioctl = operation<number>({
  body: IoctlIn.size,
  most: () => IoctlOut.size,
  call: ({ fileSystem }, request) => {
    const { view, node } = request;
    const from = BODY + IoctlIn.size;
    const size = IoctlIn.get.in_size(view, BODY);
    if (size > request.end - from) return -Errno.EIO;
    const data = request.frame.bytes.subarray(from, from + size);
    return fileSystem.ioctl?.(node, IoctlIn.get.cmd(view, BODY), data) ?? -Errno.ENOTTY;
  },
  encode: ({ reply: { view } }, result) => {
    IoctlOut.set.result(view, PAYLOAD, result);
    IoctlOut.set.flags(view, PAYLOAD, 0);
    IoctlOut.set.in_iovs(view, PAYLOAD, 0);
    IoctlOut.set.out_iovs(view, PAYLOAD, 0);
    return IoctlOut.size;
  },
});

function copy(request: Request, fileSystem: FileSystem): Reply<number> {
  const { view, node } = request;
  const get = CopyFileRangeIn.get;
  if (view.getUint32(BODY + CopyFileRangeIn.at.flags, true) !== 0) return -Errno.EINVAL;
  return fileSystem.copyFileRange(
    node,
    get.fh_in(view, BODY),
    get.off_in(view, BODY),
    get.nodeid_out(view, BODY),
    get.fh_out(view, BODY),
    get.off_out(view, BODY),
    Math.min(get.len(view, BODY), MOST_AT_ONCE),
    request.caller,
  );
}

const copyRequest = {
  body: CopyFileRangeIn.size,
  wide: [
    CopyFileRangeIn.at.fh_in,
    CopyFileRangeIn.at.off_in,
    CopyFileRangeIn.at.nodeid_out,
    CopyFileRangeIn.at.fh_out,
    CopyFileRangeIn.at.off_out,
  ],
  call: ({ fileSystem }, request) => copy(request, fileSystem),
} satisfies Partial<Operation<number>>;

export const copyFileRange = operation<number>({
  ...copyRequest,
  most: () => WriteOut.size,
  encode: ({ reply }, count) => {
    WriteOut.set.size(reply.view, PAYLOAD, count);
    WriteOut.set.padding(reply.view, PAYLOAD, 0);
    return WriteOut.size;
  },
});

/** The same request with a reply that has room for counts of 64 bits. */
export const copyFileRange64 = operation<number>({
  ...copyRequest,
  most: () => CopyFileRangeOut.size,
  encode: ({ reply }, count) => {
    CopyFileRangeOut.set.bytes_copied(reply.view, PAYLOAD, count);
    return CopyFileRangeOut.size;
  },
});
