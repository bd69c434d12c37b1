/**
 * Serves SOURCE at MOUNTPOINT through libfuse, in a process of its own: serve.ts SOURCE MOUNTPOINT [OPTIONS as JSON].
 * Prints "ready" (or "error CODE: ..."), and when the mount has ended a line of JSON. SIGTERM unmounts; SIGUSR2 prints counters.
 */
import { mountLibfuse, TransportError } from '../../src/fuse-native/index.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import type { Log } from '../../src/telemetry/log.ts';

const [source = '', mountpoint = '', text = '{}'] = process.argv.slice(2);
const options = JSON.parse(text) as {
  readOnly?: boolean;
  allowOther?: boolean;
  debug?: boolean;
  attributesTtlMs?: number;
  speed?: 'inline' | 'pooled';
};
const say = (level: string) => (fields: object, message: string) =>
  console.error(level, message, fields, (fields as { err?: Error }).err ?? '');
const log: Log = {
  debug: options.debug ? say('debug') : () => {},
  info: say('info'),
  warn: say('warn'),
  error: say('error'),
};
const { readOnly = false, allowOther = false, attributesTtlMs = 1000 } = options;
const store = await openPosixStore({ root: source, log, readOnly, ...(options.speed ? { speed: options.speed } : {}) });
const overlay = new Overlay({ store, cache: undefined, log, attributesTtlMs, readOnly, passthroughMinBytes: 1 << 20 });
try {
  const mount = await mountLibfuse({
    fileSystem: overlay,
    mountpoint,
    source,
    readOnly,
    allowOther,
    debug: false,
    log,
    attributesTtlMs,
  });
  process.on('SIGTERM', () => void mount.unmount().catch(() => mount.unmount(true)));
  process.on('SIGUSR2', () => console.log(JSON.stringify({ ...mount.snapshot(), overlay: overlay.snapshot() })));
  console.log('ready');
  const end = await mount.run;
  overlay.checkInvariants();
  console.log(JSON.stringify({ ...end, ...mount.snapshot(), overlay: overlay.snapshot() }));
  process.exit(0);
} catch (error) {
  if (error instanceof TransportError) console.log(`error ${error.code}: ${error.message}: ${error.remedy}`);
  else console.log('error', error);
  process.exit(1);
}
