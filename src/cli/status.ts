/** ml-overlay status [MOUNTPOINT] [--json | --ready] */
import { parseArgs } from 'node:util';
import { formatDuration, formatSize } from '../config/units.ts';
import { callDaemon } from '../control/client.ts';
import { isAlive } from '../control/processes.ts';
import { type MountRecord, readRecords, runtimeDirectory } from '../control/registry.ts';
import { asMloError, Exit, MloError } from '../errors.ts';
import { mountTable } from '../fuse/mount-table.ts';
import type { CacheStats, StatsDocument } from '../telemetry/stats.ts';
import type { EffectiveCache } from './cache-places.ts';
import { liveRecord } from './live-record.ts';
import { tierText } from './stats-page.ts';
import { clean } from './stats-text.ts';

export const help = `Usage: ml-overlay status [MOUNTPOINT] [--json]
       ml-overlay status MOUNTPOINT --ready

What is mounted, which capabilities are on, which way serves what, and whether it is healthy. Exit status 2 when a
mount does not answer.

  --ready   only whether the mount can serve, as a readiness probe asks: exit status 0 when its daemon answers and its
            source does too, within 2 seconds; else another, with the reason on standard error
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
    options: {
      json: { type: 'boolean', default: false },
      ready: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [mountpoint] = positionals;
  if (values.ready) return probe(mountpoint);
  if (mountpoint === undefined) return showAll(values.json);
  const status = await callDaemon(liveRecord(mountpoint).socket, 'GET', '/status');
  console.log(values.json ? JSON.stringify(status, null, 2) : describe(status as unknown as Status));
  return Exit.ok;
}

async function probe(mountpoint: string | undefined): Promise<number> {
  if (mountpoint === undefined) throw new MloError('MLO_USAGE', 'status --ready takes a MOUNTPOINT');
  const { ready, why } = await callDaemon(liveRecord(mountpoint).socket, 'GET', '/ready', { accept: 503 });
  if (ready === true) console.log('ready');
  else console.error(`not ready: ${String(why)}`);
  return ready === true ? Exit.ok : Exit.system;
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
    return {
      mountpoint,
      source,
      pid,
      health: `its daemon is gone: mount it again, or ml-overlay umount ${mountpoint}`,
    };
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
  /** Where metrics are served on TCP. */
  metrics: string | null;
  health: string;
  capabilities: { on: string[]; off: Record<string, string> };
  options: Record<string, { value: string; from: string }>;
  effective: {
    storeSpeed: string;
    attributesTtlMs: number;
    negativeTtlMs: number;
    cache: 'none' | EffectiveCache;
  };
  stats: StatsDocument;
}

function describe(status: Status): string {
  const { effective, stats, capabilities } = status;
  const { daemon, problems, opens, reads, writes, now } = stats;
  const lines: [string, string][] = [
    ['source', `${status.source} (${effective.storeSpeed})`],
    ['health', status.health],
    ['daemon', `pid ${status.pid}, version ${status.version}, Node ${status.node}, since ${status.mountedAt}`],
    [
      '',
      `${formatSize(daemon.residentBytes)} resident, ${daemon.cpuSeconds.toFixed(1)} s of CPU time${turns(stats.loop)}`,
    ],
    ['log', `${status.log} (${problems.warnings} warnings, ${problems.errors} errors, ${problems.defects} defects)`],
    ['transport', status.transport],
    ...(status.metrics === null ? [] : [['metrics', status.metrics] as [string, string]]),
    ['lease', `${formatDuration(effective.attributesTtlMs)}; missing names ${formatDuration(effective.negativeTtlMs)}`],
    ['cache', cacheText(effective.cache, stats.cache)],
    ...tierLines(stats.cache),
    ...pinLines(status.mountpoint, stats.cache),
    ['opens', `${opens.count}: ${ways(opens)}`],
    ['reads', `${reads.count} seen, ${formatSize(reads.bytes)}; ${reads.errors} failed`],
    ['writes', `${writes.count}, ${formatSize(writes.bytes)}`],
    ['open now', `${now.files} files, ${now.directories} directories; ${now.inodes} inodes known`],
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

/** The longest that a request had to wait for the thread, where it was noticeable. */
function turns(loop: StatsDocument['loop']): string {
  return loop === null || loop.long === 0 ? '' : `; longest turn ${loop.maxMs.toFixed(0)} ms`;
}

function scrubText({ scrub, damagedChunks }: CacheStats): string {
  if (scrub === null) return '';
  const damaged = damagedChunks > 0 ? `${damagedChunks} damaged chunks dropped; ` : '';
  return `${damaged}scrub ${scrub.state}, ${Math.floor(scrub.done * 100)} % of this pass; `;
}

function cacheText(place: Status['effective']['cache'], cache: CacheStats): string {
  if (place === 'none') return 'none';
  const { hits, misses, health } = cache;
  const where = place.tiers.length > 1 ? `${place.tiers.length} tiers` : place.directory;
  return (
    `${where}: ${formatSize(cache.bytes)} of ${formatSize(cache.sizeBytes)}, ` +
    `${cache.completeObjects} of ${cache.objects} objects complete; ${hits} hits (${formatSize(cache.hitBytes)}), ` +
    `${misses} misses (${formatSize(cache.missBytes)}); ${scrubText(cache)}${health}`
  );
}

/** A line for each of several. */
function tierLines({ tiers }: CacheStats): [string, string][] {
  return tiers.length > 1 ? tiers.map((tier) => ['tier', tierText(tier)]) : [];
}

/** A line for each pin. */
function pinLines(mountpoint: string, { pins }: CacheStats): [string, string][] {
  return pins.map(({ path, glob, files, bytes }) => {
    const what = path === null ? `-o pin=${glob}` : clean(path === '' ? mountpoint : `${mountpoint}/${path}`);
    return ['pinned', `${what}: ${files} files, ${formatSize(bytes)}`];
  });
}

function ways({ byWay, keptPages, stale, forWriting }: StatsDocument['opens']): string {
  const all: [number, string][] = [
    [keptPages, 'pages kept'],
    [byWay.source, 'source'],
    [byWay.sourcePassthrough, 'source by the kernel'],
    [byWay.tier, 'cache'],
    [byWay.tierPassthrough, 'cache by the kernel'],
    [forWriting, 'for writing'],
    [stale, 'looked up again'],
  ];
  const used = all.filter(([count]) => count > 0);
  return used.map(([count, text]) => `${count} ${text}`).join(', ') || '-';
}
