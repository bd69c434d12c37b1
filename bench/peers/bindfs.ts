import { mountDaemon, saysVersion } from './daemon.ts';
import type { Peer } from './peer.ts';

export const bindfs: Peer = {
  name: 'bindfs',
  command: 'bindfs',
  settings: 'defaults',
  because: 'bindfs(1) recommends nothing for speed; --multithreaded is advised against there',
  version: () => saysVersion('bindfs', ['--version']),
  unable: () => undefined,
  mount: (scope, { source, mountpoint, home }) =>
    mountDaemon(scope, { command: 'bindfs', args: ['-f', source, mountpoint], mountpoint, home }),
};
