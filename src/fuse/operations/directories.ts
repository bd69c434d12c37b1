/** Operations on open directories. */
import type { FileSystem, NodeId, OpenedDirectory } from '../../overlay/filesystem.ts';
import { type Failure, failed, type Outcome, type Reply } from '../../sys/errno.ts';
import { FSYNC_FDATASYNC } from '../abi.ts';
import { BODY } from '../codec.ts';
import type { DirectoryReply } from '../directory-reply.ts';
import { always, type Context, type Operation, operation } from '../operation.ts';
import { encodeOpenedDirectory } from '../replies.ts';
import { FsyncIn, OpenIn, OpenOut, ReadIn, ReleaseIn } from '../structs.ts';

export const opendir = operation<OpenedDirectory>({
  body: OpenIn.size,
  interruptible: always,
  most: () => OpenOut.size,
  call: ({ fileSystem }, request) => fileSystem.opendir(request.node, request.caller),
  encode: (context, opened) => encodeOpenedDirectory(context.reply, opened),
  undo: (fileSystem: FileSystem, node: NodeId, opened: OpenedDirectory) => fileSystem.releasedir(node, opened.handle),
});

function list(plus: boolean): Operation {
  return operation<DirectoryReply>({
    body: ReadIn.size,
    wide: [ReadIn.at.fh, ReadIn.at.offset],
    interruptible: always,
    asked: (request) => ReadIn.get.size(request.view, BODY),
    most: (asked) => asked,
    call: (context, request): Reply<DirectoryReply> => {
      const { view, node, caller } = request;
      const directory = context.takeDirectoryReply();
      directory.begin(Math.min(ReadIn.get.size(view, BODY), context.reply.payload.length), plus);
      const { fh, offset } = ReadIn.get;
      let filled: Reply<0>;
      try {
        filled = context.fileSystem.readdir(node, fh(view, BODY), offset(view, BODY), plus, directory, caller);
      } catch (error) {
        abandon(context, directory);
        throw error;
      }
      if (!(filled instanceof Promise)) return filledReply(context, directory, filled);
      return filled.then(
        (outcome) => filledReply(context, directory, outcome),
        (error) => {
          abandon(context, directory);
          throw error;
        },
      );
    },
    encode: (context, directory) => {
      const length = directory.copyTo(context.reply.payload);
      directory.settle(context.fileSystem);
      context.giveDirectoryReply(directory); // what was taken is kept until the next begin(), for undo
      return length;
    },
    undo: (fileSystem, _node, directory) => directory.undo(fileSystem),
  });
}

function filledReply(context: Context, directory: DirectoryReply, outcome: Outcome<0>): DirectoryReply | Failure {
  if (!failed(outcome)) return directory;
  abandon(context, directory);
  return outcome;
}

/** An error takes the place of the listing: no entry of it will reach the kernel. */
function abandon(context: Context, directory: DirectoryReply): void {
  directory.undo(context.fileSystem);
  context.giveDirectoryReply(directory);
}

export const readdir = list(false);
export const readdirplus = list(true);

export const releasedir = operation<0>({
  body: ReleaseIn.size,
  wide: [ReleaseIn.at.fh],
  call: ({ fileSystem }, request) => {
    fileSystem.releasedir(request.node, ReleaseIn.get.fh(request.view, BODY));
    return 0;
  },
});

export const fsyncdir = operation<0>({
  body: FsyncIn.size,
  wide: [FsyncIn.at.fh],
  call: ({ fileSystem }, request) => {
    const { view, node } = request;
    const dataOnly = (FsyncIn.get.fsync_flags(view, BODY) & FSYNC_FDATASYNC) !== 0;
    return fileSystem.fsyncdir(node, FsyncIn.get.fh(view, BODY), dataOnly);
  },
});
