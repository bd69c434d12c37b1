/** The table of operations by opcode. INIT, DESTROY and INTERRUPT are the session's and the dispatcher's own. */
import { Errno } from '../../sys/errno.ts';
import { OPCODE_COUNT, Opcode } from '../abi.ts';
import { type Operation, operation, refuse } from '../operation.ts';
import * as attributes from './attributes.ts';
import * as directories from './directories.ts';
import * as files from './files.ts';
import * as names from './names.ts';

/** Index 0 stands for opcodes we do not know. ENOSYS is remembered by the kernel for most opcodes: it then stops asking. */
export const operations: readonly Operation[] = (() => {
  const table: Operation[] = new Array<Operation>(OPCODE_COUNT).fill(refuse(-Errno.ENOSYS));
  table[Opcode.LOOKUP] = names.lookup;
  table[Opcode.FORGET] = names.forget;
  table[Opcode.BATCH_FORGET] = names.batchForget;
  table[Opcode.MKNOD] = names.mknod;
  table[Opcode.MKDIR] = names.mkdir;
  table[Opcode.SYMLINK] = names.symlink;
  table[Opcode.LINK] = names.link;
  table[Opcode.UNLINK] = names.unlink;
  table[Opcode.RMDIR] = names.rmdir;
  table[Opcode.RENAME] = names.rename;
  table[Opcode.RENAME2] = names.rename2;
  table[Opcode.CREATE] = names.create;
  table[Opcode.TMPFILE] = names.tmpfile;

  table[Opcode.GETATTR] = attributes.getattr;
  table[Opcode.STATX] = attributes.statx;
  table[Opcode.SETATTR] = attributes.setattr;
  table[Opcode.READLINK] = attributes.readlink;
  table[Opcode.ACCESS] = attributes.access;
  table[Opcode.STATFS] = attributes.statfs;
  table[Opcode.GETXATTR] = attributes.getxattr;
  table[Opcode.LISTXATTR] = attributes.listxattr;
  table[Opcode.SETXATTR] = attributes.setxattr;
  table[Opcode.REMOVEXATTR] = attributes.removexattr;

  table[Opcode.OPEN] = files.open;
  table[Opcode.READ] = files.read;
  table[Opcode.WRITE] = files.write;
  table[Opcode.RELEASE] = files.release;
  table[Opcode.FLUSH] = files.flush;
  table[Opcode.FSYNC] = files.fsync;
  table[Opcode.FALLOCATE] = files.fallocate;
  table[Opcode.LSEEK] = files.lseek;
  table[Opcode.IOCTL] = files.ioctl; // the kernel does not remember ENOSYS to it
  table[Opcode.COPY_FILE_RANGE] = files.copyFileRange;
  table[Opcode.COPY_FILE_RANGE_64] = files.copyFileRange64;

  table[Opcode.OPENDIR] = directories.opendir;
  table[Opcode.READDIR] = directories.readdir;
  table[Opcode.READDIRPLUS] = directories.readdirplus;
  table[Opcode.RELEASEDIR] = directories.releasedir;
  table[Opcode.FSYNCDIR] = directories.fsyncdir;

  table[Opcode.NOTIFY_REPLY] = operation<0>({ silent: true, call: () => 0 });
  return table;
})();
