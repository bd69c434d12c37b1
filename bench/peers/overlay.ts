import { mkdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { mountOverlay } from '../support/overlay-mount.ts';
import type { Peer } from './peer.ts';

export const overlay: Peer = {
  name: 'overlay',
  command: undefined,
  settings: '--cache DIR:SIZE over a slow source, --cache none over a local one; -o ro where nothing is written',
  because: 'what README and CONFIGURATION say',
  version: () => {
    const text = readFileSync(resolve(import.meta.dirname, '../../package.json'), 'utf8');
    return Promise.resolve((JSON.parse(text) as { version: string }).version);
  },
  unable: () => undefined,
  async mount(scope, { source, mountpoint, cache, cacheBytes, writes, slow }) {
    mkdirSync(mountpoint, { recursive: true });
    const args = ['--cache', slow ? `${cache}:${cacheBytes}` : 'none', ...(writes ? [] : ['-o', 'ro'])];
    const mounted = await mountOverlay(scope, source, mountpoint, args);
    return { path: mountpoint, pids: mounted.pids, settle: async () => {}, unmount: mounted.unmount };
  },
};
