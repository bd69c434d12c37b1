/**
 * Every error a user can meet, once: what it means, the exit status of the command that met it, and what to do. The
 * message and often a nearer remedy come from where it happened. docs/ERRORS.md is made from this table.
 */

/** Exit statuses, as mount(8) defines them and passes them on. */
export const Exit = { ok: 0, usage: 1, system: 2, mountFailure: 32 } as const;

export interface ErrorEntry {
  meaning: string;
  exit: (typeof Exit)[keyof typeof Exit];
  remedy: string;
}

export const errorTable = {
  MLO_USAGE: {
    meaning: 'The command line cannot be understood.',
    exit: Exit.usage,
    remedy: 'see ml-overlay help',
  },
  MLO_OPTION: {
    meaning: 'An option does not exist, or has a value it cannot have.',
    exit: Exit.usage,
    remedy: 'see docs/CONFIGURATION.md or ml-overlay mount --help',
  },
  MLO_NOT_BUILT: {
    meaning: 'The option is planned, and this version does not have it yet.',
    exit: Exit.usage,
    remedy: 'leave the option out',
  },
  MLO_CONFIG: {
    meaning: 'The configuration file cannot be read or understood, or does not have the mount that is asked for.',
    exit: Exit.usage,
    remedy: 'correct the file, or name another with --config',
  },
  MLO_SOURCE: {
    meaning: 'The source cannot be used: it is missing, no directory, or may not be entered.',
    exit: Exit.mountFailure,
    remedy: 'give the path of a directory that you can list',
  },
  MLO_MOUNTPOINT: {
    meaning: 'The mountpoint cannot be used: it is missing or no directory.',
    exit: Exit.mountFailure,
    remedy: 'create the directory first',
  },
  MLO_NESTED: {
    meaning: 'Source, mountpoint and cache lie within each other, so that the daemon would have to wait for itself.',
    exit: Exit.mountFailure,
    remedy: 'choose directories that lie beside each other',
  },
  MLO_MOUNTED: {
    meaning: 'An ml-overlay is mounted there already.',
    exit: Exit.mountFailure,
    remedy: 'unmount it first: ml-overlay umount MOUNTPOINT',
  },
  MLO_MOUNT: {
    meaning: 'The kernel or fusermount3 refused the mount.',
    exit: Exit.mountFailure,
    remedy: 'see ml-overlay doctor',
  },
  MLO_MOUNT_TIMEOUT: {
    meaning: 'The mount did not answer within 10 seconds, what it waited for a processor left out; it was undone.',
    exit: Exit.mountFailure,
    remedy: 'look whether the source answers: ls SOURCE; or, where the machine is busy, mount again when it is less so',
  },
  MLO_DAEMON: {
    meaning: 'The daemon ended before the mount was there.',
    exit: Exit.mountFailure,
    remedy: 'mount with -f -o debug to see what it says',
  },
  MLO_CACHE: {
    meaning: 'The cache directory cannot be used.',
    exit: Exit.mountFailure,
    remedy: 'give a directory on a local disk that the daemon may write to, or --cache none',
  },
  MLO_CACHE_BUSY: {
    meaning: 'The cache directory is in use by the daemon of a mount.',
    exit: Exit.system,
    remedy: 'unmount it first: ml-overlay umount MOUNTPOINT',
  },
  MLO_NO_CACHE: {
    meaning: 'The directory is no cache of ml-overlay.',
    exit: Exit.system,
    remedy: 'give the DIR of --cache DIR:SIZE',
  },
  MLO_LIBFUSE: {
    meaning: 'The libfuse transport cannot be had, or cannot mount.',
    exit: Exit.mountFailure,
    remedy: 'mount without transport=libfuse',
  },
  MLO_NOT_MOUNTED: {
    meaning: 'No ml-overlay is mounted there.',
    exit: Exit.mountFailure,
    remedy: 'see ml-overlay status for what is mounted',
  },
  MLO_BUSY: {
    meaning: 'The mount is in use by processes.',
    exit: Exit.mountFailure,
    remedy: 'end them or have them leave, or unmount with --force: what they do there then fails',
  },
  MLO_UNMOUNT: {
    meaning: 'The mount could not be removed, or its daemon did not end.',
    exit: Exit.mountFailure,
    remedy: 'unmount with --force',
  },
  MLO_UNREACHABLE: {
    meaning: 'The daemon of the mount does not answer on its control socket.',
    exit: Exit.system,
    remedy: 'look at its log; ml-overlay umount --force ends it',
  },
  MLO_PERMISSION: {
    meaning: 'Only the user who mounted, or root, may do this.',
    exit: Exit.system,
    remedy: 'run the command as that user, or as root',
  },
  MLO_NODE: {
    meaning: 'There is no Node.js that is new enough.',
    exit: Exit.system,
    remedy: 'run npm ci --ignore-scripts in the checkout, or install Node >= 24',
  },
  MLO_TRACE: {
    meaning: 'A trace cannot be written, or is damaged or no trace at all.',
    exit: Exit.system,
    remedy: 'see docs/TRACE.md',
  },
  MLO_WARMUP: {
    meaning: 'Files cannot be brought into the cache, or looked up in it.',
    exit: Exit.system,
    remedy: 'see ml-overlay status MOUNTPOINT for the cache and its size',
  },
  MLO_PINNED: {
    meaning: 'What is pinned is not dropped, nor unpinned but by the path that was pinned.',
    exit: Exit.usage,
    remedy: 'take the pin back first: ml-overlay warmup --unpin PATH',
  },
  MLO_PLAN: {
    meaning: 'A plan of what a job will read cannot be taken.',
    exit: Exit.usage,
    remedy: 'see docs/PLAN.md',
  },
  MLO_FULL: {
    meaning: 'The cache takes no more, so that a warm-up could not be ended.',
    exit: Exit.usage,
    remedy: 'give the cache more room: ml-overlay set MOUNTPOINT cache=DIR:SIZE',
  },
  MLO_SYSTEM: {
    meaning: 'The operating system refused something that must not fail.',
    exit: Exit.system,
    remedy: 'see the message; ml-overlay doctor checks the machine',
  },
  MLO_DEFECT: {
    meaning: 'A defect of ml-overlay itself.',
    exit: Exit.system,
    remedy: 'report it, with what you did and the output of ml-overlay doctor --json',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

/** What is shown as `CODE: what happened: what to do`. */
export class MloError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string;

  constructor(code: ErrorCode, what: string, remedy?: string) {
    super(what);
    this.name = 'MloError';
    this.code = code;
    this.remedy = remedy ?? errorTable[code].remedy;
  }

  get exit(): number {
    return errorTable[this.code].exit;
  }

  override toString(): string {
    return `${this.code}: ${this.message}: ${this.remedy}`;
  }
}

/** Any error as one that can be shown; what nobody foresaw is a defect, with its stack. */
export function asMloError(error: unknown): MloError {
  if (error instanceof MloError) return error;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new MloError('MLO_DEFECT', text);
}
