/** A dispatcher in front of a file system in memory with two files. */
import assert from 'node:assert/strict';
import { MemoryFileSystem } from '../support/memory-fs.ts';
import { Bench, nul, pack, unpack } from './frames.ts';

export const text = 'hello, world\n';
/** Lets promises and immediates run. */
export const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function fixture(later: string[] = []) {
  const delayed = new Set(later);
  const fs = new MemoryFileSystem({ ttlMs: 1500, later: (name) => delayed.has(name) });
  fs.addFile('file', text);
  fs.addFile('other', text);
  const bench = new Bench(fs);
  const lookup = (name: string): number => {
    const { error, payload } = bench.ask('LOOKUP', [nul(name)]);
    assert.equal(error, 0, name);
    return unpack('entry_out', payload).nodeid as number;
  };
  const open = (node: number): number => {
    const { error, payload } = bench.ask('OPEN', [pack('open_in', { flags: 2 })], { node });
    assert.equal(error, 0);
    return unpack('open_out', payload).fh as number;
  };
  return { fs, bench, delayed, lookup, open };
}

export function openDirectory(bench: Bench): number {
  const { payload } = bench.ask('OPENDIR', [pack('open_in')]);
  return unpack('open_out', payload).fh as number;
}
