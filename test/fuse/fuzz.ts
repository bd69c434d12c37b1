/**
 * Feeds mutants of valid requests, and random bytes, to the dispatcher in front of a file system in memory:
 *
 *     scripts/node test/fuse/fuzz.ts [--count 1000000] [--seed 1]
 *
 * Checked after every frame: nothing was thrown; a request that wants a reply got exactly one, at once or after the
 * promises ran; every reply holds together and is no longer than was asked. At the end nothing is pending.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Opcode, type OpcodeName } from '../../src/fuse/abi.ts';
import type { Transport } from '../../src/fuse/answer.ts';
import { BODY, InHeader, OutHeader, PAYLOAD } from '../../src/fuse/codec.ts';
import { Dispatcher } from '../../src/fuse/dispatch.ts';
import { FramePool } from '../../src/fuse/frame-pool.ts';
import type { ReplyBuffer } from '../../src/fuse/replies.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { MemoryFileSystem } from '../support/memory-fs.ts';
import { FRAME_SIZE, frame, nul, pack, viewOf } from './frames.ts';

export interface FuzzResult {
  frames: number;
  replies: number;
  succeeded: number;
  dropped: number;
  /** Per opcode, how many mutants the file system answered without an error: all layers were reached. */
  reached: Map<string, number>;
  slowestMs: number;
}

/** xorshift32: fast, and the same everywhere for a seed. */
function random(seed: number): (below: number) => number {
  let state = seed * 2 + 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const silent: ReadonlySet<number> = new Set([
  Opcode.FORGET,
  Opcode.BATCH_FORGET,
  Opcode.INTERRUPT,
  Opcode.NOTIFY_REPLY,
]);
/** Answered by the session, which is not under test here. */
const outside: ReadonlySet<number> = new Set([Opcode.INIT]);
const sized: ReadonlyMap<number, number> = new Map([
  // where the request says how much it wants
  [Opcode.READ, 16],
  [Opcode.READDIR, 16],
  [Opcode.READDIRPLUS, 16],
  [Opcode.GETXATTR, 0],
  [Opcode.LISTXATTR, 0],
]);
/** The longest reply of an operation that has no say in it: statx. */
const LONGEST_FIXED = 288;
const LONGEST_LINK = 4095;

const ALL_ONES = 0xffff_ffff;
const interesting = [
  0,
  1,
  2,
  7,
  8,
  16,
  255,
  256,
  4095,
  4096,
  65535,
  65536,
  1 << 20,
  0x7fff_ffff,
  0x8000_0000,
  ALL_ONES,
];

/** Sizes up to here keep a mutant from costing more than its share of the time. */
const SMALL_FILE = 1 << 16;

class Checker implements Transport {
  replies = 0;
  succeeded = 0;
  last: { unique: number; error: number; payload: number } | undefined;
  readonly problems: string[] = [];

  send(reply: ReplyBuffer, length: number): number {
    return this.#take(reply.view, length, length);
  }

  sendWith(reply: ReplyBuffer, headLength: number, bytes: Uint8Array): number {
    return this.#take(reply.view, headLength, headLength + bytes.byteLength);
  }

  #take(view: DataView, head: number, length: number): number {
    const error = OutHeader.get.error(view, 0);
    if (head < PAYLOAD || OutHeader.get.len(view, 0) !== length) this.problems.push(`a reply says a wrong length`);
    if (error > 0 || error <= -512) this.problems.push(`a reply with error ${error}`);
    if (error !== 0 && length !== PAYLOAD) this.problems.push('an error with a payload');
    this.replies++;
    if (error === 0) this.succeeded++;
    this.last = { unique: OutHeader.get.unique(view, 0), error, payload: length - PAYLOAD };
    return length;
  }
}

