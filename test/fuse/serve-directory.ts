/**
 * Serves a flat directory by the plainest means, for measuring the loop:
 *
 *     scripts/node test/fuse/serve-directory.ts SOURCE MOUNTPOINT
 *
 * Ends when it is unmounted; then prints what it served and the CPU time it took.
 */
import { mountFuse, Session } from '../../src/fuse/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { FlatDirectoryFileSystem } from './flat-directory-fs.ts';

const [source = '.', mountpoint = ''] = process.argv.slice(2);
const fileSystem = new FlatDirectoryFileSystem(source);
const mounted = await mountFuse({ mountpoint, fsName: source });
const session = new Session({ fd: mounted.fd, fileSystem, log: { ...silentLog, error: console.error } });
const running = session.run();
await session.ready;
const before = process.cpuUsage();
console.log('ready');
await running;
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({
    userMs: user / 1000,
    systemMs: system / 1000,
    rss: process.memoryUsage().rss >> 20,
    ...session.snapshot(),
  }),
);
