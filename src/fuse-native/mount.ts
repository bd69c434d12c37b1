/**
 * Mounts a file system through libfuse 2. Its threads read /dev/fuse; each request becomes a call on the JavaScript thread
 * (about 100 us), is answered there, and goes back to the thread that waits with it.
 */
import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { mountedAt } from '../fuse/mount-table.ts';
import type { FileSystem } from '../overlay/filesystem.ts';
import type { Log } from '../telemetry/log.ts';
import { AttributeOperations } from './attribute-operations.ts';
import { type Binding, loadBinding } from './binding.ts';
import { type BridgeCounters, bridge } from './bridge.ts';
import { Context } from './context.ts';
import { FileOperations } from './file-operations.ts';
import { NameOperations } from './name-operations.ts';
import { TransportError } from './transport-error.ts';
import { unmount } from './unmount.ts';

export interface LibfuseOptions {
  fileSystem: FileSystem;
  /** An existing directory. */
  mountpoint: string;
  /** Shown as the source in the table of mounts. */
  source: string;
  readOnly: boolean;
  /** Other users may enter. As an ordinary user this needs user_allow_other in /etc/fuse.conf. */
  allowOther: boolean;
  /** libfuse tells every request on stderr. */
  debug: boolean;
  log: Log;
  /** How long the kernel may believe names (and, on a read-only mount, attributes). One second unless said. */
  attributesTtlMs?: number;
  /** The source never changes: the kernel may keep pages from one open to the next. */
  immutable?: boolean;
}

export interface LibfuseEnd {
  reason: 'unmounted' | 'aborted';
}

export interface LibfuseSnapshot extends BridgeCounters {
  dentries: number;
  nodes: number;
  openFiles: number;
  staleHandles: number;
}

export interface LibfuseMount {
  /** Resolves when the connection has ended and the file system has stopped. */
  readonly run: Promise<LibfuseEnd>;
  /** `force`: also when in use or hung: what waits fails, and the connection is aborted. */
  unmount(force?: boolean): Promise<void>;
  snapshot(): LibfuseSnapshot;
}

/** The addon copies the options, and the mountpoint, to 1024 bytes each. */
const TEXT_MOST = 1023;
/** libfuse 2 takes 128 KiB in one request, and 4 KiB of a write unless told. */
const WRITE_MOST = 131_072;
const FOREVER_SECONDS = 365 * 86_400;
/** libfuse does not tell when it has ended; its descriptor is gone then. */
const LOOK_EVERY_MS = 100;
const INIT_MOST_MS = 10_000;

export async function mountLibfuse(options: LibfuseOptions): Promise<LibfuseMount> {
  const { fileSystem, log } = options;
  const binding = loadBinding();
  const mountpoint = realpathSync(options.mountpoint);
  const context = new Context(fileSystem, log, options.allowOther);
  const names = new NameOperations(context);
  const files = new FileOperations(context, names);
  const attributes = new AttributeOperations(context);
  const init = Promise.withResolvers<void>();
  const { handlers, implemented, counters } = bridge(binding, {
    attributes,
    names,
    files,
    log,
    onInit: () => {
      fileSystem.start(context.kernel());
      init.resolve();
    },
  });

  const thread = Buffer.alloc(binding.sizeof_fuse_thread_t);
  const before = devices();
  startThreads(binding, mountpoint, optionText(options), thread, handlers, implemented);
  const device = devices().find((fd) => !before.includes(fd));
  if (options.allowOther && !options.readOnly) {
    log.warn({ uid: context.caller.uid }, 'transport=libfuse does not know who asks: new files belong to this user');
  }

  const run = ended(device).then(async (): Promise<LibfuseEnd> => {
    binding.fuse_native_unmount(mountpoint, thread);
    names.close();
    files.close();
    context.close();
    await fileSystem.stop();
    const left = mountedAt(mountpoint);
    if (left?.device !== mounted) return { reason: 'unmounted' };
    await unmount(mountpoint, true).catch(() => {}); // an aborted connection stays in the table of mounts
    return { reason: 'aborted' };
  });
  const mounted = mountedAt(mountpoint)?.device;
  await answering(init.promise, run, mountpoint);
  return {
    run,
    unmount: (force = false) => unmount(mountpoint, force),
    snapshot: () => ({
      ...counters,
      dentries: context.dentries.size,
      nodes: context.references.size,
      openFiles: context.files.size,
      staleHandles: context.staleHandles,
    }),
  };
}

