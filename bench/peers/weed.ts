import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { must } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import { mountDaemon, saysVersion, startMarked } from './daemon.ts';
import type { Mounted, Peer, Place } from './peer.ts';

const HOST = '127.0.0.1';
const [MASTER, VOLUME, FILER] = [29333, 28080, 28888];
const START_SECONDS = 60;

/** A server of its own on loopback, with everything it keeps in `directory`, and a mount of its filer. */
async function mount(scope: Scope, place: Place, directory: string): Promise<Mounted> {
  const server = startMarked(scope, {
    command: 'weed',
    args: [
      'server',
      `-ip=${HOST}`,
      `-ip.bind=${HOST}`,
      `-dir=${directory}`,
      `-master.port=${MASTER}`,
      `-volume.port=${VOLUME}`,
      '-volume.max=0',
      '-master.volumeSizeLimitMB=1024',
      '-filer',
      `-filer.port=${FILER}`,
    ],
    home: join(place.home, 'server'),
  });
  const until = performance.now() + START_SECONDS * 1000;
  while (!(await answers())) {
    if (performance.now() > until || server.child.exitCode !== null) {
      throw new Error(`weed server did not start:\n${server.said()}`);
    }
    await sleep(200);
  }
  const mounted = await mountDaemon(scope, {
    command: 'weed',
    args: [
      'mount',
      `-filer=${HOST}:${FILER}`,
      `-dir=${place.mountpoint}`,
      `-cacheDir=${place.cache}`,
      `-cacheCapacityMB=${Math.ceil(place.cacheBytes / 2 ** 20)}`,
    ],
    mountpoint: place.mountpoint,
    home: place.home,
  });
  return {
    ...mounted,
    pids: () => [...server.pids(), ...mounted.pids()],
    async unmount() {
      await mounted.unmount();
      await server.end();
    },
  };
}

async function answers(): Promise<boolean> {
  try {
    return (await fetch(`http://${HOST}:${FILER}/`, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}

/** SeaweedFS keeps files in volumes of its own format; these are on the source, and so is what its filer knows of them. */
export const weed: Peer = {
  name: 'weed mount',
  command: 'weed',
  settings: '-cacheDir -cacheCapacityMB, its server on loopback with volumes and filer on the source',
  because: 'weed mount -h; its other defaults keep metadata for 60 s as the overlay does',
  version: () => saysVersion('weed', ['version']),
  unable: () => undefined,
  async prepare(scope, place, sets) {
    for (const path of [place.home, place.volume.local, place.cache]) mkdirSync(path, { recursive: true });
    const mounted = await mount(scope, place, place.volume.local);
    const copy = 'for set in "$@"; do cp -r "$0/$set" . || exit 1; done; mkdir -p new';
    await must('sh', ['-c', copy, place.originals, ...sets], { cwd: mounted.path, timeoutSeconds: 1800 });
    await mounted.unmount();
  },
  mount: (scope, place) => mount(scope, place, place.volume.source),
};
