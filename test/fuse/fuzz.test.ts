import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Opcode } from '../../src/fuse/abi.ts';
import { fuzz } from './fuzz.ts';

const count = Number(process.env.MLO_FUZZ_COUNT ?? 50_000);

// S9.6
test(`${count} mutants of every opcode: no exception, no hang, one well-formed reply each, never longer than asked`, async () => {
  const result = await fuzz(count, 1);
  assert.equal(result.frames, count);
  const refused = ['GETLK', 'SETLK', 'SETLKW', 'BMAP', 'IOCTL', 'POLL', 'SYNCFS', 'SETUPMAPPING', 'REMOVEMAPPING'];
  const quiet = ['FORGET', 'BATCH_FORGET', 'INTERRUPT', 'NOTIFY_REPLY', 'INIT'];
  for (const [name, opcode] of Object.entries(Opcode)) {
    if (refused.includes(name) || quiet.includes(name)) continue;
    assert.ok(result.reached.has(String(opcode)), `no mutant of ${name} was served`);
  }
  assert.ok(result.slowestMs < 1000, `one took ${result.slowestMs} ms`);
});
