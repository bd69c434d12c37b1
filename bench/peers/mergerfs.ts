import { mountDaemon, saysVersion } from './daemon.ts';
import type { Peer } from './peer.ts';

const OPTIONS = [
  'cache.files=auto-full', // pages are kept when neither size nor mtime changed
  'cache.attr=60',
  'cache.entry=60',
  'cache.negative_entry=1',
  'cache.readdir=true',
  'cache.symlinks=true',
  'cache.statfs=60',
  'security_capability=false',
  'xattr=nosys',
  'posix_acl=false',
  'category.create=ff',
  'minfreespace=0',
  'use_ino',
];

export const mergerfs: Peer = {
  name: 'mergerfs',
  command: 'mergerfs',
  settings: OPTIONS.join(','),
  because:
    'the list under PERFORMANCE in mergerfs(1); one branch, as its BENCHMARKING asks; the overlay’s 60 s for names',
  version: () => saysVersion('mergerfs', ['--version']),
  unable: () => undefined,
  mount: (scope, { source, mountpoint, home }) =>
    mountDaemon(scope, {
      command: 'mergerfs',
      args: ['-f', '-o', OPTIONS.join(','), source, mountpoint],
      mountpoint,
      home,
    }),
};
