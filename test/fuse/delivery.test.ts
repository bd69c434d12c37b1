/** Replies on their way: what they hand out and cannot deliver, their length, those that come late, and interrupts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { OpcodeName } from '../../src/fuse/abi.ts';
import { Errno } from '../../src/sys/errno.ts';
import { MemoryFileSystem } from '../support/memory-fs.ts';
import { fixture, openDirectory, tick } from './fixture.ts';
import { Bench, frame, nul, pack, unpack } from './frames.ts';

describe('lookups and handles', () => {
  test('that a reply carries are given back when the kernel does not want it any more', async () => {
    for (const later of [[], ['lookup', 'open', 'create', 'opendir', 'mkdir', 'readdir', 'tmpfile']]) {
      const { fs, bench, delayed, lookup } = fixture();
      const node = lookup('file');
      const dir = openDirectory(bench);
      const [lookups, handles] = [fs.lookupsHeld, fs.handlesHeld];
      for (const name of later) delayed.add(name);
      for (const failure of [-Errno.ENOENT, -Errno.ENODEV]) {
        for (const [opcode, body, where] of [
          ['LOOKUP', [nul('file')], 1],
          ['OPEN', [pack('open_in')], node],
          ['OPENDIR', [pack('open_in')], 1],
          ['CREATE', [pack('create_in', { mode: 0o644 }), nul('new')], 1],
          ['TMPFILE', [pack('create_in', { mode: 0o644 }), nul('/')], 1],
          ['MKDIR', [pack('mkdir_in'), nul(`dir${failure}`)], 1],
          ['READDIRPLUS', [pack('read_in', { fh: dir, size: 4096 })], 1],
        ] as [OpcodeName, Buffer[], number][]) {
          bench.transport.refuse = [failure];
          assert.deepEqual(bench.give(frame(opcode, body, { node: where })), []);
          await tick();
          assert.equal(bench.transport.refuse.length, 0, opcode);
          assert.equal(fs.lookupsHeld, lookups, `${opcode} kept a lookup`);
          assert.equal(fs.handlesHeld, handles, `${opcode} kept a handle`);
        }
      }
      assert.equal(bench.dispatcher.counters.undeliverable, 14);
      assert.equal(bench.logged.length, 0);
    }
  });

  test('a reply the kernel refuses for another reason is followed by EIO', () => {
    const { fs, bench } = fixture();
    bench.transport.refuse = [-Errno.EINVAL];
    const [reply] = bench.give(frame('LOOKUP', [nul('file')]));
    assert.equal(reply?.error, -Errno.EIO);
    assert.equal(fs.lookupsHeld, 0);
    assert.equal(bench.logged.length, 1);
  });

  test('READDIRPLUS takes a lookup for each entry that fits, and none for the others, "." and ".."', () => {
    const { fs, bench } = fixture();
    const fh = openDirectory(bench);
    const plus = (size: number, offset = 0) => bench.ask('READDIRPLUS', [pack('read_in', { fh, size, offset })]);
    const entry = 152 + 8;
    assert.ok(plus(3 * entry + 8).payload.length <= 3 * entry + 8);
    assert.equal(fs.lookupsHeld, 1);
    assert.equal(plus(entry - 1).payload.length, 0);
    assert.equal(fs.lookupsHeld, 1);
    assert.equal(plus(4096).payload.length, 4 * entry);
    assert.equal(fs.lookupsHeld, 3);
    assert.equal(plus(4096, 3).payload.length, entry);
    assert.equal(plus(4096, 4).payload.length, 0);
    // Records end on multiples of 8: what would only fit without its padding does not fit.
    const plain = (size: number): number => {
      const { error, payload } = bench.ask('READDIR', [pack('read_in', { fh, size })]);
      assert.equal(error, 0);
      return payload.length;
    };
    assert.deepEqual([plain(24), plain(25), plain(31), plain(32), plain(40)], [0, 0, 0, 32, 32]);
  });

  test('a listing that ends in an error keeps no lookup, nor does an entry for "."', () => {
    const fs = new MemoryFileSystem();
    fs.addFile('a', '');
    const bench = new Bench(fs);
    const entry = fs.lookup(1, 'a');
    assert.ok(typeof entry === 'object' && 'node' in entry);
    fs.forget(entry.node, 1);
    let outcome = -Errno.EIO;
    fs.readdir = (_node, _handle, _offset, _plus, sink) => {
      for (const name of ['.', 'a']) if (sink.add(name, 1n, 4, 1, entry)) fs.root.children.get('a')!.lookups++;
      return outcome as 0;
    };
    assert.equal(bench.ask('READDIRPLUS', [pack('read_in', { size: 4096 })]).error, -Errno.EIO);
    assert.equal(fs.lookupsHeld, 0);
    outcome = 0;
    const { payload } = bench.ask('READDIRPLUS', [pack('read_in', { size: 4096 })]);
    assert.equal(unpack('entry_out', payload).nodeid, 0, 'the kernel takes no lookup for "."');
    assert.equal(fs.lookupsHeld, 1);
  });

  test('FORGET and BATCH_FORGET give lookups back and are not answered, however they lie', () => {
    const { fs, bench, lookup } = fixture();
    const node = lookup('file');
    lookup('file');
    lookup('file');
    assert.deepEqual(bench.give(frame('FORGET', [pack('forget_in', { nlookup: 1 })], { node, unique: 0 })), []);
    assert.equal(fs.lookupsHeld, 2);
    const one = pack('forget_one', { nodeid: node, nlookup: 1 });
    const wild = Buffer.alloc(16, 0xff);
    // Says four, holds three, of which one is nonsense.
    const batch = [pack('batch_forget_in', { count: 4 }), one, wild, one];
    assert.deepEqual(bench.give(frame('BATCH_FORGET', batch, { unique: 0 })), []);
    assert.equal(fs.lookupsHeld, 0);
    assert.deepEqual(bench.give(frame('FORGET', [], { unique: 0 })), []);
    assert.deepEqual(bench.give(frame('NOTIFY_REPLY', [], { unique: 0 })), []);
    assert.equal(bench.dispatcher.counters.malformed, 1);
  });

  test('very many that are forgotten at once are in turns', async () => {
    const { fs, bench, lookup } = fixture();
    const node = lookup('file');
    const count = 10_000;
    for (let i = 1; i < count; i++) lookup('file');
    const one = pack('forget_one', { nodeid: node, nlookup: 1 });
    const batch = [pack('batch_forget_in', { count }), ...new Array<Buffer>(count).fill(one)];
    bench.give(frame('BATCH_FORGET', batch, { unique: 0 }));
    const left = fs.lookupsHeld;
    assert.ok(left > 0 && left < count, `${left} left after the first turn`);
    for (let turns = 0; turns < 5 && fs.lookupsHeld > 0; turns++) await new Promise(setImmediate);
    assert.equal(fs.lookupsHeld, 0);
  });

  // S2.8
  test('a name that does not exist may be answered as an entry without a node', () => {
    const { fs, bench } = fixture();
    const { attributes } = fs.root;
    fs.lookup = () => ({ node: 0, attributes, entryTtlMs: Number.POSITIVE_INFINITY, attributesTtlMs: -1 });
    const { payload } = bench.ask('LOOKUP', [nul('none')]);
    const entry = unpack('entry_out', payload);
    assert.deepEqual([entry.nodeid, entry.entry_valid, entry.attr_valid], [0, 0xffff_ffff, 0]);
    assert.ok(payload.subarray(40).every((byte) => byte === 0));
    bench.transport.refuse = [-Errno.ENOENT];
    bench.give(frame('LOOKUP', [nul('none')])); // nothing to give back
  });
});

describe('a reply is never longer than was asked', () => {
  test('whatever the file system returns', () => {
    const { fs, bench, lookup, open } = fixture();
    const node = lookup('file');
    const fh = open(node);
    fs.read = () => 11;
    assert.equal(bench.ask('READ', [pack('read_in', { fh, size: 10 })], { node }).error, -Errno.EIO);
    fs.readlink = () => Buffer.alloc(4096);
    assert.equal(bench.ask('READLINK', [], { node }).error, -Errno.EIO);
    fs.write = () => 11;
    const write = [pack('write_in', { fh, size: 10 }), Buffer.alloc(10)];
    assert.equal(bench.ask('WRITE', write, { node }).error, -Errno.EIO);
    assert.equal(bench.dispatcher.counters.defects, 2);
    assert.equal(bench.ask('READ', [pack('read_in', { fh, size: 2 << 20 })], { node }).error, -Errno.EINVAL);
  });

  test('also when it comes later', async () => {
    const { fs, bench, lookup, open } = fixture();
    const node = lookup('file');
    const fh = open(node);
    let released = 0;
    const release = (): void => void released++;
    for (const [outcome, error, length] of [
      [{ bytes: Buffer.alloc(11), release }, -Errno.EIO, 0],
      [{ bytes: Buffer.from('ten bytes.'), release }, 0, 10],
      [{ bytes: new Uint8Array(0), release }, 0, 0],
      [0, 0, 0],
      [5, -Errno.EIO, 0], // a count without bytes
      [-Errno.ESTALE, -Errno.ESTALE, 0],
    ] as const) {
      fs.read = () => Promise.resolve(outcome);
      assert.deepEqual(bench.give(frame('READ', [pack('read_in', { fh, size: 10 })], { node })), []);
      await tick();
      const reply = bench.transport.replies.at(-1)!;
      assert.deepEqual([reply.error, reply.payload.length], [error, length]);
    }
    assert.equal(released, 3);
    // Undeliverable: the buffer is given back all the same.
    fs.read = () => Promise.resolve({ bytes: Buffer.alloc(1), release });
    bench.transport.refuse = [-Errno.ENOENT];
    bench.give(frame('READ', [pack('read_in', { fh, size: 10 })], { node }));
    await tick();
    assert.equal(released, 4);
  });
});

describe('INTERRUPT', () => {
  function waiting() {
    const { fs, bench } = fixture();
    const read = Promise.withResolvers<{ bytes: Buffer; release: () => void }>();
    fs.read = () => read.promise;
    let released = 0;
    const finish = async (): Promise<void> => {
      read.resolve({ bytes: Buffer.from('late'), release: () => void released++ });
      await tick();
    };
    bench.give(frame('READ', [pack('read_in', { size: 100 })], { unique: 10, pid: 4711 }));
    const interrupt = () => bench.give(frame('INTERRUPT', [pack('interrupt_in', { unique: 10 })], { unique: 11 }));
    return { fs, bench, finish, interrupt, released: () => released };
  }

  // S9.3
  test('of a READ that waits: EINTR at once, and what comes later is given back', async () => {
    const { bench, finish, interrupt, released } = waiting();
    const replies = interrupt();
    assert.deepEqual(
      replies.map(({ unique, error }) => [unique, error]),
      [[10, -Errno.EINTR]],
    );
    assert.equal(bench.dispatcher.pending, 0);
    assert.deepEqual(interrupt(), []);
    await finish();
    assert.equal(bench.transport.replies.length, 1);
    assert.equal(released(), 1);
    assert.equal(bench.dispatcher.counters.interrupted, 1);
  });

  test('by a signal that does not end the process: the READ goes on, and is looked at again', async () => {
    const { bench, finish, interrupt, released } = waiting();
    bench.ending = false;
    assert.deepEqual(interrupt(), []);
    await finish();
    assert.equal(bench.transport.replies[0]?.payload.toString(), 'late');
    assert.equal(released(), 1);

    const second = waiting();
    second.bench.ending = false;
    second.interrupt();
    second.bench.ending = true; // killed while it waits
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(second.bench.transport.replies[0]?.error, -Errno.EINTR);
    await second.finish();
    assert.equal(second.bench.transport.replies.length, 1);
    second.bench.dispatcher.stop();
  });

  test('of what changes something, or of a request that is not waiting: nothing', async () => {
    const { bench, delayed } = fixture();
    delayed.add('mkdir');
    bench.give(frame('MKDIR', [pack('mkdir_in'), nul('d')], { unique: 10 }));
    assert.deepEqual(bench.give(frame('INTERRUPT', [pack('interrupt_in', { unique: 10 })], { unique: 11 })), []);
    assert.deepEqual(bench.give(frame('INTERRUPT', [pack('interrupt_in', { unique: 98 })], { unique: 99 })), []);
    assert.deepEqual(bench.give(frame('INTERRUPT', [], { unique: 13 })), []);
    await tick();
    assert.deepEqual(
      bench.transport.replies.map(({ unique, error }) => [unique, error]),
      [[10, 0]],
    );
    assert.equal(bench.dispatcher.counters.malformed, 1);
  });
});

test('what settles when the connection is gone is not sent, and what it hands out is given back', async () => {
  const { fs, bench, delayed } = fixture();
  for (const name of ['lookup', 'create']) delayed.add(name);
  bench.give(frame('LOOKUP', [nul('file')], { unique: 10 }));
  bench.give(frame('LOOKUP', [nul('none')], { unique: 12 }));
  bench.give(frame('CREATE', [pack('create_in', { mode: 0o644 }), nul('new')], { unique: 14 }));
  bench.dispatcher.stop(); // the number of its descriptor may be another file's from now on
  await tick();
  assert.deepEqual(bench.transport.replies, []);
  assert.deepEqual([fs.lookupsHeld, fs.handlesHeld, bench.dispatcher.pending], [0, 0, 0]);
  assert.deepEqual(bench.logged, []);
});

test('the data of a WRITE that is answered later stays as it was, however many come meanwhile', async () => {
  const { fs, bench } = fixture();
  const kept: Uint8Array[] = [];
  const done: (() => void)[] = [];
  fs.write = (_node, _handle, _offset, data) => {
    kept.push(data);
    return new Promise((resolve) => done.push(() => resolve(data.length)));
  };
  for (let i = 0; i < 8; i++) {
    bench.give(frame('WRITE', [pack('write_in', { size: 4 }), Buffer.alloc(4, i)], { unique: 10 + i * 2 }));
  }
  for (const [i, data] of kept.entries()) assert.deepEqual([...data], [i, i, i, i]);
  for (const finish of done) finish();
  await tick();
  assert.equal(bench.transport.replies.length, 8);
  assert.equal(bench.dispatcher.pending, 0);
  assert.equal(kept.filter((data) => data.byteLength === 0).length, 6, 'all memory but that of two went back');
});
