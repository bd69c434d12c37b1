/** How much memory there is to be had: the control group's limit where there is one, else the machine's. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

const MIB = 2 ** 20;
const LEAST = 128 * MIB;
const MOST = 4096 * MIB;
const METADATA_MOST = 64 * MIB;
/** The limit of version 1 that means none is near 2^63. */
const NO_LIMIT = 2 ** 60;

export interface MemoryLimit {
  bytes: number;
  from: 'cgroup v2' | 'cgroup v1' | 'machine';
}

/** `root`: where /proc and /sys are; another for tests. */
export function memoryLimit(root = ''): MemoryLimit {
  const groups = read(`${root}/proc/self/cgroup`).split('\n');
  const unified = groups.find((line) => line.startsWith('0::'))?.slice(3);
  const memory = groups.find((line) => line.split(':')[1]?.split(',').includes('memory'))?.replace(/^[^:]*:[^:]*:/, '');
  let best: MemoryLimit = { bytes: totalmem(), from: 'machine' };
  const consider = (bytes: number, from: MemoryLimit['from']): void => {
    if (bytes > 0 && bytes < NO_LIMIT && bytes < best.bytes) best = { bytes, from };
  };
  for (const path of ancestors(unified)) consider(number(`${root}/sys/fs/cgroup${path}/memory.max`), 'cgroup v2');
  for (const path of ancestors(memory)) {
    consider(number(`${root}/sys/fs/cgroup/memory${path}/memory.limit_in_bytes`), 'cgroup v1');
  }
  return best;
}

/** Limit of the daemon's heap, in bytes. */
export function memoryBudget(wish: number | 'auto', limit: MemoryLimit = memoryLimit()): number {
  return wish === 'auto' ? Math.min(MOST, Math.max(LEAST, limit.bytes / 8)) : wish;
}

/** For what is known of names and attributes, in bytes: part of the heap, of a large one as much as some 100,000 names take. */
export function metadataBudget(wish: number | 'auto', heapBytes: number): number {
  return wish === 'auto' ? Math.min(METADATA_MOST, heapBytes / 8) : wish;
}

/** The group and every group above it: each one's limit holds. In a container the path may not be visible from within. */
function ancestors(path: string | undefined): string[] {
  if (path === undefined) return [];
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return [...parts.map((_, at) => `/${parts.slice(0, at + 1).join('/')}`), ''];
}

function number(path: string): number {
  const text = read(path).trim();
  return text === '' || text === 'max' ? 0 : Number(text);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
