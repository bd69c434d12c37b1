import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountDaemon, saysVersion } from './daemon.ts';
import type { Peer } from './peer.ts';

const OPTIONS = [
  'auto_cache',
  'dcache_timeout=60',
  'attr_timeout=60',
  'entry_timeout=60',
  'max_conns=4',
  'follow_symlinks',
];
const SERVERS = ['/usr/lib/openssh/sftp-server', '/usr/libexec/openssh/sftp-server', '/usr/lib/ssh/sftp-server'];

export const sshfs: Peer = {
  name: 'sshfs',
  command: 'sshfs',
  settings: `-o ${OPTIONS.join(',')}; straight to sftp-server, without ssh’s encryption`,
  because: 'sshfs(1): several connections for parallel requests, the directory cache; the overlay’s 60 s for names',
  version: () => saysVersion('sshfs', ['--version'], /^SSHFS/),
  unable: () => (SERVERS.some(existsSync) ? undefined : 'no sftp-server (openssh-sftp-server)'),
  mount: (scope, { source, mountpoint, home }) => {
    mkdirSync(home, { recursive: true });
    const connect = join(home, 'connect');
    writeFileSync(connect, `#!/bin/sh\nexec ${SERVERS.find(existsSync)}\n`);
    chmodSync(connect, 0o755);
    return mountDaemon(scope, {
      command: 'sshfs',
      args: ['-f', `local:${source}`, mountpoint, '-o', [...OPTIONS, `ssh_command=${connect}`].join(',')],
      mountpoint,
      home,
    });
  },
};
