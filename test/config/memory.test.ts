import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { memoryBudget, memoryLimit } from '../../src/config/memory.ts';

const made: string[] = [];
after(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true });
});

function machine(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'mlo-memory-'));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const MIB = 2 ** 20;

test('version 2: the lowest limit of the group and those above it', () => {
  const root = machine({
    'proc/self/cgroup': '0::/a/b\n',
    'sys/fs/cgroup/a/memory.max': `${512 * MIB}\n`,
    'sys/fs/cgroup/a/b/memory.max': 'max\n',
  });
  assert.deepEqual(memoryLimit(root), { bytes: 512 * MIB, from: 'cgroup v2' });
});

test('version 1: the memory controller of a line with several', () => {
  const root = machine({
    'proc/self/cgroup': '9:name=systemd:/\n4:cpu,memory:/job\n',
    'sys/fs/cgroup/memory/job/memory.limit_in_bytes': `${300 * MIB}\n`,
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
  });
  assert.deepEqual(memoryLimit(root), { bytes: 300 * MIB, from: 'cgroup v1' });
});

test('in a container the path of the group is not visible: the root of the tree counts', () => {
  const root = machine({ 'proc/self/cgroup': '0::/../../x\n', 'sys/fs/cgroup/memory.max': `${256 * MIB}\n` });
  assert.equal(memoryLimit(root).bytes, 256 * MIB);
});

test('without a limit it is the machine', () => {
  assert.deepEqual(memoryLimit(machine({})), { bytes: totalmem(), from: 'machine' });
});

test('the heap gets an eighth, within bounds, or what is said', () => {
  const limit = (bytes: number) => ({ bytes, from: 'machine' as const });
  assert.equal(memoryBudget('auto', limit(8192 * MIB)), 1024 * MIB);
  assert.equal(memoryBudget('auto', limit(256 * MIB)), 128 * MIB);
  assert.equal(memoryBudget('auto', limit(2 ** 40)), 4096 * MIB);
  assert.equal(memoryBudget(64 * MIB, limit(2 ** 40)), 64 * MIB);
});
