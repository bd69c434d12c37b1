/** ml-overlay mount SOURCE MOUNTPOINT, and what mount(8) calls. */

import type { DaemonRequest } from '../config/daemon-request.ts';
import { formatSize } from '../config/units.ts';
import { callDaemon } from '../control/client.ts';
import { findRecord } from '../control/registry.ts';
import { MloError } from '../errors.ts';
import type { Assembly } from './assemble.ts';
import { takeDeadAway } from './dead-mount.ts';
import { becomeDaemon, launchDaemon } from './launch.ts';
import { type MountWords, parseMountWords } from './mount-words.ts';
import { planMount } from './plan-mount.ts';

export async function run(words: string[]): Promise<number> {
  const parsed = parseMountWords(words);
  if (parsed === 'done') return 0;
  if (parsed.json && (parsed.all || parsed.foreground)) {
    const which = parsed.all ? '--all' : '--foreground';
    throw new MloError('MLO_USAGE', `mount: --json and ${which} exclude each other`, 'ml-overlay status --json');
  }
  if (parsed.all) return (await import('./mount-all.ts')).mountAll(parsed);
  return mountOne(parsed);
}

export async function mountOne(words: MountWords): Promise<number> {
  const request = await planMount(words);
  await takeDeadAway(request);
  if (request.foreground) becomeDaemon(request);
  await launchDaemon(request);
  if (words.json) console.log(JSON.stringify(await described(request), null, 2));
  else if (process.stdout.isTTY && !words.byHelper) console.log(oneLine(await described(request)));
  return 0;
}

type CachePlace = Assembly['effective']['cache'];

export interface MountedMount {
  source: string;
  mountpoint: string;
  /** Null where the daemon has ended since. */
  pid: number | null;
  socket: string | null;
  log: string | null;
  cache: CachePlace | null;
}

async function described({ source, mountpoint, runtimeDirectory }: DaemonRequest): Promise<MountedMount> {
  const record = findRecord(runtimeDirectory, mountpoint);
  if (record === undefined) return { source, mountpoint, pid: null, socket: null, log: null, cache: null };
  const { pid, socket, log } = record;
  const status = await callDaemon(socket, 'GET', '/status', { timeoutMs: 2000 }).catch(() => undefined);
  const cache = (status as unknown as Pick<Assembly, 'effective'> | undefined)?.effective.cache ?? null;
  return { source: record.source, mountpoint, pid, socket, log, cache };
}

export function oneLine({ source, mountpoint, pid, cache }: MountedMount): string {
  const kept =
    cache === null
      ? ''
      : cache === 'none'
        ? 'no cache, '
        : `cache ${formatSize(cache.sizeBytes)} in ${cache.tiers.map(({ path }) => path).join(' and ')}, `;
  return `${source} on ${mountpoint}: ${kept}${pid === null ? 'its daemon has ended' : `pid ${pid}`}`;
}
