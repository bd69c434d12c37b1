/**
 * The least a file system can do for a flat directory of files, on top of the one in memory: OPEN opens the file, READ
 * reads it, RELEASE closes it; nothing is cached and nothing handed to the kernel. For measuring the session's loop.
 */
import { openSync, readdirSync, statSync } from 'node:fs';
import type { AttributesReply, Entry, HandleId, NodeId, Opened } from '../../src/overlay/filesystem.ts';
import type { Attributes } from '../../src/store/attributes.ts';
import { Errno, type Reply } from '../../src/sys/errno.ts';
import * as sys from '../../src/sys/libc.ts';
import { MemoryFileSystem } from '../support/memory-fs.ts';

const FIRST = 1 << 20;
const LONG_MS = 3_600_000;
const O_RDONLY_CLOEXEC = 0o2000000;

export class FlatDirectoryFileSystem extends MemoryFileSystem {
  readonly #directory: number;
  readonly #names: string[];
  readonly #paths: Buffer[];
  readonly #sizes: number[];
  readonly #index: Map<string, number>;

  constructor(path: string) {
    super({ ttlMs: LONG_MS });
    this.#directory = openSync(path, 'r');
    this.#names = readdirSync(path).sort();
    this.#paths = this.#names.map((name) => sys.cstring(name));
    this.#sizes = this.#names.map((name) => statSync(`${path}/${name}`).size);
    this.#index = new Map(this.#names.map((name, i) => [name, i]));
  }

  override lookup(_parent: NodeId, name: string): Reply<Entry> {
    const i = this.#index.get(name);
    if (i === undefined) return -Errno.ENOENT;
    return { node: FIRST + i, attributes: this.#attributes(i), entryTtlMs: LONG_MS, attributesTtlMs: LONG_MS };
  }

  override getattr(node: NodeId): Reply<AttributesReply> {
    return node < FIRST ? super.getattr(node) : { attributes: this.#attributes(node - FIRST), ttlMs: LONG_MS };
  }

  #attributes(i: number): Attributes {
    return { ...this.root.attributes, ino: BigInt(FIRST + i), mode: 0o100644, size: this.#sizes[i]! };
  }

  override open(node: NodeId): Reply<Opened> {
    const path = this.#paths[node - FIRST]!;
    const handle = sys.openatNow(this.#directory, sys.addressOf(path), O_RDONLY_CLOEXEC, 0);
    if (handle < 0) return handle;
    return { handle, keepCache: false, backingId: 0, directIo: false, noFlush: true, nonSeekable: false };
  }

  override read(_node: NodeId, handle: HandleId, offset: number, size: number, into: Uint8Array): number {
    return sys.preadNow(handle, into, size, offset);
  }

  override release(_node: NodeId, handle: HandleId): void {
    sys.closeNow(handle);
  }
}
