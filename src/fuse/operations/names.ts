/** Operations on names in a directory: finding, making, moving and removing them. */
import type { Created, Entry, FileSystem, NodeId } from '../../overlay/filesystem.ts';
import { BODY } from '../codec.ts';
import { always, isFailure, type Operation, operation } from '../operation.ts';
import { encodeCreated, encodeEntry } from '../replies.ts';
import {
  BatchForgetIn,
  CreateIn,
  EntryOut,
  ForgetIn,
  ForgetOne,
  LinkIn,
  MkdirIn,
  MknodIn,
  OpenOut,
  Rename2In,
  RenameIn,
} from '../structs.ts';

const PERMISSIONS = 0o7777;
/** Of one request in one turn of the loop, some 2 ms: the kernel may name 65,535. */
const FORGOTTEN_AT_ONCE = 4096;

/** Replies that carry an entry count as a lookup of it. */
const entryReply = {
  most: () => EntryOut.size,
  encode: (context, entry) => encodeEntry(context.reply, entry),
  undo: (fileSystem: FileSystem, _node: NodeId, entry: Entry) => {
    if (entry.node !== 0) fileSystem.forget(entry.node, 1);
  },
} satisfies Partial<Operation<Entry>>;

const createdReply = {
  most: () => EntryOut.size + OpenOut.size,
  encode: (context, created) => encodeCreated(context.reply, created),
  undo: (fileSystem: FileSystem, _node: NodeId, created: Created) => {
    fileSystem.release(created.entry.node, created.opened.handle);
    fileSystem.forget(created.entry.node, 1);
  },
} satisfies Partial<Operation<Created>>;

export const lookup = operation<Entry>({
  ...entryReply,
  interruptible: always,
  call: ({ fileSystem }, request) => {
    const name = request.name(BODY);
    return isFailure(name) ? name : fileSystem.lookup(request.node, name, request.caller);
  },
});

export const forget = operation<0>({
  body: ForgetIn.size,
  wide: [ForgetIn.at.nlookup],
  silent: true,
  call: ({ fileSystem }, request) => {
    if (request.node > 0) fileSystem.forget(request.node, ForgetIn.get.nlookup(request.view, BODY));
    return 0;
  },
});

export const batchForget = operation<0>({
  body: BatchForgetIn.size,
  silent: true,
  call: ({ fileSystem }, request) => {
    const { view } = request;
    const first = BODY + BatchForgetIn.size;
    const room = Math.floor((request.end - first) / ForgetOne.size);
    const count = Math.min(BatchForgetIn.get.count(view, BODY), room);
    const forgets = new Float64Array(count * 2);
    for (let i = 0, at = first; i < count; i++, at += ForgetOne.size) {
      forgets[i * 2] = request.offset(at + ForgetOne.at.nodeid);
      forgets[i * 2 + 1] = request.offset(at + ForgetOne.at.nlookup);
    }
    forgetSome(fileSystem, forgets, 0);
    return 0;
  },
});

/** Nodeids and how many lookups of each, in turns. To forget late does no harm: it is only known for longer. */
function forgetSome(fileSystem: FileSystem, forgets: Float64Array, from: number): void {
  const to = Math.min(forgets.length, from + 2 * FORGOTTEN_AT_ONCE);
  for (let at = from; at < to; at += 2) {
    const node = forgets[at]!;
    const lookups = forgets[at + 1]!;
    if (node > 0 && lookups >= 0) fileSystem.forget(node, lookups);
  }
  if (to < forgets.length) setImmediate(() => forgetSome(fileSystem, forgets, to));
}

export const mknod = operation<Entry>({
  ...entryReply,
  body: MknodIn.size,
  call: ({ fileSystem }, request) => {
    const { view, caller } = request;
    const name = request.name(BODY + MknodIn.size);
    if (isFailure(name)) return name;
    const { mode, rdev, umask } = MknodIn.get;
    return fileSystem.mknod(request.node, name, mode(view, BODY), rdev(view, BODY), umask(view, BODY), caller);
  },
});

export const mkdir = operation<Entry>({
  ...entryReply,
  body: MkdirIn.size,
  call: ({ fileSystem }, request) => {
    const { view, caller } = request;
    const name = request.name(BODY + MkdirIn.size);
    if (isFailure(name)) return name;
    const mode = MkdirIn.get.mode(view, BODY) & PERMISSIONS;
    return fileSystem.mkdir(request.node, name, mode, MkdirIn.get.umask(view, BODY), caller);
  },
});

export const symlink = operation<Entry>({
  ...entryReply,
  call: ({ fileSystem }, request) => {
    const name = request.name(BODY);
    if (isFailure(name)) return name;
    const target = request.target(request.cursor);
    return isFailure(target) ? target : fileSystem.symlink(request.node, name, target, request.caller);
  },
});

export const link = operation<Entry>({
  ...entryReply,
  body: LinkIn.size,
  wide: [LinkIn.at.oldnodeid],
  call: ({ fileSystem }, request) => {
    const name = request.name(BODY + LinkIn.size);
    if (isFailure(name)) return name;
    return fileSystem.link(LinkIn.get.oldnodeid(request.view, BODY), request.node, name, request.caller);
  },
});

export const unlink = operation<0>({
  call: ({ fileSystem }, request) => {
    const name = request.name(BODY);
    return isFailure(name) ? name : fileSystem.unlink(request.node, name, request.caller);
  },
});

export const rmdir = operation<0>({
  call: ({ fileSystem }, request) => {
    const name = request.name(BODY);
    return isFailure(name) ? name : fileSystem.rmdir(request.node, name, request.caller);
  },
});

function renameWith(body: number, newDirectoryAt: number, flagsAt: number | undefined): Operation {
  return operation<0>({
    body,
    wide: [newDirectoryAt],
    call: ({ fileSystem }, request) => {
      const name = request.name(BODY + body);
      if (isFailure(name)) return name;
      const newName = request.name(request.cursor);
      if (isFailure(newName)) return newName;
      const flags = flagsAt === undefined ? 0 : request.view.getUint32(BODY + flagsAt, true);
      const newParent = request.offset(BODY + newDirectoryAt);
      return fileSystem.rename(request.node, name, newParent, newName, flags, request.caller);
    },
  });
}

export const rename = renameWith(RenameIn.size, RenameIn.at.newdir, undefined);
export const rename2 = renameWith(Rename2In.size, Rename2In.at.newdir, Rename2In.at.flags);

export const create = operation<Created>({
  ...createdReply,
  body: CreateIn.size,
  call: ({ fileSystem }, request) => {
    const { view, caller } = request;
    const name = request.name(BODY + CreateIn.size);
    if (isFailure(name)) return name;
    const mode = CreateIn.get.mode(view, BODY) & PERMISSIONS;
    const { umask, flags } = CreateIn.get;
    return fileSystem.create(request.node, name, mode, umask(view, BODY), flags(view, BODY), caller);
  },
});

/** O_TMPFILE: as CREATE, but the name that comes along ("/") means nothing. */
export const tmpfile = operation<Created>({
  ...createdReply,
  body: CreateIn.size,
  call: ({ fileSystem }, request) => {
    const { view, caller } = request;
    const mode = CreateIn.get.mode(view, BODY) & PERMISSIONS;
    const { umask, flags } = CreateIn.get;
    return fileSystem.tmpfile(request.node, mode, umask(view, BODY), flags(view, BODY), caller);
  },
});
