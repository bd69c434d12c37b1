import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { endsBySignal, wantsToEnd } from '../../src/fuse/interrupts.ts';

const bit = (signal: number): string => (1n << BigInt(signal - 1)).toString(16).padStart(16, '0');
const status = (own: string, shared: string, blocked: string): string =>
  `Name:\tx\nSigPnd:\t${own}\nShdPnd:\t${shared}\nSigBlk:\t${blocked}\n`;

test('a pending signal by which a process is ended counts, on the thread or the process, unless it is blocked', () => {
  const none = bit(64).replace('8', '0');
  for (const signal of [1, 2, 3, 6, 9, 15]) {
    assert.ok(endsBySignal(status(bit(signal), none, none)));
    assert.ok(endsBySignal(status(none, bit(signal), none)));
    assert.ok(!endsBySignal(status(none, bit(signal), bit(signal))));
  }
  for (const signal of [10, 12, 14, 17, 23, 26, 27, 34]) assert.ok(!endsBySignal(status(bit(signal), none, none)));
  assert.ok(!endsBySignal(''));
});

test('of a process that cannot be seen it is assumed; of one that runs undisturbed it is not', async () => {
  assert.ok(wantsToEnd(0));
  assert.ok(wantsToEnd(0x7fff_fff0));
  assert.ok(!wantsToEnd(process.pid));
  const child = spawn('sleep', ['60']);
  child.kill('SIGSTOP');
  await sleep(50);
  assert.ok(!wantsToEnd(child.pid ?? 0));
  child.kill('SIGTERM'); // stays pending while it is stopped
  await sleep(20);
  assert.ok(wantsToEnd(child.pid ?? 0));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.on('close', resolve));
});
