/** What a figure was measured on, and with which versions: part of every result. */
import { execFileSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { resolve } from 'node:path';

function say(command: string, args: string[]): string | undefined {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  16914836: 'tmpfs',
  2435016766: 'btrfs',
  2035054128: 'overlayfs',
  1702057286: 'fuse',
};

export function fileSystemOf(path: string): string {
  const { type } = statfsSync(path);
  return FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`;
}

export function machine(python: string | undefined): Record<string, string | number | undefined> {
  const root = resolve(import.meta.dirname, '../..');
  const torch = python && say(python, ['-c', 'import torch; print(torch.__version__)']);
  return {
    date: new Date().toISOString(),
    processors: availableParallelism(),
    processor: cpus()[0]?.model,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    distribution: /^PRETTY_NAME="(.*)"/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1],
    node: process.version,
    torch: torch || undefined,
    bindfs: say('bindfs', ['--version'])?.split('\n')[0],
    commit: say('git', ['-C', root, 'describe', '--always', '--dirty']),
    version: (JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { version: string }).version,
  };
}
