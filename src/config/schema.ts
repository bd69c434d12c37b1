/**
 * Every option of a mount, once. From here come the flags, the -o options, the environment variables, the keys of the
 * configuration file and docs/CONFIGURATION.md. Whatever the source, a value arrives as text.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { cachePolicies } from './cache-policies.ts';
import { switchableCapabilities } from './capabilities.ts';
import { parseDuration, parseSize, parseSwitch } from './units.ts';

export interface OptionMeta {
  /** What --help and the docs show for the value; '' for a switch. */
  value: string;
  /** As a user would write it. */
  fallback: string;
  /** May be given more than once. */
  repeatable?: boolean;
  /** May be changed on a live mount with `ml-overlay set`. */
  live?: boolean;
  about: string;
}

const KIB = 1024;
const MIB = KIB ** 2;

function text<T>(parse: (text: string) => T) {
  return z.string().transform((value, context): T => {
    try {
      return parse(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: `takes ${(error as Error).message}` });
      return z.NEVER;
    }
  });
}

function atLeast(parse: (text: string) => number, least: number, most: number, range: string) {
  return text((value) => {
    const number = parse(value);
    if (number < least || number > most) throw new Error(range);
    return number;
  });
}

const auto = z.literal('auto');
const toggle = text(parseSwitch);
const duration = atLeast(parseDuration, 0, 365 * 86_400_000, 'a duration of at most a year');

function described<T extends z.ZodType>(type: T, meta: OptionMeta): T {
  return type.meta(meta as unknown as Record<string, unknown>) as T;
}

/** Only `off` can be had yet. */
function offOnly(what: string) {
  return text((value) => {
    if (parseSwitch(value)) throw new NotBuilt(what);
    return false;
  });
}

class NotBuilt extends Error {
  constructor(what: string) {
    super(`${NOT_BUILT}${what}`);
  }
}

/** Begins the message of what is planned and not there. */
export const NOT_BUILT = 'only what is built yet; not built yet: ';

export type TierWish =
  /** Without a size: half of what is free or in this cache already, at most 100 GiB. */
  { kind: 'directory'; directory: string; sizeBytes: number | undefined } | { kind: 'memory'; sizeBytes: number };

/** Tiers: fastest first, one at least. */
export type CacheWish = { kind: 'auto' } | { kind: 'none' } | { kind: 'tiers'; tiers: TierWish[] };

function parseCache(value: string): 'auto' | 'none' | TierWish {
  if (value === 'auto') return 'auto';
  if (value === 'none' || value === 'off') return 'none';
  if (value === 'mem') throw new Error('mem:SIZE: how much memory has to be said');
  if (value.startsWith('mem:')) return { kind: 'memory', sizeBytes: parseSize(value.slice('mem:'.length)) };
  const [, directory = value, size] = /^(.*):([^:/]*)$/.exec(value) ?? [];
  if (directory === '') throw new Error('DIR[:SIZE], mem:SIZE, auto or none');
  return { kind: 'directory', directory, sizeBytes: size === undefined ? undefined : parseSize(size) };
}

function parseUser(value: string): { uid: number; gid: number } {
  const [, uid, gid] = /^(\d+):(\d+)$/.exec(value) ?? [];
  if (uid === undefined || gid === undefined) throw new Error('UID:GID, two numbers');
  return { uid: Number(uid), gid: Number(gid) };
}

export type ListenWish = 'off' | { host: string; port: number };

