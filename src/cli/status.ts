/** ml-overlay status [MOUNTPOINT] [--json] */
import { parseArgs } from 'node:util';
import { formatDuration, formatSize } from '../config/units.ts';
import { callDaemon } from '../control/client.ts';
import { isAlive } from '../control/processes.ts';
import { type MountRecord, readRecords, runtimeDirectory } from '../control/registry.ts';
import { asMloError, Exit } from '../errors.ts';
import { mountTable } from '../fuse/mount-table.ts';
import { liveRecord } from './live-record.ts';

export const help = `Usage: ml-overlay status [MOUNTPOINT] [--json]

What is mounted, which capabilities are on, which way serves what, and whether it is healthy. Exit status 2 when a
mount does not answer.
`;

/** Another user's, or of a program that uses the library. */
const ELSEWHERE = "not mounted by this user's ml-overlay";

interface Line {
  mountpoint: string;
  source: string;
  pid: number | undefined;
  /** "ok", or what is wrong. */
  health: string;
}

export async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [mountpoint] = positionals;
  if (mountpoint === undefined) return showAll(values.json);
  const status = await callDaemon(liveRecord(mountpoint).socket, 'GET', '/status');
  console.log(values.json ? JSON.stringify(status, null, 2) : describe(status as unknown as Status));
  return Exit.ok;
}

async function showAll(json: boolean): Promise<number> {
  const lines = await Promise.all(known().map(([mount, record]) => look(mount, record)));
  if (json) console.log(JSON.stringify(lines, null, 2));
  else if (lines.length === 0) console.log('no ml-overlay is mounted');
  for (const { mountpoint, source, pid, health } of json ? [] : lines) {
    console.log(`${mountpoint}  from ${source}  ${pid === undefined ? '' : `pid ${pid}  `}${health}`);
  }
  return lines.every(({ health }) => health === 'ok' || health === ELSEWHERE) ? Exit.ok : Exit.system;
}

interface Mount {
  mountpoint: string;
  source: string;
}

/** What the kernel has mounted, with its record; and records of living daemons whose mount is gone. */
function known(): [Mount, MountRecord | undefined][] {
  const records = readRecords(runtimeDirectory());
  const mounts = mountTable().filter(({ type }) => type === 'fuse.ml-overlay');
  const found = mounts.map((mount): [Mount, MountRecord | undefined] => [
    mount,
    records.find(({ mountpoint, device }) => mountpoint === mount.mountpoint && device === mount.device),
  ]);
  const lost = records.filter((record) => isAlive(record) && !found.some(([, known]) => known === record));
  return [...found, ...lost.map((record): [Mount, MountRecord] => [record, record])];
}

async function look({ mountpoint, source }: Mount, record: MountRecord | undefined): Promise<Line> {
  if (record === undefined) return { mountpoint, source, pid: undefined, health: ELSEWHERE };
  const { pid } = record;
  if (!isAlive(record))
    return { mountpoint, source, pid, health: `its daemon is gone: ml-overlay umount ${mountpoint}` };
  try {
    const { health } = await callDaemon(record.socket, 'GET', '/status', { timeoutMs: 3000 });
    return { mountpoint, source, pid, health: String(health) };
  } catch (error) {
    return { mountpoint, source, pid, health: asMloError(error).message };
  }
}

interface Status {
  mountpoint: string;
  source: string;
  pid: number;
  version: string;
  node: string;
  mountedAt: string;
  log: string;
  transport: string;
  readaheadSet: boolean;
  health: string;
  capabilities: { on: string[]; off: Record<string, string> };
  options: Record<string, { value: string; from: string }>;
  effective: {
    storeSpeed: string;
    attributesTtlMs: number;
    negativeTtlMs: number;
    cache: 'none' | { directory: string; sizeBytes: number };
  };
  stats: {
    overlay: Record<string, number>;
    cache: null | Record<string, number | string>;
    process: { residentBytes: number; cpuSeconds: number; upSeconds: number };
    problems: { warn: number; error: number; defects: number };
  };
}

function describe(status: Status): string {
  const { effective, stats, capabilities } = status;
  const { overlay, process: usage, problems, cache } = stats;
  const n = (name: string): number => overlay[name] ?? 0;
  const lines: [string, string][] = [
    ['source', `${status.source} (${effective.storeSpeed})`],
    ['health', status.health],
    ['daemon', `pid ${status.pid}, version ${status.version}, Node ${status.node}, since ${status.mountedAt}`],
    ['', `${formatSize(usage.residentBytes)} resident, ${usage.cpuSeconds.toFixed(1)} s of CPU time`],
    ['log', `${status.log} (${problems.warn} warnings, ${problems.error} errors, ${problems.defects} defects)`],
    ['transport', status.transport],
    ['lease', `${formatDuration(effective.attributesTtlMs)}; missing names ${formatDuration(effective.negativeTtlMs)}`],
    ['cache', cache === null ? 'none' : cacheText(cache)],
    ['opens', `${n('opens')}: ${ways(overlay)}`],
    ['reads', `${n('reads')} seen, ${formatSize(n('readBytes'))}; ${n('readErrors')} failed`],
    ['writes', `${n('writes')}, ${formatSize(n('writeBytes'))}`],
    ['open now', `${n('openFiles')} files, ${n('openDirectories')} directories; ${n('inodes')} inodes known`],
    ['on', capabilities.on.join(' ') || '-'],
  ];
  for (const [name, why] of Object.entries(capabilities.off)) lines.push(['off', `${name}: ${why}`]);
  if (!status.readaheadSet) lines.push(['', 'readahead stays as the kernel has it']);
  for (const [name, { value, from }] of Object.entries(status.options)) {
    if (from !== 'default') lines.push(['option', `${name}=${value} (${from})`]);
  }
  const rest = Object.entries(status.options).filter(([, { from }]) => from === 'default');
  lines.push(['default', rest.map(([name, { value }]) => `${name}=${value}`).join(' ')]);
  return [status.mountpoint, ...lines.map(([name, text]) => `  ${name.padEnd(10)} ${text}`)].join('\n');
}

function cacheText(cache: Record<string, number | string>): string {
  const size = (name: string): string => formatSize(Number(cache[name] ?? 0));
  return (
    `${cache.directory}: ${size('usedBytes')} of ${size('sizeBytes')}, ${cache.completeObjects} of ${cache.objects} objects ` +
    `complete; ${cache.hits} hits (${size('hitBytes')}), ${cache.misses} misses (${size('missBytes')}); ${cache.health}`
  );
}

const wayNames: Readonly<Record<string, string>> = {
  opensKeptPages: 'pages kept',
  opensSource: 'source',
  opensSourcePassthrough: 'source by the kernel',
  opensTier: 'cache',
  opensTierPassthrough: 'cache by the kernel',
  opensForWriting: 'for writing',
  opensStale: 'looked up again',
};

function ways(overlay: Record<string, number>): string {
  const used = Object.entries(wayNames).filter(([name]) => (overlay[name] ?? 0) > 0);
  return used.map(([name, text]) => `${overlay[name]} ${text}`).join(', ') || '-';
}