function optionText({
  source,
  readOnly,
  allowOther,
  debug,
  attributesTtlMs = 1000,
  immutable,
}: LibfuseOptions): string {
  const seconds = immutable ? FOREVER_SECONDS : attributesTtlMs / 1000;
  // libfuse and the kernel take each name of a file with several for a file of its own. Where it can change through one,
  // attributes known by another would be wrong: they are asked for each time.
  const attributeSeconds = readOnly ? seconds : 0;
  const options = [
    'default_permissions',
    'use_ino',
    'nonempty',
    'big_writes',
    `max_write=${WRITE_MOST}`,
    `max_read=${WRITE_MOST}`,
    `entry_timeout=${seconds}`,
    `attr_timeout=${attributeSeconds}`,
    'subtype=ml-overlay',
    `fsname=${source.replace(/[\\,]/g, '\\$&')}`,
  ];
  if (readOnly) options.push('ro');
  if (allowOther) options.push('allow_other');
  if (immutable) options.push('kernel_cache');
  if (debug) options.push('debug');
  const text = `-o${options.join(',')}`;
  if (Buffer.byteLength(text) <= TEXT_MOST) return text;
  return `-o${options.filter((option) => !option.startsWith('fsname=')).join(',')}`;
}

function startThreads(
  binding: Binding,
  mountpoint: string,
  text: string,
  thread: Buffer,
  handlers: Parameters<Binding['fuse_native_mount']>[5],
  implemented: Uint32Array,
): void {
  const fail = (what: string, remedy: string): TransportError => new TransportError('MLO_LIBFUSE_MOUNT', what, remedy);
  if (Buffer.byteLength(mountpoint) > TEXT_MOST)
    throw fail(`${mountpoint} is too long a path`, 'mount on a shorter one');
  // The addon's handles in libuv's loop live in these, and are never taken out of it: the context keeps them for good.
  const kept: Buffer[] = [thread];
  const allocate = (size: number): Buffer => {
    const memory = Buffer.alloc(size);
    kept.push(memory);
    return memory;
  };
  try {
    binding.fuse_native_mount(mountpoint, text, thread, { kept }, allocate, handlers, implemented);
  } catch {
    throw fail(
      `libfuse cannot mount on ${mountpoint}`,
      'see its message on stderr. It needs /dev/fuse (modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN); ' +
        'an ordinary user also needs fusermount (package fuse or fuse3), a mountpoint of their own, and for allow_other ' +
        '"user_allow_other" in /etc/fuse.conf',
    );
  }
}

/** Descriptors of this process that are /dev/fuse. */
function devices(): string[] {
  return readdirSync('/proc/self/fd').filter(isDevice);
}

function isDevice(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === '/dev/fuse';
  } catch {
    return false;
  }
}

function ended(device: string | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (device !== undefined && isDevice(device)) return;
      clearInterval(timer);
      resolve();
    }, LOOK_EVERY_MS);
  });
}

async function answering(init: Promise<void>, run: Promise<LibfuseEnd>, mountpoint: string): Promise<void> {
  const tooLate = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => tooLate.resolve('late'), INIT_MOST_MS);
  const first = await Promise.race([init, run, tooLate.promise]);
  clearTimeout(timer);
  if (first === undefined) return;
  if (first === 'late') await unmount(mountpoint, true);
  throw new TransportError('MLO_LIBFUSE_MOUNT', `the kernel and libfuse did not agree on ${mountpoint}`, 'see dmesg');
}
