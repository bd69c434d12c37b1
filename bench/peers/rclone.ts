import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountDaemon, saysVersion } from './daemon.ts';
import type { Peer } from './peer.ts';

const OPTIONS = ['--vfs-cache-mode', 'full', '--vfs-fast-fingerprint', '--vfs-read-ahead', '128M', '--no-checksum'];
/** rclone looks at its cache's size once a minute; a cache smaller than the data would not be one for that long. */
const SMALL_CACHE = ['--vfs-cache-poll-interval', '1s'];
const SETTLE_SECONDS = 120;

/** What is still to be uploaded has no other mark on disk than its metadata saying "Dirty": so wait for rclone's own delay. */
const WRITE_BACK_SECONDS = 5;

export const rclone: Peer = {
  name: 'rclone',
  command: 'rclone',
  settings: `${OPTIONS.join(' ')}; with a small cache ${SMALL_CACHE.join(' ')}`,
  because:
    'rclone mount, VFS File Caching: full for reading again, fast fingerprints for local, a large read-ahead on disk',
  version: () => saysVersion('rclone', ['version']),
  unable: () => undefined,
  mount: (scope, { source, mountpoint, cache, cacheBytes, half, writes, home }) =>
    mountDaemon(scope, {
      command: 'rclone',
      args: [
        'mount',
        source,
        mountpoint,
        ...OPTIONS,
        ...(half ? SMALL_CACHE : []),
        ...(writes ? [] : ['--read-only']),
        '--config',
        join(home, 'rclone.conf'),
        '--cache-dir',
        cache,
        '--vfs-cache-max-size',
        `${Math.ceil(cacheBytes / 1024)}k`,
      ],
      mountpoint,
      home,
      settle: async () => {
        if (!writes) return;
        await sleep(WRITE_BACK_SECONDS * 1000 + 500);
        const until = performance.now() + SETTLE_SECONDS * 1000;
        while (uploads(source) && performance.now() < until) await sleep(250);
      },
    }),
};

/** rclone's local back end writes to "name.<random>.partial" and renames. */
function uploads(source: string): boolean {
  return readdirSync(join(source, 'new')).some((name) => name.endsWith('.partial'));
}
