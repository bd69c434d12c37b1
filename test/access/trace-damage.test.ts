/** Traces that were cut, corrupted or made up: read up to the damage and on after it, never wrongly. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { Readers } from '../../src/access/data-set-readers.ts';
import { From } from '../../src/access/observer.ts';
import { Recorder } from '../../src/access/recorder.ts';
import { BLOCK_MARKER, END_MARKER, Head, type TraceEvent } from '../../src/access/trace-format.ts';
import { MloError } from '../../src/errors.ts';
import { FakeFile, handleOf, readAll, traceFile } from './trace-support.ts';

let whole: Buffer;
let events: TraceEvent[];
/** Of each, all but names. */
let originals: string[];
/** Where each block begins, the last one the end. */
let blocks: number[];

before(async () => {
  const recorder = new Recorder({
    readers: new Readers((thread) => ({ pid: thread, command: 'reader', job: 1 })),
    about: { mountpoint: '/m', source: '/s', version: '0' },
  });
  const file = traceFile();
  await recorder.start({ file, maxBytes: 64 * 1024 }); // blocks of 16 KiB
  const files = Array.from({ length: 400 }, (_, i) => new FakeFile(`data/set/${i % 7}/some image ${i}.jpg`, i));
  for (let i = 0; recorder.recording !== undefined; i++) {
    const handle = handleOf(files[(i * 13) % files.length]!);
    const now = performance.now();
    recorder.recording.opened(handle, 10 + (i % 3), i % 2 === 0, now, now);
    recorder.recording?.read(handle, 10, i * 512, 512, From.TIER, now, now);
    recorder.recording?.read(handle, 11, i * 512 + 512, -5, From.STORE, now, now);
    recorder.recording?.released(handle, now);
    if (i % 100 === 0) await new Promise(setImmediate);
  }
  await recorder.stop();
  whole = readFileSync(file);
  events = readAll(file).events;
  originals = events.map(bare);
  blocks = [];
  for (let at = whole.indexOf('MLOB'); at >= 0 && at < whole.length; ) {
    blocks.push(at);
    at += Head.BYTES + whole.readUInt32LE(at + Head.PAYLOAD_BYTES);
  }
  assert.ok(blocks.length >= 4, `${blocks.length} blocks`);
});

function read(bytes: Uint8Array): { events: TraceEvent[]; damage: string[] } {
  const file = traceFile();
  writeFileSync(file, bytes);
  return readAll(file);
}

/** Events of the block with that index; undefined times are not compared. */
function eventsBefore(block: number): number {
  return blocks.slice(0, block).reduce((sum, at) => sum + whole.readUInt32LE(at + Head.EVENTS), 0);
}

/** All of an event but names, which can be missing. */
function bare(event: TraceEvent): string {
  return JSON.stringify(event, (key, value: unknown) => (key === 'file' || key === 'by' ? undefined : value));
}

/** Every event is one of the originals, in their order; names may be missing. */
function assertPartOf(found: readonly TraceEvent[]): void {
  let at = 0;
  for (const event of found) {
    const wanted = bare(event);
    while (at < events.length && originals[at] !== wanted) at++;
    assert.ok(at < events.length, 'an event that was never recorded, or out of order');
    const original = events[at++]!;
    if (event.kind === 'lost' || original.kind === 'lost') continue;
    if (event.file !== undefined) assert.deepEqual(event.file, original.file);
    if ('by' in event && 'by' in original && event.by !== undefined) assert.deepEqual(event.by, original.by);
  }
}

describe('a trace that was cut', () => {
  test('it is read up to its last whole block, wherever it was cut, and says so', () => {
    const cuts = [...blocks, whole.length]
      .flatMap((at) => [at - 1, at, at + 1, at + Head.BYTES - 1, at + Head.BYTES, at + Head.BYTES + 50])
      .filter((at) => at >= blocks[0]! && at < whole.length);
    for (const cut of cuts) {
      const found = read(whole.subarray(0, cut));
      const complete = blocks.filter((_, i) => (blocks[i + 1] ?? whole.length) <= cut).length;
      assert.equal(found.events.length, eventsBefore(complete), `cut at ${cut}`);
      assert.deepEqual(found.events, events.slice(0, found.events.length));
      assert.ok(found.damage.length > 0, `cut at ${cut}`);
      if (cut > blocks[complete]!) assert.match(found.damage[0]!, /^it ends within/);
      else assert.match(found.damage[0]!, /no end/);
    }
  });

  test('within its header it is no trace', () => {
    for (let cut = 0; cut < blocks[0]!; cut++) assert.throws(() => read(whole.subarray(0, cut)), MloError);
  });
});

