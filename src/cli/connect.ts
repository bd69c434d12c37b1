/** Mounts and serves, through whichever transport was asked for. */
import type { AccessedFile } from '../access/observer.ts';
import type { DaemonRequest } from '../config/daemon-request.ts';
import { MloError } from '../errors.ts';
import { carriedRequestBytes, LARGEST_TRANSFER, MountError, mountFuse, Session } from '../fuse/index.ts';
import { close } from '../sys/libc.ts';
import type { Log } from '../telemetry/log.ts';
import type { ConnectionTotal, LoopStats } from '../telemetry/stats.ts';
import { type Assembly, doesWithoutOpen } from './assemble.ts';

export interface Ended {
  reason: 'unmounted' | 'destroyed' | 'aborted' | 'failed';
  error?: Error;
}

export interface Connection {
  /** Resolves when the mount is no more and the overlay has stopped. */
  ended: Promise<Ended>;
  unmount(force: boolean): Promise<void>;
  transport: string;
  capabilities: { on: string[]; off: Record<string, string> };
  /** False: not permitted. */
  readaheadSet: boolean;
  stats(): ConnectionStats;
}

/** What a transport counts; requests and errors by the name of the operation. */
export interface ConnectionStats extends Partial<Record<ConnectionTotal, number>> {
  requests: Record<string, number>;
  errors: Record<string, number>;
  pending: number;
  defects: number;
  loop?: LoopStats;
}

export async function connectMount(request: DaemonRequest, assembly: Assembly, log: Log): Promise<Connection> {
  return request.settings.transport === 'libfuse'
    ? connectLibfuse(request, assembly, log)
    : connectKernel(request, assembly, log);
}

function allowOther({ settings }: DaemonRequest): boolean {
  return settings['allow-other'] === 'auto' ? process.getuid?.() === 0 : settings['allow-other'];
}

async function connectKernel(
  request: DaemonRequest,
  { fileSystem, overlay, access, store, cache }: Assembly,
  log: Log,
): Promise<Connection> {
  const { settings, mountpoint, source } = request;
  // Requests to a store that may be slow are worth their number; what is carried comes from files of this machine.
  const carries = !settings.disable.includes('splice') && (cache !== undefined || store.speed === 'inline');
  const mounted = await mountFuse({
    mountpoint,
    fsName: source,
    readOnly: settings.ro,
    allowOther: allowOther(request),
    flags: request.flags,
    maxReadBytes: carries ? carriedRequestBytes(LARGEST_TRANSFER) : LARGEST_TRANSFER,
  }).catch((error: unknown) => {
    if (error instanceof MountError) throw new MloError('MLO_MOUNT', error.message, error.remedy);
    throw error;
  });
  const session = new Session({
    fd: mounted.fd,
    fileSystem,
    log,
    observer: access,
    disable: new Set(settings.disable),
    writeback: settings.writeback,
    withoutOpen: doesWithoutOpen(settings),
    listsAttributes: overlay.metadata() !== undefined,
  });
  const ended = session.run().finally(() => close.now(mounted.fd));
  const agreed = await session.ready.catch(async (error: Error) => {
    await mounted.unmount(true).catch(() => {});
    throw new MloError('MLO_MOUNT', `the kernel and ml-overlay did not agree: ${error.message}`);
  });
  const knob = mounted.readaheadKnob();
  const readaheadSet = knob?.set(settings.readahead) === true;
  if (knob !== undefined && readaheadSet && access !== undefined) {
    const goesOn = (file: AccessedFile): boolean => access.streams.expects(file) === 'sequential';
    overlay.ownsReadahead((bytes) => knob.set(bytes), settings.readahead, goesOn);
  }
  return {
    ended: ended.finally(() => knob?.close()),
    unmount: (force) => mounted.unmount(force).catch(refused(mountpoint)),
    transport: mounted.how === 'syscall' ? 'kernel' : 'kernel, mounted by fusermount3',
    capabilities: { on: [...agreed.on], off: Object.fromEntries(agreed.off) },
    readaheadSet,
    stats: () => session.snapshot(),
  };
}

function refused(mountpoint: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof MountError)) throw error;
    if (error.errno === 16) throw new MloError('MLO_BUSY', `${mountpoint} is in use`);
    throw new MloError('MLO_UNMOUNT', error.message, error.remedy);
  };
}

async function connectLibfuse(request: DaemonRequest, { overlay, effective }: Assembly, log: Log): Promise<Connection> {
  const { settings, mountpoint, source } = request;
  const { mountLibfuse, TransportError } = await import('../fuse-native/index.ts');
  const translate = (error: unknown): never => {
    if (!(error instanceof TransportError)) throw error;
    const busy = /EBUSY|busy/i.test(error.message);
    const code = error.code === 'MLO_LIBFUSE_UNMOUNT' ? (busy ? 'MLO_BUSY' : 'MLO_UNMOUNT') : 'MLO_LIBFUSE';
    throw new MloError(code, error.message, error.remedy);
  };
  const mounted = await mountLibfuse({
    fileSystem: overlay,
    mountpoint,
    source,
    readOnly: settings.ro,
    allowOther: allowOther(request),
    debug: false,
    immutable: settings.immutable,
    attributesTtlMs: effective.attributesTtlMs,
    log,
  }).catch(translate);
  return {
    ended: mounted.run,
    unmount: (force) => mounted.unmount(force).catch(translate),
    transport: 'libfuse',
    capabilities: { on: [], off: { passthrough: 'not with transport=libfuse' } },
    readaheadSet: false,
    stats: () => mounted.snapshot(),
  };
}
