import { mountDaemon } from './daemon.ts';
import type { Peer } from './peer.ts';

export const passthroughHp: Peer = {
  name: 'passthrough_hp',
  command: 'passthrough_hp',
  settings: 'defaults (FUSE passthrough where the kernel has it, names and attributes kept for a day)',
  because: 'its source says that the defaults are the fast ones; it does not see changes made beneath it',
  version: () => Promise.resolve('libfuse'),
  unable: () => undefined,
  mount: (scope, { source, mountpoint, home }) =>
    mountDaemon(scope, { command: 'passthrough_hp', args: ['--foreground', source, mountpoint], mountpoint, home }),
};
