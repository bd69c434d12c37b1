import { mountDaemon, saysVersion } from './daemon.ts';
import type { Peer } from './peer.ts';

export const catfs: Peer = {
  name: 'catfs',
  command: 'catfs',
  settings: 'defaults',
  because: 'its README has no other advice; only the free space of the disk bounds its cache',
  version: () => saysVersion('catfs', ['--version']),
  unable: (work) => (work.half ? 'its cache has no size' : undefined),
  mount: (scope, { source, mountpoint, cache, home }) =>
    mountDaemon(scope, { command: 'catfs', args: ['-f', source, cache, mountpoint], mountpoint, home }),
};
