/** One figure each, always "higher is better" per second unless it says otherwise. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scripts, startLoader } from '../support/loader.ts';
import { must } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import type { System, SystemName } from './systems.ts';

export interface Sizes {
  sequentialBytes: number;
  files: number;
  folders: number;
  statFiles: number;
  created: number;
}

export interface Context {
  scope: Scope;
  python: string;
  work: string;
  sizes: Sizes;
  /** Of the small files, below the source. */
  names: string[];
}

export interface Measure {
  name: string;
  unit: string;
  systems: SystemName[];
  /** Of what a memory file system does: on a disk it would be the disk's file system that is measured. */
  inMemory?: boolean;
  /** Brings the system to the warm state that is measured; not timed. */
  warm?(context: Context, system: System): Promise<void>;
  measure(context: Context, system: System, round: number): Promise<number>;
}

async function readFiles(context: Context, paths: string[], args: string[]): Promise<number> {
  const list = join(context.work, 'list');
  writeFileSync(list, `${paths.join('\n')}\n`);
  const { stdout } = await must(context.python, [scripts.readFiles, list, ...args]);
  return (JSON.parse(stdout) as { seconds: number }).seconds;
}

const sequential: Measure = {
  name: 'sequential read, warm',
  unit: 'GB/s',
  systems: ['native', 'bindfs', 'overlay', 'no passthrough', 'served'],
  async warm(context, system) {
    await this.measure(context, system, 0);
  },
  async measure(context, system) {
    const args = ['--readers', '1', '--buffer', String(1 << 20)];
    const seconds = await readFiles(context, [join(system.path, 'large')], args);
    return context.sizes.sequentialBytes / seconds / 1e9;
  },
};

const shuffled: Measure = {
  name: 'small files, shuffled, two readers',
  unit: 'files/s',
  systems: ['native', 'bindfs', 'overlay', 'immutable', 'passthrough', 'no passthrough', 'served'],
  async warm(context, system) {
    await this.measure(context, system, 0);
  },
  async measure(context, system, round) {
    const paths = context.names.map((name) => join(system.path, 'files', name));
    const seconds = await readFiles(context, paths, ['--readers', '2', '--seed', String(round)]);
    return context.sizes.files / seconds;
  },
};

const dataLoader: Measure = {
  name: 'small files, DataLoader, two workers',
  unit: 'files/s',
  systems: ['native', 'bindfs', 'overlay', 'immutable', 'served'],
  async measure(context, system, round) {
    const root = join(system.path, 'files');
    const options = { python: context.python, root, decode: false, epochs: 2, persistent: true, seed: round };
    const loader = await startLoader(context.scope, options);
    await loader.epoch(); // warms the mount, and the workers are started
    const { files, seconds } = await loader.epoch();
    await loader.end();
    return files / seconds;
  },
};

const FIND_REPEATS = 5;
const find: Measure = {
  name: 'find with stat, warm',
  unit: 'files/s',
  systems: ['native', 'bindfs', 'overlay'],
  async warm(context, system) {
    await this.measure(context, system, 0);
  },
  async measure(context, system) {
    const script = `for n in $(seq ${FIND_REPEATS}); do find "$0" -printf '%s\\n' >/dev/null || exit 1; done`;
    const { seconds } = await must('sh', ['-c', script, join(system.path, 'tree')]);
    return (context.sizes.statFiles * FIND_REPEATS) / seconds;
  },
};

const create: Measure = {
  name: 'create and remove',
  unit: 'files/s',
  systems: ['native', 'bindfs', 'writable'],
  // An ext4 without a journal passes over the inodes of files removed in the last minute one by one when it makes new ones:
  // forty times what it costs otherwise, for each of those compared.
  inMemory: true,
  async measure(context, system) {
    const directory = system.path;
    const script = scripts.createFiles;
    const { stdout } = await must(context.python, [script, directory, String(context.sizes.created)]);
    const { createSeconds, removeSeconds } = JSON.parse(stdout) as Record<string, number>;
    return context.sizes.created / (createSeconds! + removeSeconds!);
  },
};

export const measures: readonly Measure[] = [sequential, shuffled, dataLoader, find, create];
