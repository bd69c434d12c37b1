/**
 * A slow remote store made of any directory:
 *
 *     scripts/node bench/slow-store/main.ts SOURCE MOUNTPOINT [--latency-ms 5] [--bandwidth 200MB] [--ttl-ms 1000]
 *                                           [--readdirplus] [--control SOCKET]
 *
 * Stays in front until SIGINT or SIGTERM (with --until-eof: or the end of its standard input, when whoever started it is
 * gone), then unmounts. Prints "ready" when the mount answers. `--readdirplus`: listings carry attributes; without, as with
 * most clients of parallel file systems, every file's attributes are a request.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { mountFuse, Session } from '../../src/fuse/index.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { type Log, silentLog } from '../../src/telemetry/log.ts';
import { parseSize } from '../support/sizes.ts';
import { serveControl } from './control.ts';
import { SlowFileSystem } from './slow-file-system.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'latency-ms': { type: 'string', default: '5' },
    bandwidth: { type: 'string', default: '200MB' },
    'ttl-ms': { type: 'string', default: '1000' },
    readdirplus: { type: 'boolean', default: false },
    control: { type: 'string' },
    'until-eof': { type: 'boolean', default: false },
  },
});

const [source, mountpoint] = positionals;
if (source === undefined || mountpoint === undefined) {
  console.error('usage: slow-store SOURCE MOUNTPOINT [--latency-ms 5] [--bandwidth 200MB] [--control SOCKET]');
  process.exit(1);
}
const log: Log = { ...silentLog, warn: complain, error: complain };

const store = await openPosixStore({ root: resolve(source), speed: 'inline', log });
const overlay = new Overlay({
  store,
  cache: undefined,
  log,
  attributesTtlMs: 0, // what the kernel may keep, the slow file system says
  passthroughMinBytes: Number.POSITIVE_INFINITY,
  keepCache: false,
});
const slow = new SlowFileSystem(overlay, {
  latencyMs: Number(values['latency-ms']),
  bandwidth: parseSize(values.bandwidth),
  ttlMs: Number(values['ttl-ms']),
});
const control = values.control === undefined ? undefined : await serveControl(slow, values.control);

const mounted = await mountFuse({ mountpoint, fsName: 'slow-store' });
const disable = new Set(['passthrough', ...(values.readdirplus ? [] : ['readdirplus', 'readdirplus-auto'])]);
const session = new Session({ fd: mounted.fd, fileSystem: slow, log, disable });
const ended = session.run();

let leaving = false;
function leave(): void {
  if (leaving) return;
  leaving = true;
  slow.rules.clear();
  mounted.unmount(true).catch((error: Error) => complain({}, error.message));
}
process.on('SIGTERM', leave);
process.on('SIGINT', leave);
if (values['until-eof']) process.stdin.on('end', leave).on('error', leave).resume();

await session.ready;
mounted.readaheadKnob()?.set(1 << 20); // requests of 1 MiB, as a client of a store at some distance makes them
console.log('ready');
const { reason, error } = await ended;
control?.close();
if (error !== undefined) console.error(`the session ended (${reason}): ${error.message}`);
process.exit(error === undefined ? 0 : 1);

function complain(fields: object, message: string): void {
  console.error(message, fields);
}