describe('a trace that was corrupted', () => {
  const changed = (at: number, to: (byte: number) => number): Buffer => {
    const bytes = Buffer.from(whole);
    bytes[at] = to(bytes[at]!);
    return bytes;
  };

  test('one changed byte in a block loses that block and nothing else', () => {
    const within = [0, 4, 8, 9, 12, 16, 24, 28, Head.BYTES, Head.BYTES + 1000];
    for (const [index, at] of blocks.slice(0, -1).entries()) {
      for (const offset of within) {
        const found = read(changed(at + offset, (byte) => byte ^ 0x41));
        const lost = eventsBefore(index + 1) - eventsBefore(index);
        assert.equal(found.events.length, events.length - lost, `byte ${offset} of block ${index}`);
        assertPartOf(found.events);
        assert.ok(found.damage.length > 0);
      }
    }
  });

  test('the end itself damaged: everything is read, and it has no end', () => {
    const found = read(changed(whole.length - 3, (byte) => byte ^ 1));
    assert.deepEqual(found.events, events);
    assert.match(found.damage.at(-1)!, /damaged/);
  });

  test('a block taken out, doubled or moved is told of; what follows stays right', () => {
    const [a, b, c] = blocks as [number, number, number];
    const out = read(Buffer.concat([whole.subarray(0, a), whole.subarray(b)]));
    assert.equal(out.events.length, events.length - eventsBefore(1));
    assertPartOf(out.events);
    assert.match(out.damage[0]!, /1 blocks before this one are missing/);
    const junk = read(
      Buffer.concat([whole.subarray(0, b), Buffer.from('MLOBjunk MLOE'.repeat(1000)), whole.subarray(b)]),
    );
    assert.deepEqual(junk.events, events);
    assert.match(junk.damage[0]!, /13000 bytes are left out/);
    const appended = read(Buffer.concat([whole, whole.subarray(a, c)]));
    assert.deepEqual(appended.events, events);
    assert.match(appended.damage[0]!, /follows its end/);
  });

  test('any damage: no exception, no event that was not recorded, most of it still there', () => {
    const damage = fc.array(
      fc.record({
        at: fc.nat(whole.length - 1),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
        cut: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(damage, (changes) => {
        let bytes = Buffer.from(whole);
        for (const { at, bytes: put, cut } of changes) {
          const where = Math.max(blocks[0]!, Math.min(at, bytes.length - 1));
          if (cut) bytes = Buffer.concat([bytes.subarray(0, where), bytes.subarray(where + put.length)]);
          else bytes.set(put.subarray(0, bytes.length - where), where);
        }
        const found = read(bytes);
        assertPartOf(found.events);
      }),
      { numRuns: 150 },
    );
  });
});

describe('what no recorder wrote', () => {
  /** A trace of blocks with right checksums. */
  function traceOf(
    payloads: readonly Uint8Array[],
    end = '{"reason":"stopped","events":0,"lost":0,"seconds":0}',
  ): Buffer {
    const parts: Buffer[] = [whole.subarray(0, blocks[0])];
    for (const [number, payload] of [...payloads, Buffer.from(end)].entries()) {
      const head = Buffer.alloc(Head.BYTES);
      head.writeUInt32LE(number === payloads.length ? END_MARKER : BLOCK_MARKER, Head.MARKER);
      head.writeUInt32LE(number, Head.NUMBER);
      head.writeUInt32LE(payload.length, Head.PAYLOAD_BYTES);
      head.writeUInt32LE(crc32(payload), Head.PAYLOAD_SUM);
      head.writeUInt32LE(crc32(head.subarray(0, Head.HEAD_SUM)), Head.HEAD_SUM);
      parts.push(head, Buffer.from(payload));
    }
    return Buffer.concat(parts);
  }

  test('blocks of anything, with right checksums, are read or told of', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), (payloads) => {
        const { events: found } = read(traceOf(payloads));
        for (const event of found) assert.ok(Number.isSafeInteger(event.atUs) || event.atUs > 0);
      }),
      { numRuns: 300 },
    );
  });

  test('records that make no sense are told of, and the next block is read', () => {
    const lost = [6, 5, 9];
    const wrong: [string, number[]][] = [
      ['kind 7', [7]],
      ['within a record', [2, 0x80]],
      ['too large', [6, ...Array(9).fill(0xff), 1]],
      ['too long', [0, 1, 0, 0, 0, 0, 9, 1, 65]],
      ['within a record', [0, 1, 0, 0, 0, 0, 0, 100, 65]],
    ];
    for (const [message, record] of wrong) {
      const found = read(traceOf([Buffer.from([...lost, ...record]), Buffer.from(lost)]));
      assert.deepEqual(
        found.events.map((event) => event.kind),
        ['lost', 'lost'],
        message,
      );
      assert.match(found.damage.join(), new RegExp(message));
    }
    assert.match(read(traceOf([], 'not json')).damage.join(), /no JSON/);
  });
});