function seeds(): [OpcodeName, Buffer[]][] {
  const groups = Buffer.from(new Uint32Array([16, 32, 1, 1234]).buffer);
  const fh = 3;
  const list: [OpcodeName, Buffer[]][] = [
    ['LOOKUP', [nul('a')]],
    ['FORGET', [pack('forget_in', { nlookup: 1 })]],
    ['GETATTR', [pack('getattr_in')]],
    ['SETATTR', [pack('setattr_in', { valid: 0x3f, mode: 0o644, size: 100, atime: 5, mtime: 6 })]],
    ['READLINK', []],
    ['SYMLINK', [nul('l'), nul('target')]],
    ['MKNOD', [pack('mknod_in', { mode: 0o100644 }), nul('b')]],
    ['MKDIR', [pack('mkdir_in', { mode: 0o755 }), nul('d')]],
    ['UNLINK', [nul('b')]],
    ['RMDIR', [nul('d')]],
    ['RENAME', [pack('rename_in', { newdir: 1 }), nul('a'), nul('b')]],
    ['RENAME2', [pack('rename2_in', { newdir: 1, flags: 2 }), nul('a'), nul('b')]],
    ['LINK', [pack('link_in', { oldnodeid: 2 }), nul('h')]],
    ['OPEN', [pack('open_in', { flags: 2 })]],
    ['READ', [pack('read_in', { fh, size: 4096 })]],
    ['WRITE', [pack('write_in', { fh, size: 16 }), Buffer.alloc(16, 1)]],
    ['STATFS', []],
    ['RELEASE', [pack('release_in', { fh: 9 })]],
    ['FSYNC', [pack('fsync_in', { fh })]],
    ['SETXATTR', [pack('setxattr_in', { size: 4 }), nul('user.a'), Buffer.from('abcd')]],
    ['GETXATTR', [pack('getxattr_in', { size: 100 }), nul('user.a')]],
    ['LISTXATTR', [pack('getxattr_in', { size: 100 })]],
    ['REMOVEXATTR', [nul('user.a')]],
    ['FLUSH', [pack('flush_in', { fh })]],
    ['OPENDIR', [pack('open_in')]],
    ['READDIR', [pack('read_in', { fh: 4, size: 4096 })]],
    ['READDIRPLUS', [pack('read_in', { fh: 4, size: 4096 })]],
    ['RELEASEDIR', [pack('release_in', { fh: 10 })]],
    ['FSYNCDIR', [pack('fsync_in', { fh: 4 })]],
    ['GETLK', [Buffer.alloc(48)]],
    ['SETLK', [Buffer.alloc(48)]],
    ['SETLKW', [Buffer.alloc(48)]],
    ['ACCESS', [pack('access_in', { mask: 4 })]],
    ['CREATE', [pack('create_in', { mode: 0o644, flags: 2 }), nul('n')]],
    ['TMPFILE', [pack('create_in', { mode: 0o644, flags: 2 }), nul('/')]],
    ['INTERRUPT', [pack('interrupt_in', { unique: 2 })]],
    ['BMAP', [Buffer.alloc(16)]],
    ['DESTROY', []],
    ['IOCTL', [pack('ioctl_in', { fh, cmd: 0x40044d10, in_size: 4 }), Buffer.alloc(4)]],
    ['POLL', [Buffer.alloc(24)]],
    ['NOTIFY_REPLY', [Buffer.alloc(40)]],
    ['BATCH_FORGET', [pack('batch_forget_in', { count: 1 }), pack('forget_one', { nodeid: 2, nlookup: 1 })]],
    ['FALLOCATE', [pack('fallocate_in', { fh, length: 100 })]],
    ['LSEEK', [pack('lseek_in', { fh, whence: 3 })]],
    ['COPY_FILE_RANGE', [pack('copy_file_range_in', { fh_in: fh, nodeid_out: 2, fh_out: fh, len: 10 })]],
    ['COPY_FILE_RANGE_64', [pack('copy_file_range_in', { fh_in: fh, nodeid_out: 2, fh_out: fh, len: 10 })]],
    ['SETUPMAPPING', [Buffer.alloc(40)]],
    ['REMOVEMAPPING', [Buffer.alloc(16)]],
    ['SYNCFS', [Buffer.alloc(8)]],
    ['STATX', [pack('statx_in')]],
  ];
  return list.map(([opcode, body]) => [opcode, opcode === 'MKDIR' ? [...body, groups.subarray(0, 0)] : body]);
}

