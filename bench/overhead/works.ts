/** What is read: files of the source, in samples of a fraction of a second. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeFiles } from '../support/images.ts';

export interface Work {
  name: string;
  /** A file with a path a line, beneath the source's root. */
  list: string;
  /** Of one read. */
  bufferBytes: number;
  /** What is counted: files, or MiB. */
  unit: string;
  units: number;
  /** Whether the difference has a bound here. */
  bounded: boolean;
}

const MIB = 1 << 20;
const LARGE_FILES = 4;

/** Makes the source and, beside it, the lists. */
export function makeWorks(directory: string, quick: boolean): { source: string; works: Work[] } {
  const source = join(directory, 'source');
  const files = quick ? 300 : 1000;
  const megabytes = quick ? 16 : 64;
  makeFiles(join(source, 'small'), files, 10);
  makeFiles(join(source, 'tiny'), files, 10, 4096);
  const large = Array.from({ length: LARGE_FILES }, (_, number) => `large-${number}`);
  for (const name of large) makeLarge(join(source, name), megabytes);
  const listOf = (name: string, paths: string[]): string => {
    const list = join(directory, `${name}.list`);
    writeFileSync(list, `${paths.join('\n')}\n`);
    return list;
  };
  const small = { bufferBytes: 256 * 1024, unit: 'file', units: files };
  return {
    source,
    works: [
      { name: 'small files', list: listOf('small', filesBelow(source, 'small')), ...small, bounded: true },
      {
        name: 'sequential',
        list: listOf('large', large),
        bufferBytes: MIB,
        unit: 'MiB',
        units: LARGE_FILES * megabytes,
        bounded: true,
      },
      // Nothing but opening: the most that telemetry can be seen by. For orientation.
      { name: 'files of 4 KiB', list: listOf('tiny', filesBelow(source, 'tiny')), ...small, bounded: false },
    ],
  };
}

function filesBelow(source: string, folder: string): string[] {
  return readdirSync(join(source, folder)).flatMap((name) =>
    readdirSync(join(source, folder, name)).map((file) => join(folder, name, file)),
  );
}

function makeLarge(path: string, megabytes: number): void {
  const noise = randomBytes(MIB);
  const fd = openSync(path, 'w');
  for (let at = 0; at < megabytes; at++) writeSync(fd, noise);
  closeSync(fd);
}
