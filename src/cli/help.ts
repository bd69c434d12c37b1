/** ml-overlay help [COMMAND], version, and what is said to an unknown command. */
import { nearest } from '../config/nearest.ts';
import { MloError } from '../errors.ts';
import { version } from './version.ts';

const overview = `Usage: ml-overlay COMMAND ...

Mounts over a slow or remote directory and keeps what is read, for training jobs.

  mount SOURCE MOUNTPOINT [options]   mount; returns when the mount answers
  mount MOUNTPOINT                    mount an entry of the configuration file
  mount --all                         mount all of them
  umount MOUNTPOINT [--force]         unmount; returns when the daemon has ended
  status [MOUNTPOINT] [--json]        what is mounted, how, and whether it is healthy
  stats MOUNTPOINT [--watch] [--json] where reads are served from, who waits, what would help
  trace record MOUNTPOINT [FILE]      write down who opens and reads what; trace show or classify FILE
  cache list|check|clear DIR          what a cache directory holds, whether it is all right; empties it
  warmup PATH... [--pin | --check]    bring files below a mount into its cache; and keep them; how much is there
  warmup PATH... [--unpin | --evict]  let go of what was pinned; drop it
  plan MOUNTPOINT FILE|-              announce what a job will read, in order; --list, --withdraw NAME
  simulate --trace FILE --cache SIZE  what a cache of that size would hit, by each policy
  set MOUNTPOINT OPTION=VALUE...      change a live mount: log-level, leases, size of the cache, ...
  doctor [--json]                     what this machine offers, and what to do about what it does not
  support MOUNTPOINT [-o FILE]        a bundle for a bug report: one JSON file
  help [COMMAND], version

Also called by mount(8): mount -t fuse.ml-overlay SOURCE MOUNTPOINT, or a line of /etc/fstab.
`;

export async function run([name = 'help', about]: string[]): Promise<number> {
  if (name === 'version') {
    console.log(`ml-overlay ${version} (Node ${process.versions.node})`);
    return 0;
  }
  console.log((await textFor(about)).trimEnd());
  return 0;
}

async function textFor(about: string | undefined): Promise<string> {
  switch (about) {
    case undefined:
    case 'help':
    case 'version':
      return overview;
    case 'mount':
      return (await import('./mount-words.ts')).mountCommand().helpInformation();
    case 'umount':
    case 'unmount':
      return (await import('./umount.ts')).help;
    case 'status':
      return (await import('./status.ts')).help;
    case 'stats':
      return (await import('./stats.ts')).help;
    case 'warmup':
      return (await import('./warmup.ts')).help;
    case 'plan':
      return (await import('./plan.ts')).help;
    case 'set':
      return (await import('./set.ts')).help;
    case 'cache':
      return (await import('./cache.ts')).help;
    case 'trace':
      return (await import('./trace.ts')).help;
    case 'simulate':
      return (await import('./simulate.ts')).help;
    case 'support':
      return (await import('./support.ts')).help;
    case 'doctor':
      return (await import('./doctor.ts')).help;
    default:
      return unknown(about, [
        'mount',
        'umount',
        'status',
        'stats',
        'warmup',
        'plan',
        'set',
        'trace',
        'cache',
        'simulate',
        'support',
        'doctor',
        'help',
        'version',
      ]);
  }
}

export function unknown(name: string, known: readonly string[]): never {
  const near = nearest(name.replace(/^-+/, ''), known);
  const remedy = near === undefined || near === 'daemon' ? undefined : `did you mean "${near}"?`;
  throw new MloError('MLO_USAGE', `there is no command "${name}"`, remedy);
}
