/** Inodes, handles and paths: what a request costs once it has been decoded. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Caller, Entry, Opened } from '../../../src/overlay/filesystem.ts';
import type * as Index from '../../../src/overlay/index.ts';
import type { Inode } from '../../../src/overlay/inode.ts';
import type * as Table from '../../../src/overlay/inode-table.ts';
import type { Attributes } from '../../../src/store/attributes.ts';
import type * as Posix from '../../../src/store/posix/index.ts';
import type * as Node from '../../../src/store/posix/node.ts';
import type { Found, Store } from '../../../src/store/store.ts';
import type { Micro, Tree } from '../bench.ts';

const OPERATIONS = 1000;
/** As many files as ImageNet has folders times a hundred: beyond what the processor's caches hold. */
const INODES = 100_000;
const DEPTH = 8;
const READ_BYTES = 4096;

const nothing = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const caller: Caller = { uid: 0, gid: 0, pid: 1, supplementaryGroup: -1, askedMs: 0 };
const attributes = { ino: 1n, mode: 0o100644, size: 100, ctimeSec: 0, ctimeNsec: 0 } as Attributes;

function found(id: number): Found {
  return { id, birth: 'b', attributes };
}

/** Every operation takes the next of these: spread over the table, the same on every run. */
function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, at) => at);
  let seed = 12345;
  for (let at = count - 1; at > 0; at--) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    const other = seed % (at + 1);
    const kept = order[at]!;
    order[at] = order[other]!;
    order[other] = kept;
  }
  return order;
}

async function inodeTable(tree: Tree): Promise<{ table: Table.InodeTable; inodes: Inode[] }> {
  const { InodeTable } = await tree.load<typeof Table>('overlay/inode-table.ts');
  const node = (_parent: unknown, _name: string, { id, birth }: Found) => ({ id, birth, path: () => 'x' });
  const store = {
    root: () => ({ ...found(0), node: node(undefined, '', found(0)) }),
    node,
    version: () => 'v',
    place: () => undefined, // none of them goes to rest
    release: () => {},
  } as unknown as Store;
  const table = new InodeTable(store, 0);
  const inodes = Array.from({ length: INODES }, (_, at) => table.add(table.root, 'x', found(at + 1), 0));
  return { table, inodes };
}

async function overlayOver(tree: Tree, directory: string) {
  const { Overlay } = await tree.load<typeof Index>('overlay/index.ts');
  const { openPosixStore } = await tree.load<typeof Posix>('store/posix/index.ts');
  const source = join(directory, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), Buffer.alloc(64 * 1024, 7));
  const store = await openPosixStore({ root: source, speed: 'inline', log: nothing });
  const overlay = new Overlay({
    store,
    cache: undefined,
    log: nothing,
    attributesTtlMs: 5000,
    passthroughMinBytes: 1 << 20,
  });
  const entry = overlay.lookup(1, 'file') as Entry;
  return { overlay, node: entry.node };
}

export const overlay: readonly Micro[] = [
  {
    name: 'inode table: by nodeid',
    operations: OPERATIONS,
    prepare: async (tree) => {
      const { table, inodes } = await inodeTable(tree);
      const order = shuffled(INODES);
      let at = 0;
      return {
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) {
            if (table.get(inodes[order[at]!]!.nodeId) === undefined) throw new Error('lost an inode');
            at = at + 1 === INODES ? 0 : at + 1;
          }
        },
      };
    },
  },
  {
    name: 'inode table: by file',
    operations: OPERATIONS,
    prepare: async (tree) => {
      const { table } = await inodeTable(tree);
      const order = shuffled(INODES);
      const what = found(0);
      let at = 0;
      return {
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) {
            what.id = order[at]! + 1;
            if (table.current(what) === undefined) throw new Error('lost an inode');
            at = at + 1 === INODES ? 0 : at + 1;
          }
        },
      };
    },
  },
  {
    name: 'inode table: add and remove',
    operations: OPERATIONS,
    prepare: async (tree) => {
      const { table } = await inodeTable(tree);
      const what = found(INODES);
      return {
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) {
            what.id = (what.id as number) + 1;
            table.remove(table.add(table.root, 'x', what, 0));
          }
        },
      };
    },
  },
  {
    name: `path of a file ${DEPTH} directories deep`,
    operations: OPERATIONS,
    prepare: async (tree) => {
      const { PosixNode } = await tree.load<typeof Node>('store/posix/node.ts');
      let node = new PosixNode(found(1), 0);
      for (let depth = 0; depth <= DEPTH; depth++) {
        const child = new PosixNode(found(depth + 2), 0);
        child.addLocation(node, `directory-${depth}`);
        node = child;
      }
      return {
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) if (node.path().length < DEPTH) throw new Error('no path');
        },
      };
    },
  },
  {
    name: 'overlay: lookup in a local source',
    operations: 100,
    prepare: async (tree, directory) => {
      const { overlay, node } = await overlayOver(tree, directory);
      return {
        run: () => {
          for (let i = 0; i < 100; i++)
            if ((overlay.lookup(1, 'file') as Entry).node !== node) throw new Error('moved');
          overlay.forget(node, 100);
        },
        end: () => overlay.stop(),
      };
    },
  },
  {
    name: 'overlay: open and release',
    operations: 100,
    prepare: async (tree, directory) => {
      const { overlay, node } = await overlayOver(tree, directory);
      return {
        run: () => {
          for (let i = 0; i < 100; i++) {
            const opened = overlay.open(node, 0, false, caller) as Opened;
            overlay.release(node, opened.handle);
          }
        },
        end: () => overlay.stop(),
      };
    },
  },
  {
    name: 'overlay: read 4 KiB of a local source',
    operations: 100,
    prepare: async (tree, directory) => {
      const { overlay, node } = await overlayOver(tree, directory);
      const opened = overlay.open(node, 0, false, caller) as Opened;
      const into = Buffer.alloc(READ_BYTES);
      return {
        run: () => {
          for (let i = 0; i < 100; i++) {
            const count = overlay.read(node, opened.handle, (i & 15) * READ_BYTES, READ_BYTES, into, caller);
            if (count !== READ_BYTES) throw new Error(`read: ${count}`);
          }
        },
        end: () => overlay.stop(),
      };
    },
  },
];