function parseListen(value: string): ListenWish {
  if (value === 'off') return 'off';
  const [, bracketed, plain, digits] = /^(?:(?:\[([\da-fA-F:.]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(value) ?? [];
  const host = bracketed ?? plain ?? '127.0.0.1';
  const port = Number(digits ?? -1);
  if (port < 0 || port > 65_535 || (isIP(host) === 0 && host !== 'localhost'))
    throw new Error('[ADDRESS:]PORT: 9464, 10.0.0.5:9464 or [::1]:9464; or off');
  return { host, port };
}

/** Bytes a second; 0: off. */
function parseScrub(value: string): number {
  if (value === 'off') return 0;
  const rate = parseSize(value);
  if (rate < 64 * KIB || rate > 64 * 1024 * MIB) throw new Error('off or a size from 64K to 64G');
  return rate;
}

/** Bytes a second; 0: off. */
function parseStoreLimit(value: string): number {
  if (value === 'off') return 0;
  const bytes = parseSize(value);
  if (bytes < 64 * KIB) throw new Error('off or a size of at least 64K');
  return bytes;
}

function parseCount(value: string): number {
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1) throw new Error('a number of at least 1');
  return count;
}

/** Requests a second; 0: off. */
function parseRequestLimit(value: string): number {
  return value === 'off' ? 0 : parseCount(value);
}

/** Bytes; 0: off. */
function parseMetadataSize(value: string): number {
  if (value === 'off') return 0;
  const bytes = parseSize(value);
  if (bytes < MIB || bytes > 2 ** 40) throw new Error('a size of at least 1M, auto or off');
  return bytes;
}

/** 0: off. */
function parseSample(value: string): number {
  if (value === 'off') return 0;
  const every = Number(value);
  if (!Number.isInteger(every) || every < 1 || every > 1e6) throw new Error('off or a number from 1 to 1000000');
  return every;
}

const cache = z
  .array(text(parseCache))
  .min(1)
  .transform((all, context): CacheWish => {
    const tiers = all.filter((each) => each !== 'auto' && each !== 'none');
    const [word] = all.filter((each) => each === 'auto' || each === 'none');
    if (word === undefined) return { kind: 'tiers', tiers };
    if (all.length === 1) return { kind: word };
    context.addIssue({ code: 'custom', message: `takes ${word} alone, or any number of DIR[:SIZE] and one mem:SIZE` });
    return z.NEVER;
  });

const globs = z.array(z.string().min(1));

export const settingsSchema = z.strictObject({
  cache: described(cache, {
    value: 'DIR[:SIZE]|mem:SIZE|auto|none',
    fallback: 'auto',
    repeatable: true,
    live: true,
    about:
      'Where content is kept on a local disk, and how much of it (without SIZE half of what is free there or in it already, at most 100 GiB). ' +
      '`mem:SIZE`: in memory, as long as it is mounted. Several are tiers, to be named fastest first: see ' +
      '[PERFORMANCE.md](PERFORMANCE.md). `auto`: none for a source that is local itself, else `/var/cache/ml-overlay`, for an ' +
      'ordinary user `$XDG_CACHE_HOME/ml-overlay`. Live, only the SIZE of a tier changes; of what is kept beyond a smaller ' +
      'one, what is worth least goes.',
  }),
  'cache-policy': described(z.enum(cachePolicies), {
    value: cachePolicies.join('|'),
    fallback: 'mix',
    about:
      'What is kept when not everything fits. `mix`: data sets read in epochs stay, the rest competes by what it saves. ' +
      'See [EVICTION.md](EVICTION.md).',
  }),
  pin: described(globs, {
    value: 'GLOB',
    fallback: '',
    repeatable: true,
    about:
      'Once read, files that match are kept whatever else needs room. A path below the source (`models/**`, or `models` ' +
      'for all below it), or a name at any depth (`*.safetensors`). To pin without mounting anew, and bring the files: ' +
      '`ml-overlay warmup --pin`, see [WARMUP.md](WARMUP.md).',
  }),
  'never-cache': described(globs, {
    value: 'GLOB',
    fallback: '',
    repeatable: true,
    about: 'Files that match are never kept on disk. Globs as for `pin`, and stronger.',
  }),
  'never-cache-process': described(globs, {
    value: 'NAME',
    fallback: '',
    repeatable: true,
    about:
      'Nothing is kept on disk, or brought ahead, for processes of this name (`restic`, `clam*`): backup and other scanners, ' +
      'which read everything once. What is there serves them. The name is that of `ps -o comm`, without what follows its ' +
      '15th letter.',
  }),
  'attr-ttl': described(z.union([auto, duration]), {
    value: 'SECONDS|auto',
    fallback: 'auto',
    live: true,
    about:
      'The lease: how long attributes, names and cached content are believed without asking the source. `0`: every open ' +
      'asks. `auto`: 60 s for a source that may be slow, 5 s for a local one.',
  }),
  'negative-ttl': described(z.union([auto, duration]), {
    value: 'SECONDS|auto',
    fallback: 'auto',
    live: true,
    about: 'How long a name that does not exist is believed not to. `auto`: 1 s for a source that may be slow, else 0.',
  }),
  immutable: described(toggle, {
    value: '',
    fallback: 'off',
    about:
      'The source never changes: nothing is asked twice, and what earlier mounts with `immutable` learned of its names and ' +
      'attributes is believed (`metadata-disk`; a mount without `immutable`, or `cache clear`, forgets that). With `ro` the kernel also opens files by ' +
      'itself and keeps their pages for good: the fastest way for data that fit the memory, without passthrough.',
  }),
  ro: described(toggle, {
    value: '',
    fallback: 'off',
    about: 'Nothing can be changed through the mount. `rw`: the opposite.',
  }),
  'allow-other': described(z.union([auto, toggle]), {
    value: '',
    fallback: 'auto',
    about:
      'Users other than the one who mounts may enter. `auto`: on for root, off otherwise (an ordinary user needs ' +
      '`user_allow_other` in `/etc/fuse.conf`).',
  }),
  'control-files': described(z.enum(['owner', 'all', 'off']), {
    value: 'owner|all|off',
    fallback: 'owner',
    about:
      'Virtual files in `.mlo/` under the mountpoint (`stats`, `config`, `plan`), not listed and never in the source: readable by ' +
      'the user who mounted (`owner`) or by all who may enter the mount (they then see what others read), or not there ' +
      '(`off`; also with `transport=libfuse`). They hide a `.mlo` of the source.',
  }),
  telemetry: described(toggle, {
    value: '',
    fallback: 'on',
    about: 'Who reads what and who waits is counted, for `stats`. Off: to measure what that costs.',
  }),
  'metrics-listen': described(text(parseListen), {
    value: '[ADDRESS:]PORT|off',
    fallback: 'off',
    about:
      'Serves `/metrics` (Prometheus) and `/ready` on this TCP port, of the loopback address unless another is given; ' +
      'nothing else, and without a password: they tell paths and numbers of what is read. `0`: any free port, which ' +
      '`status` shows. See [MONITORING.md](MONITORING.md).',
  }),
  'sample-opens': described(text(parseSample), {
    value: 'N|off',
    fallback: '64',
    about:
      'What the kernel reads by itself (passthrough, kept pages) is estimated from opens that the daemon serves instead: ' +
      'one in N of them, more often at first, and for a share of 0.64/N of the time at most (a hundredth for 64). `off`: ' +
      'not known.',
  }),
  disable: described(z.array(z.enum(switchableCapabilities)), {
    value: 'CAPABILITY',
    fallback: '',
    repeatable: true,
    about: `Does without something the kernel could do, to compare or to work around: ${switchableCapabilities.map((name) => `\`${name}\``).join(', ')}.`,
  }),
  writeback: described(toggle, {
    value: '',
    fallback: 'off',
    about: 'The kernel may delay writes until fsync or close. Excludes passthrough.',
  }),
  transport: described(z.enum(['kernel', 'libfuse']), {
    value: 'kernel|libfuse',
    fallback: 'kernel',
    about: 'Speaks to the kernel directly, or through libfuse 2 (slower; for systems where the other does not work).',
  }),
  'source-user': described(z.union([auto, text(parseUser)]), {
    value: 'UID:GID',
    fallback: 'auto',
    about: 'Reads and writes the source as this user, for sources that do not let root in. `auto`: as the daemon.',
  }),
  'store-speed': described(z.enum(['auto', 'inline', 'pooled']), {
    value: 'auto|inline|pooled',
    fallback: 'auto',
    about:
      'Whether a call to the source may be slow (`pooled`: it runs aside) or never is (`inline`). `auto`: by the type of ' +
      'its file system and a measurement.',
  }),
  readahead: described(atLeast(parseSize, 0, KIB * MIB, 'a size of at most 1 GiB'), {
    value: 'SIZE',
    fallback: '1M',
    about:
      'How far the kernel reads ahead of a sequential reader; only root can set it. In a large file that is not in the ' +
      'cache yet the kernel reads ahead by no more than 32 KiB, unless it is a tar or files beside it were read on and on, and up to eight ' +
      'times as much as this is brought into the ' +
      'cache ahead of each reader, four times that much where it would wait for the source all the same. `0`: nothing is.',
  }),
  'passthrough-min': described(text(parseSize), {
    value: 'SIZE',
    fallback: '1M',
    live: true,
    about: 'Files of at least this size are handed to the kernel (passthrough); smaller ones stay in the page cache.',
  }),
  'chunk-size': described(z.union([auto, atLeast(parseSize, 4 * KIB, 64 * MIB, 'a size from 4 KiB to 64 MiB')]), {
    value: 'SIZE|auto',
    fallback: 'auto',
    about:
      'The unit in which large files are fetched and kept. `auto`: 64 KiB; of files from 4 GiB on 128 KiB, from 8 GiB on 256 KiB.',
  }),
  scrub: described(text(parseScrub), {
    value: 'SIZE|off',
    fallback: '8M',
    live: true,
    about:
      'What is kept is read from its disk and held against its checksums, this many bytes a second, while nobody else reads ' +
      'there; a pass a day at most. `off`: chunks are checked only at their first use after a start.',
  }),
  profile: described(z.enum(['none', 'training', 'serving', 'checkpointing', 'plain']), {
    value: 'training|serving|checkpointing|plain',
    fallback: 'none',
    about: 'A set of other options; each can still be given.',
  }),
  log: described(z.string().min(1), {
    value: 'stderr|journald|FILE',
    fallback: 'auto',
    about:
      'Where the daemon logs. `auto`: standard error in front (`-f`), else a file beside its control socket, removed ' +
      'after a clean end that had nothing to say.',
  }),
  'log-level': described(z.enum(['error', 'warn', 'info', 'debug']), {
    value: 'error|warn|info|debug',
    fallback: 'info',
    live: true,
    about: 'The least important that is logged. `-o debug` is short for `log-level=debug`.',
  }),
  'max-memory': described(z.union([auto, atLeast(parseSize, 64 * MIB, 2 ** 50, 'a size of at least 64 MiB')]), {
    value: 'SIZE|auto',
    fallback: 'auto',
    about:
      "Limit of the daemon's JavaScript heap. `auto`: an eighth of what the control group, else the machine, has; " +
      'from 128 MiB to 4 GiB.',
  }),
  'metadata-cache': described(z.union([auto, text(parseMetadataSize)]), {
    value: 'SIZE|auto|off',
    fallback: 'auto',
    about:
      'Memory for what is known of names and attributes of a source that may be slow. Within it, listing a directory has ' +
      'the attributes of all its entries asked for at once. `auto`: an eighth of `max-memory`, 64 MiB at most. `off`: each is asked for ' +
      'when it is wanted.',
  }),
  'metadata-disk': described(z.union([auto, text(parseMetadataSize)]), {
    value: 'SIZE|auto|off',
    fallback: 'auto',
    about:
      'With `immutable`, a cache, and a source that may be slow: disk beside the cache for names and attributes, so that the ' +
      'next mount with `immutable` asks for nothing again. `auto`: a 64th of the size of the cache, 16 MiB to 2 GiB; some ' +
      '150 bytes are a file. `off`, and every mount without `immutable`, forgets what earlier mounts kept.',
  }),
  prefetch: described(toggle, {
    value: 'on|off',
    fallback: 'on',
    about:
      'Brings what will be read next into the cache before it is read. Only with a cache, `telemetry`, and a source that may ' +
      'be slow.',
  }),
  bulk: described(z.enum(['auto', 'off', 'all']), {
    value: 'auto|off|all',
    fallback: 'auto',
    about:
      'Whether the rest of a data set that is read in an unknown order is brought at the speed of the source. `auto`: unless ' +
      'its job runs on several nodes (WORLD_SIZE, SLURM_NNODES in its environment), each of which reads a share. `off`: nor ' +
      'what a pass over the records of a large file, in another order than the one before, has not read.',
  }),
  'prefetch-workers': described(z.union([auto, atLeast(parseCount, 1, 1024, 'a number from 1 to 1024')]), {
    value: 'N|auto',
    fallback: 'auto',
    about:
      'Files, or parts of large ones, that are brought from the source at once, at most, while no reader waits for them. Within ' +
      'that goes what the source takes without making them wait for each other. `auto`, and more than it: five eighths of ' +
      'the requests that may be under way.',
  }),
  'store-limit': described(text(parseStoreLimit), {
    value: 'SIZE|off',
    fallback: 'off',
    about:
      'Bytes a second beyond which the source is asked for nothing that no reader waits for. What readers ask for counts, and ' +
      'is never held up.',
  }),
  'store-request-limit': described(text(parseRequestLimit), {
    value: 'N|off',
    fallback: 'off',
    about: 'The same in requests a second.',
  }),
  learn: described(offOnly('learn'), { value: 'off', fallback: 'off', about: 'Only `off` is built yet.' }),
});

export type Settings = z.output<typeof settingsSchema>;
export type OptionName = keyof Settings;
export const optionNames = Object.keys(settingsSchema.shape) as readonly OptionName[];

export function metaOf(name: OptionName): OptionMeta {
  return settingsSchema.shape[name].meta() as unknown as OptionMeta;
}

/** "attr-ttl" -> "MLO_ATTR_TTL". */
export function environmentName(name: OptionName): string {
  return `MLO_${name.toUpperCase().replaceAll('-', '_')}`;
}
