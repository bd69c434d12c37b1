import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import { mountDaemon, saysVersion } from './daemon.ts';
import type { Mounted, Peer, Place } from './peer.ts';

const OPTIONS = ['--open-cache', '60', '--attr-cache', '60', '--entry-cache', '60', '--dir-entry-cache', '60'];

function mount(scope: Scope, place: Place, bucket: string): Promise<Mounted> {
  return mountDaemon(scope, {
    command: 'juicefs',
    args: [
      'mount',
      ...OPTIONS,
      '--no-usage-report',
      '--no-syslog',
      '--no-bgjob',
      '--bucket',
      `${bucket}/`,
      '--cache-dir',
      place.cache,
      '--cache-size',
      String(Math.ceil(place.cacheBytes / 2 ** 20)),
      '--free-space-ratio',
      '0.01',
      '--log',
      join(place.home, 'juicefs.log'),
      meta(place),
      place.mountpoint,
    ],
    mountpoint: place.mountpoint,
    home: place.home,
  });
}

const meta = ({ home }: Place): string => `sqlite3://${join(home, 'meta.db')}`;

/** A volume of its own format: blocks as files on the source, names and attributes in SQLite on the local disk. */
export const juicefs: Peer = {
  name: 'JuiceFS',
  command: 'juicefs',
  settings: `${OPTIONS.join(' ')}; blocks as files on the source, metadata in SQLite on the local disk`,
  because: 'guide/cache of its documentation: --open-cache for training; the overlay’s 60 s for names',
  version: () => saysVersion('juicefs', ['--version']),
  unable: () => undefined,
  async prepare(scope, place, sets) {
    for (const path of [place.home, place.volume.local, place.cache]) mkdirSync(path, { recursive: true });
    const format = ['format', '--storage', 'file', '--bucket', `${place.volume.local}/`, '--trash-days', '0'];
    await must('juicefs', [...format, meta(place), 'bench'], { timeoutSeconds: 60 });
    const mounted = await mount(scope, place, place.volume.local);
    const copy = 'for set in "$@"; do cp -a "$0/$set" . || exit 1; done; mkdir -p new';
    await must('sh', ['-c', copy, place.originals, ...sets], { cwd: mounted.path, timeoutSeconds: 1800 });
    await mounted.unmount();
  },
  mount: (scope, place) => mount(scope, place, place.volume.source),
};
