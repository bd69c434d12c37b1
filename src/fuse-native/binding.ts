/**
 * The native half of the npm package fuse-native 2.2.6: a prebuilt addon over libfuse 2.9 that calls JavaScript for each
 * operation. It is optional, and loaded when a mount asks for it.
 *
 * Its JavaScript half is passed by. It answers fgetattr with getattr of the path, loses the modification time of utimens,
 * cannot mount read-only or with `use_ino`, answers ETIMEDOUT after 15 s, and always unmounts lazily.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { TransportError } from './transport-error.ts';

/** Memory of one libfuse thread, the addon's `fuse_thread_locals_t`: which request it waits with. */
export type Request = Buffer;

/** What the addon calls for an operation; the arguments after `opcode` are the operation's own. */
export type NativeHandler = (request: Request, opcode: number, ...args: never[]) => void;

/** `op_NAME`: the number of an operation. `fuse_native_signal_NAME(request, result, ...)` answers it, once. */
export interface Binding {
  readonly sizeof_fuse_thread_t: number;
  fuse_native_mount(
    mountpoint: string,
    options: string,
    thread: Buffer,
    context: object,
    allocate: (size: number) => Buffer,
    handlers: NativeHandler[],
    implemented: Uint32Array,
  ): void;
  /** Lets the process end; unmounts nothing. */
  fuse_native_unmount(mountpoint: string, thread: Buffer): void;
  readonly [name: string]: unknown;
}

/** Of the addon: how many operations it knows, with room for one more. */
export const OPERATION_SLOTS = 35;

const LIBRARY = 'libfuse.so.2';
/** dlopen(3): stays loaded although it is no addon. Not among Node's constants. */
const RTLD_NODELETE = 0x1000;

/** Throws a TransportError when the package, its build for this machine, or libfuse 2 is not there. */
export function loadBinding(): Binding {
  const require = createRequire(import.meta.url);
  let folder: string;
  let load: (folder: string) => Binding;
  try {
    const main = require.resolve('fuse-native');
    folder = dirname(main);
    load = createRequire(main)('node-gyp-build') as typeof load;
  } catch {
    throw new TransportError(
      'MLO_LIBFUSE_MISSING',
      'the optional package "fuse-native" is not installed',
      'npm install fuse-native@2.2.6, or leave transport=libfuse out',
    );
  }
  try {
    return load(folder);
  } catch (error) {
    if (!String(error).includes(LIBRARY)) throw unsupported(error);
  }
  try {
    keepLoaded(join(folder, 'prebuilds', `${process.platform}-${process.arch}`, 'libfuse.so'));
    return load(folder);
  } catch (error) {
    throw unsupported(error);
  }
}

/** The package brings a libfuse beside its addon, which is found by name once it is loaded; that it is no addon is known. */
function keepLoaded(library: string): void {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch {
    // "Module did not self-register", or it is not there: then loading the addon says so
  }
}

function unsupported(error: unknown): TransportError {
  const said = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  return new TransportError(
    'MLO_LIBFUSE_UNSUPPORTED',
    `fuse-native does not load on this machine (${process.platform}-${process.arch}): ${said}`,
    'install libfuse 2 (Debian, Ubuntu: libfuse2 or libfuse2t64; Fedora: fuse-libs); prebuilt for linux-x64 with glibc ' +
      'only, elsewhere build it with "npm rebuild fuse-native"; or leave transport=libfuse out',
  );
}
