import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountDaemon, saysVersion } from './daemon.ts';
import type { Peer } from './peer.ts';

const OPTIONS = ['--vfs-cache-mode', 'full', '--vfs-fast-fingerprint', '--vfs-read-ahead', '128M', '--no-checksum'];
/** rclone looks at its cache's size once a minute; a cache smaller than the data would not be one for that long. */
const SMALL_CACHE = ['--vfs-cache-poll-interval', '1s'];
const SETTLE_SECONDS = 120;

/** rclone uploads a file that has not been used for this long. */
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
      settle: async (pids) => {
        if (!writes) return;
        await sleep(WRITE_BACK_SECONDS * 1000);
        const until = performance.now() + SETTLE_SECONDS * 1000;
        // between two files nothing is open for a moment
        for (let idle = 0; idle < 3 && performance.now() < until; await sleep(100)) {
          idle = uploads(pids(), join(source, 'new')) ? 0 : idle + 1;
        }
      },
    }),
};

/** Whether a process has a file below a directory open. */
function uploads(pids: readonly number[], directory: string): boolean {
  return pids.some((pid) => {
    try {
      const open = readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
      return open.some((path) => path.startsWith(`${directory}/`));
    } catch {
      return false; // ended meanwhile
    }
  });
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed meanwhile
  }
}
