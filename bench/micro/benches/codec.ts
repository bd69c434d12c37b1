/** The protocol: from a frame to the call of the file system and to the bytes of the reply. */
import type * as Abi from '../../../src/fuse/abi.ts';
import type * as Codec from '../../../src/fuse/codec.ts';
import type * as Dispatch from '../../../src/fuse/dispatch.ts';
import type * as FramePool from '../../../src/fuse/frame-pool.ts';
import type * as Replies from '../../../src/fuse/replies.ts';
import type { AttributesReply, Entry, FileSystem } from '../../../src/overlay/filesystem.ts';
import type { Attributes } from '../../../src/store/attributes.ts';
import type { Micro, Prepared, Tree } from '../bench.ts';

const OPERATIONS = 1000;
const FRAME_BYTES = (1 << 20) + 8192;
const READ_BYTES = 128 * 1024;

const attributes: Attributes = {
  ino: 4711n,
  mode: 0o100644,
  nlink: 1,
  uid: 1000,
  gid: 1000,
  rdev: 0,
  size: 110 * 1024,
  blocks: 220,
  blksize: 4096,
  atimeSec: 1_790_000_000,
  atimeNsec: 123_456_789,
  mtimeSec: 1_790_000_001,
  mtimeNsec: 987_654_321,
  ctimeSec: 1_790_000_002,
  ctimeNsec: 555_555_555,
  btimeSec: 1_790_000_000,
  btimeNsec: 0,
};
const entry: Entry = { node: 17, attributes, entryTtlMs: 60_000, attributesTtlMs: 59_987.25 };
const attributesReply: AttributesReply = { attributes, ttlMs: 59_987.25 };

/** Answers at once, from nothing. */
const still = {
  lookup: () => entry,
  getattr: () => attributesReply,
  read: (_node: number, _handle: number, _offset: number, size: number) => size,
  forget: () => {},
} as unknown as FileSystem;

/** Builds one frame of an opcode; `body` writes behind the header and says how long it is. */
type Fill = (view: DataView, at: number) => number;

/** Dispatches the same frame over and over; replies go nowhere. */
async function dispatching(tree: Tree, opcodeName: 'READ' | 'LOOKUP' | 'GETATTR', fill: Fill): Promise<Prepared> {
  const { Opcode } = await tree.load<typeof Abi>('fuse/abi.ts');
  const { BODY, InHeader } = await tree.load<typeof Codec>('fuse/codec.ts');
  const { Dispatcher } = await tree.load<typeof Dispatch>('fuse/dispatch.ts');
  const frames = await tree.load<typeof FramePool>('fuse/frame-pool.ts');
  let sent = 0;
  const dispatcher = new Dispatcher({
    fileSystem: still,
    transport: {
      send: (_reply, length) => {
        sent += length;
        return length;
      },
      sendWith: (_reply, length, bytes) => length + bytes.length,
    },
    events: { init: () => {}, destroyed: () => {} },
    frames: new frames.FramePool(FRAME_BYTES),
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    maxPayload: 1 << 20,
  });
  const { view } = dispatcher.request;
  dispatcher.request.frame.bytes.fill(0, 0, 256);
  const length = BODY + fill(view, BODY);
  InHeader.set.len(view, 0, length);
  InHeader.set.opcode(view, 0, Opcode[opcodeName]);
  InHeader.set.unique(view, 0, 2);
  view.setBigUint64(InHeader.at.nodeid, 17n, true);
  const run = (): void => {
    for (let i = 0; i < OPERATIONS; i++) dispatcher.dispatch(length);
  };
  run();
  const { errors } = dispatcher.counters;
  if (sent === 0 || errors[Opcode[opcodeName]] !== 0) throw new Error(`${opcodeName} is not answered`);
  return { run };
}

function readBody(codec: typeof Codec): Fill {
  const ReadIn = codec.struct('read_in');
  return (view, at) => {
    ReadIn.set.fh(view, at, 5);
    ReadIn.set.offset(view, at, 1 << 20);
    ReadIn.set.size(view, at, READ_BYTES);
    return ReadIn.size;
  };
}

export const codec: readonly Micro[] = [
  {
    name: 'codec: READ, frame to reply',
    operations: OPERATIONS,
    prepare: async (tree) => dispatching(tree, 'READ', readBody(await tree.load('fuse/codec.ts'))),
  },
  {
    name: 'codec: LOOKUP, frame to reply',
    operations: OPERATIONS,
    prepare: (tree) =>
      dispatching(tree, 'LOOKUP', (view, at) => {
        const name = Buffer.from('ILSVRC2012_val_00012345.JPEG\0', 'latin1');
        for (let i = 0; i < name.length; i++) view.setUint8(at + i, name[i]!);
        return name.length;
      }),
  },
  {
    name: 'codec: GETATTR, frame to reply',
    operations: OPERATIONS,
    prepare: async (tree) => {
      const { struct } = await tree.load<typeof Codec>('fuse/codec.ts');
      return dispatching(tree, 'GETATTR', () => struct('getattr_in').size);
    },
  },
  {
    name: 'codec: encode an entry',
    operations: OPERATIONS,
    prepare: async (tree) => {
      const { ReplyBuffer, encodeEntry } = await tree.load<typeof Replies>('fuse/replies.ts');
      const reply = new ReplyBuffer(4096);
      return {
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) encodeEntry(reply, entry);
        },
      };
    },
  },
  {
    name: 'codec: encode attributes',
    operations: OPERATIONS,
    prepare: async (tree) => {
      const { ReplyBuffer, encodeAttributes } = await tree.load<typeof Replies>('fuse/replies.ts');
      const reply = new ReplyBuffer(4096);
      return {
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) encodeAttributes(reply, attributesReply);
        },
      };
    },
  },
];