class Fuzzer {
  readonly #random: (below: number) => number;
  readonly #checker = new Checker();
  readonly #seeds: Buffer[];
  readonly #later = { now: false };
  #dispatcher: Dispatcher;
  #left = 0;
  #unique = 2;
  readonly result: FuzzResult = { frames: 0, replies: 0, succeeded: 0, dropped: 0, reached: new Map(), slowestMs: 0 };

  constructor(seed: number) {
    this.#random = random(seed);
    this.#seeds = seeds().map(([opcode, body]) => frame(opcode, body));
    const groups = Buffer.from(new Uint32Array([16, 32, 1, 1234]).buffer);
    this.#seeds.push(frame('MKDIR', [pack('mkdir_in', { mode: 0o755 }), nul('x')], { extensions: groups }));
    this.#dispatcher = this.#fresh();
  }

  /** A new file system now and then, lest it grow and lose what the seeds name. */
  #fresh(): Dispatcher {
    const fileSystem = new MemoryFileSystem({
      maxFileSize: SMALL_FILE,
      maxInodes: 500,
      later: () => this.#later.now,
    });
    fileSystem.addFile('a', 'x'.repeat(1000)); // node 2
    void fileSystem.symlink(1, 's', Buffer.from('target'), {
      uid: 0,
      gid: 0,
      pid: 0,
      supplementaryGroup: -1,
      askedMs: 0,
    }); // node 3
    const dispatcher = new Dispatcher({
      fileSystem,
      transport: this.#checker,
      events: { init: () => {}, destroyed: () => {} },
      frames: new FramePool(FRAME_SIZE),
      log: { ...silentLog, error: (fields, message) => void this.#problem(message, fields) },
      maxPayload: 1 << 20,
      wantsToEnd: () => this.#random(2) === 0,
    });
    dispatcher.setxattrExtended = this.#random(8) > 0;
    for (let handle = 1; handle <= 3; handle++) void fileSystem.open(2, 2, false);
    void fileSystem.opendir(1);
    this.#left = 2000;
    return dispatcher;
  }

