/** Attributes, extended attributes and the like, by path or by open file. */
import type { SetAttributes } from '../overlay/filesystem.ts';
import type { Attributes } from '../store/attributes.ts';
import type { StoreStatistics } from '../store/store.ts';
import { andThen, Errno, failed, type Outcome, type Reply } from '../sys/errno.ts';
import type { Context } from './context.ts';
import { bytesOf, EILSEQ, exactText } from './paths.ts';

/** chown(2): leave it as it is. */
const UNCHANGED = 0xffff_ffff;

export class AttributeOperations {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  getattr(path: string): Promise<Outcome<Attributes>> {
    return this.#context.at(path, (located, place) => this.#context.attributes(located, place));
  }

  async fgetattr(path: string, fd: number): Promise<Outcome<Attributes>> {
    const file = this.#context.files.get(fd);
    if (file === undefined) return this.getattr(path);
    if (file.stale) return -Errno.ESTALE;
    const reply = await this.#context.fileSystem.getattr(file.node, file.handle, this.#context.caller);
    return failed(reply) ? reply : this.#context.told(file.node, reply.attributes, file.place);
  }

  chmod(path: string, mode: number): Promise<Outcome<0>> {
    return this.#set(path, { mode: mode & 0o7777 });
  }

  chown(path: string, uid: number, gid: number): Promise<Outcome<0>> {
    const changes: SetAttributes = {};
    if (uid !== UNCHANGED) changes.uid = uid;
    if (gid !== UNCHANGED) changes.gid = gid;
    return this.#set(path, changes);
  }

  truncate(path: string, size: number): Promise<Outcome<0>> {
    return this.#set(path, { size });
  }

  ftruncate(path: string, fd: number, size: number): Reply<0> {
    const file = this.#context.files.get(fd);
    if (file === undefined) return this.truncate(path, size);
    if (file.stale) return -Errno.ESTALE;
    const { fileSystem, caller } = this.#context;
    return andThen(fileSystem.setattr(file.node, { size }, file.handle, caller), () => 0);
  }

  /** Milliseconds since 1970; before it: negative. */
  utimens(path: string, atimeMs: number, mtimeMs: number): Promise<Outcome<0>> {
    return this.#set(path, { atime: timeOf(atimeMs), mtime: timeOf(mtimeMs) });
  }

  readlink(path: string): Promise<Outcome<string>> {
    return this.#context.at(path, ({ node }) =>
      andThen(this.#context.fileSystem.readlink(node), (target) => exactText(target) ?? -EILSEQ),
    );
  }

  statfs(path: string): Promise<Outcome<StoreStatistics>> {
    return this.#context.at(path, ({ node }) => this.#context.fileSystem.statfs(node));
  }

  access(path: string, mask: number): Promise<Outcome<0>> {
    return this.#context.at(path, ({ node }) => this.#context.fileSystem.access(node, mask, this.#context.caller));
  }

  /** `data` is libfuse's own buffer: valid until the answer. */
  setxattr(path: string, name: string, data: Buffer, flags: number): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    return this.#context.at(path, ({ node }) => fileSystem.setxattr(node, bytesOf(name), data, flags, caller));
  }

  removexattr(path: string, name: string): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    return this.#context.at(path, ({ node }) => fileSystem.removexattr(node, bytesOf(name), caller));
  }

  /** Fills `into`, or tells the size when that is empty. */
  async getxattr(path: string, name: string, into: Buffer): Promise<Outcome<number>> {
    const { fileSystem, caller } = this.#context;
    return fill(await this.#context.at(path, ({ node }) => fileSystem.getxattr(node, bytesOf(name), caller)), into);
  }

  async listxattr(path: string, into: Buffer): Promise<Outcome<number>> {
    const { fileSystem, caller } = this.#context;
    return fill(await this.#context.at(path, ({ node }) => fileSystem.listxattr(node, caller)), into);
  }

  #set(path: string, changes: SetAttributes): Promise<Outcome<0>> {
    const { fileSystem, caller } = this.#context;
    return this.#context.at(path, ({ node, handle }) =>
      andThen(fileSystem.setattr(node, changes, handle, caller), () => 0),
    );
  }
}

function timeOf(ms: number): { sec: number; nsec: number } {
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: (ms - sec * 1000) * 1e6 };
}

function fill(value: Outcome<Buffer>, into: Buffer): Outcome<number> {
  if (failed(value)) return value;
  if (into.length === 0) return value.length;
  if (value.length > into.length) return -Errno.ERANGE;
  into.set(value);
  return value.length;
}
