/** What a daemon holds: as the kernel says, and as it says itself. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { callDaemon } from '../../src/control/client.ts';
import { findRecord, runtimeDirectory } from '../../src/control/registry.ts';
import type { OverlayMount } from '../support/overlay-mount.ts';

export interface Sample {
  seconds: number;
  residentBytes: number;
  /** Without what is mapped from files: libraries, Node itself. */
  anonymousBytes: number;
  heapBytes: number;
  /** But those of files of the source and of the cache, which are kept open for the next read, as many as are in use now. */
  descriptors: number;
  keptDescriptors: number;
  threads: number;
  /** Timers that are running, and anything else that keeps the event loop busy. */
  timers: number;
  resources: number;
  inodes: number;
  files: number;
  pending: number;
}

/** Numbers of a sample that must not grow; without an entry a figure is only shown. */
export const columns = [
  'residentBytes',
  'anonymousBytes',
  'heapBytes',
  'descriptors',
  'keptDescriptors',
  'threads',
  'timers',
  'resources',
  'inodes',
  'files',
  'pending',
] as const satisfies readonly (keyof Sample)[];

export class Daemon {
  readonly mount: OverlayMount;
  readonly pid: number;
  readonly socket: string;
  readonly record: string;
  readonly #keeps: readonly string[];

  /** `keeps`: the source, and the cache where there is one. */
  constructor(mount: OverlayMount, keeps: readonly string[]) {
    const record = findRecord(runtimeDirectory(), mount.mountpoint);
    if (record === undefined) throw new Error(`no record of the mount at ${mount.mountpoint}`);
    this.mount = mount;
    this.#keeps = keeps.map((directory) => `${directory}/`);
    this.pid = record.pid;
    this.socket = record.socket;
    this.record = record.socket.replace(/\.sock$/, '.json');
  }

  /** Costs the daemon what a look at its statistics costs. */
  async stats(): Promise<void> {
    await callDaemon(this.socket, 'GET', '/stats');
  }

  async sample(seconds: number): Promise<Sample> {
    const status = (await callDaemon(this.socket, 'GET', '/status')) as unknown as Status;
    const memory = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const of = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(memory)?.[1] ?? Number.NaN);
    const kinds = status.debug.resources;
    const [descriptors, keptDescriptors] = this.#descriptors();
    return {
      seconds,
      residentBytes: of('VmRSS') * 1024,
      anonymousBytes: of('RssAnon') * 1024,
      heapBytes: status.stats.daemon.heapBytes,
      descriptors,
      keptDescriptors,
      threads: of('Threads'),
      timers: (kinds.Timeout ?? 0) + (kinds.Immediate ?? 0),
      resources: Object.values(kinds).reduce((sum, count) => sum + count, 0),
      inodes: status.stats.now.inodes,
      files: status.stats.now.files + status.stats.now.directories,
      pending: status.stats.now.pendingRequests,
    };
  }

  /** Those of its own, and those of files that it keeps. */
  #descriptors(): [own: number, kept: number] {
    const directory = `/proc/${this.pid}/fd`;
    const all = readdirSync(directory);
    const kept = all.filter((name) => this.#keeps.some((place) => target(`${directory}/${name}`).startsWith(place)));
    return [all.length - kept.length, kept.length];
  }
}

interface Status {
  debug: { resources: Record<string, number> };
  stats: {
    daemon: { heapBytes: number };
    now: { inodes: number; files: number; directories: number; pendingRequests: number };
  };
}

/** Where a link leads; '' when it is gone. */
function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}