  #problem(what: string, detail: unknown): void {
    this.#checker.problems.push(`${what} ${JSON.stringify(detail, (_, v) => (v instanceof Error ? v.stack : v))}`);
  }

  /** Changes a valid frame in one to four ways, and makes its header hold again but for some. */
  #mutate(target: Buffer): number {
    const seed = this.#seeds[this.#random(this.#seeds.length)]!;
    let length = seed.copy(target);
    const view = viewOf(target);
    const rounds = this.#random(5);
    for (let round = 0; round < rounds; round++) {
      const at = BODY + this.#random(Math.max(1, length - BODY));
      switch (this.#random(9)) {
        case 0:
          target[at] = this.#random(256);
          break;
        case 1:
          target[at]! ^= 1 << this.#random(8);
          break;
        case 2:
          view.setUint32(BODY + this.#random(12) * 4, interesting[this.#random(interesting.length)]!, true);
          break;
        case 3:
          length = BODY + this.#random(length - BODY + 1);
          break;
        case 4: {
          const more = this.#random(300);
          target.fill(this.#random(256), length, length + more);
          length += more;
          break;
        }
        case 5:
          view.setBigUint64(InHeader.at.nodeid, BigInt(this.#random(8)), true);
          break;
        case 6:
          view.setUint32(InHeader.at.nodeid + 4, interesting[this.#random(interesting.length)]!, true);
          break;
        case 7:
          view.setUint16(InHeader.at.total_extlen, this.#random(5), true);
          break;
        case 8:
          view.setUint32(BODY, this.#random(8), true); // handles that exist
          break;
      }
    }
    return length;
  }

  async step(): Promise<void> {
    if (this.#left-- === 0) this.#dispatcher = this.#fresh();
    const { request } = this.#dispatcher;
    const target = request.frame.bytes;
    const view = request.frame.view;
    let length: number;
    const kind = this.#random(20);
    if (kind === 0) {
      length = this.#random(200);
      for (let i = 0; i < length; i++) target[i] = this.#random(256);
      if (this.#random(2) === 0) view.setUint32(0, length, true);
    } else {
      length = this.#mutate(target);
      this.#unique += 2;
      InHeader.set.unique(view, 0, this.#unique);
      InHeader.set.len(view, 0, kind === 1 ? length + 1 - this.#random(3) : length);
      if (kind === 2) InHeader.set.opcode(view, 0, this.#random(70));
    }
    this.#later.now = this.#random(8) === 0;
    await this.#give(length);
  }

  async #give(length: number): Promise<void> {
    const checker = this.#checker;
    const { view, bytes } = this.#dispatcher.request.frame;
    const opcode = length >= BODY ? view.getUint32(4, true) : 0;
    const unique = InHeader.get.unique(view, 0);
    const valid = length >= BODY && view.getUint32(0, true) === length;
    const wants = valid && unique !== 0 && !silent.has(opcode) && !outside.has(opcode);
    const askedAt = sized.get(opcode);
    const asked = askedAt === undefined ? undefined : view.getUint32(BODY + askedAt, true);
    const copy = Buffer.from(bytes.subarray(0, Math.min(length, 256)));
    checker.last = undefined;
    const before = checker.replies;
    const start = performance.now();
    try {
      this.#dispatcher.dispatch(length);
      for (let i = 0; this.#dispatcher.pending > 0; i++) {
        if (i > 50) throw new Error('a request is never answered');
        await null;
      }
    } catch (error) {
      this.#problem('thrown', error);
    }
    const took = performance.now() - start;
    if (took > this.result.slowestMs) this.result.slowestMs = took;
    const got = checker.replies - before;
    const { last } = checker as { last: Checker['last'] };
    if (got !== (wants ? 1 : 0)) this.#problem(`${got} replies instead of ${wants ? 1 : 0}`, {});
    if (last !== undefined && last.unique !== unique) this.#problem('a reply to another request', last);
    if (last !== undefined && last.payload > most(opcode, asked)) this.#problem('a reply longer than asked', last);
    if (last?.error === 0) this.result.reached.set(String(opcode), (this.result.reached.get(String(opcode)) ?? 0) + 1);
    this.result.frames++;
    if (!valid) this.result.dropped++;
    if (checker.problems.length > 0) {
      throw new Error(
        `frame ${this.result.frames} (${length} bytes) ${copy.toString('hex')}: ${checker.problems.join('; ')}`,
      );
    }
  }

  finish(): FuzzResult {
    this.result.replies = this.#checker.replies;
    this.result.succeeded = this.#checker.succeeded;
    return this.result;
  }
}

function most(opcode: number, asked: number | undefined): number {
  if (asked === undefined) return opcode === Opcode.READLINK ? LONGEST_LINK : LONGEST_FIXED;
  return asked === 0 && (opcode === Opcode.GETXATTR || opcode === Opcode.LISTXATTR) ? 8 : asked;
}

/** Throws at the first frame that breaks a promise, with the frame in hexadecimal. */
export async function fuzz(count: number, seed: number): Promise<FuzzResult> {
  const fuzzer = new Fuzzer(seed);
  for (let i = 0; i < count; i++) await fuzzer.step();
  return fuzzer.finish();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { count: { type: 'string' }, seed: { type: 'string', default: '1' } } });
  const count = Number(values.count ?? process.env.MLO_FUZZ_COUNT ?? 1_000_000);
  const start = performance.now();
  const result = await fuzz(count, Number(values.seed));
  const { reached, ...totals } = result;
  console.log(JSON.stringify({ ...totals, opcodesReached: reached.size, seconds: (performance.now() - start) / 1000 }));
}
