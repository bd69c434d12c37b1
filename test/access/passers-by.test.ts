/** Which processes pass by: told by their names. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PassersBy } from '../../src/access/passers-by.ts';
import { temporaryDirectory } from '../support/mounts.ts';

/** A process of that name, and its end. */
async function processNamed(name: string): Promise<{ pid: number; end: () => void }> {
  const program = join(temporaryDirectory('bin'), name);
  symlinkSync('/usr/bin/sleep', program);
  const child = spawn(program, ['60'], { stdio: 'ignore' });
  const pid = child.pid!;
  for (let tries = 0; readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== name.slice(0, 15); tries++) {
    assert.ok(tries < 500, `${name} has begun`);
    await sleep(10);
  }
  return { pid, end: () => child.kill('SIGKILL') };
}

test('a process is told by its whole name, by what the kernel keeps of it, or by a glob', async () => {
  const scanner = await processNamed('scanner-with-a-long-name');
  try {
    const passes = (...names: string[]): boolean => new PassersBy(names).has(scanner.pid, 0);
    assert.ok(passes('other', 'scanner-with-a-long-name'));
    assert.ok(passes('scanner-with-a-'));
    assert.ok(passes('scan*'));
    assert.ok(!passes('scanner', 'long-name', 'Scanner*'));
  } finally {
    scanner.end();
  }
});

test('what cannot be seen passes by nobody', () => {
  const all = new PassersBy(['*']);
  assert.ok(all.has(process.pid, 0));
  assert.ok(!all.has(0, 0));
  assert.ok(!all.has(2 ** 22 + 1, 0));
});

test('what a thread was found to be is believed for a second', async () => {
  const scanner = await processNamed('scanner');
  const passersBy = new PassersBy(['scanner']);
  assert.ok(passersBy.has(scanner.pid, 0));
  scanner.end();
  while (new PassersBy(['scanner']).has(scanner.pid, 0)) await sleep(10);
  assert.ok(passersBy.has(scanner.pid, 999));
  assert.ok(!passersBy.has(scanner.pid, 1000));
});
