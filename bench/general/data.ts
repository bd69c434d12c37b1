/** The data of the general suite, made once a run below one root; each set is a file or a folder. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { makeFiles } from '../support/images.ts';
import { must, run } from '../support/processes.ts';
import type { DataSet, Facts, Sizes } from '../works/index.ts';

const MiB = 2 ** 20;

export const standard: Sizes = {
  files: 1_000,
  largeBytes: 512 * MiB,
  shards: 16,
  shardBytes: 64 * MiB,
  bigBytes: 2 ** 31,
  treeFiles: 800,
  reads: 200,
  rows: 400,
  created: 120,
  checkpointBytes: 2 ** 31,
};

export const quick: Sizes = {
  files: 160,
  largeBytes: 32 * MiB,
  shards: 8,
  shardBytes: 4 * MiB,
  bigBytes: 64 * MiB,
  treeFiles: 200,
  reads: 60,
  rows: 100,
  created: 24,
  checkpointBytes: 64 * MiB,
};

const MODULES = 60;
export const READERS = resolve(import.meta.dirname, '../readers');

export interface Data {
  facts: Facts;
  /** Paths of the small files beneath "files". */
  names: string[];
}

/** `torch`: import PyTorch itself where `python` has it. */
export async function makeData(
  root: string,
  sizes: Sizes,
  sets: ReadonlySet<DataSet>,
  python: string,
  torch: boolean,
): Promise<Data> {
  mkdirSync(join(root, 'new'), { recursive: true });
  const facts: Facts = { sizes, filesBytes: 0, samples: 0, shardsBytes: 0, module: 'none' };
  let names: string[] = [];
  if (sets.has('files')) {
    const files = join(root, 'files');
    facts.filesBytes = makeFiles(files, sizes.files, 10);
    names = readdirSync(files).flatMap((folder) => readdirSync(join(files, folder)).map((name) => join(folder, name)));
  }
  if (sets.has('large')) fill(join(root, 'large'), sizes.largeBytes);
  if (sets.has('big')) fill(join(root, 'big'), sizes.bigBytes);
  if (sets.has('shards')) {
    mkdirSync(join(root, 'shards'));
    const args = [
      join(READERS, 'make_shards.py'),
      join(root, 'shards'),
      String(sizes.shards),
      String(sizes.shardBytes),
    ];
    const said = JSON.parse((await must(python, args)).stdout) as { samples: number; bytes: number };
    facts.samples = said.samples;
    facts.shardsBytes = said.bytes;
  }
  if (sets.has('tree')) makeTree(join(root, 'tree'), sizes.treeFiles);
  if (sets.has('site')) facts.module = await makeSite(join(root, 'site'), python, torch);
  await must('sync', []);
  return { facts, names };
}

function fill(path: string, bytes: number): void {
  const noise = randomBytes(16 * MiB);
  const fd = openSync(path, 'w');
  for (let at = 0; at < bytes; ) at += writeSync(fd, noise, 0, Math.min(noise.length, bytes - at), at);
  closeSync(fd);
}

function makeTree(path: string, files: number): void {
  for (let folder = 0; folder < 20; folder++) {
    const directory = join(path, `folder-${folder}`);
    mkdirSync(directory, { recursive: true });
    for (let at = folder; at < files; at += 20) writeFileSync(join(directory, `file-${at}`), 'x');
  }
}

/** PyTorch's Python files and extension modules, or a package of ours; returns the name to import. */
async function makeSite(site: string, python: string, torch: boolean): Promise<string> {
  mkdirSync(site);
  const asked = torch
    ? await run(python, ['-c', 'import torch; print(torch.__file__)'], { timeoutSeconds: 60 })
    : undefined;
  const from = asked?.code === 0 ? dirname(asked.stdout.trim()) : undefined;
  if (from !== undefined && existsSync(from)) {
    cpSync(from, join(site, 'torch'), { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() });
    copyLibraries(join(from, 'lib'), join(site, 'torch/lib'));
    return 'torch';
  }
  const directory = join(site, 'benchpackage');
  mkdirSync(directory);
  const modules = Array.from({ length: MODULES }, (_, number) => `part_${number}`);
  writeFileSync(join(directory, '__init__.py'), modules.map((name) => `from . import ${name}\n`).join(''));
  const body = Array.from({ length: 200 }, (_, line) => `def function_${line}(x):\n    return x + ${line}\n`).join(
    '\n',
  );
  for (const name of modules) writeFileSync(join(directory, `${name}.py`), body);
  await must(python, ['-m', 'compileall', '-q', directory]);
  return 'benchpackage';
}

/**
 * Debian's PyTorch links its libraries from the system's directory. Here they are files, under the names that the link and
 * its target have, as in a wheel: the import maps them from the mount (`import_module.py` sees to that).
 */
function copyLibraries(from: string, to: string): void {
  if (!existsSync(from)) return;
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    const path = join(from, name);
    if (!lstatSync(path).isSymbolicLink() || !existsSync(path)) continue;
    copyFileSync(path, join(to, name));
    const other = join(to, basename(readlinkSync(path)));
    if (!existsSync(other)) linkSync(join(to, name), other);
  }
}
