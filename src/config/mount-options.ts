/**
 * The text after -o, as mount(8), fstab and people write it: ours, those of every file system (flags of mount(2)), and
 * those that only mount(8), systemd or libfuse act on.
 */
import { MloError } from '../errors.ts';
import { parseSwitch } from './units.ts';

export interface OptionText {
  name: string;
  value: string;
}

/** Flags of mount(2) beside ro; the first of a pair is the one the kernel is told. */
export const kernelFlags = [
  'nosuid',
  'nodev',
  'noexec',
  'sync',
  'dirsync',
  'noatime',
  'nodiratime',
  'relatime',
  'strictatime',
  'lazytime',
] as const;
export type KernelFlag = (typeof kernelFlags)[number];

/** What takes a flag back, or says what is so anyway. */
const opposites: Readonly<Record<string, KernelFlag>> = {
  suid: 'nosuid',
  dev: 'nodev',
  exec: 'noexec',
  async: 'sync',
  atime: 'noatime',
  diratime: 'nodiratime',
  norelatime: 'relatime',
  nostrictatime: 'strictatime',
  nolazytime: 'lazytime',
};

/** Acted on by others, or true of every mount of ours. */
const ignored = new Set([
  'defaults',
  'auto',
  'noauto',
  'nofail',
  '_netdev',
  'nouser',
  'silent',
  'loud',
  'default_permissions',
  'nonempty',
  'big_writes',
]);
/** mount(8) has these mean nosuid, nodev and noexec too, and says so itself. */
const byUsers = new Set(['user', 'users', 'owner', 'group']);

/** Other names of ours: libfuse's and the short ones. */
const aliases: Readonly<Record<string, OptionText>> = {
  rw: { name: 'ro', value: 'off' },
  allow_other: { name: 'allow-other', value: 'on' },
  debug: { name: 'log-level', value: 'debug' },
  nowriteback: { name: 'writeback', value: 'off' },
};

export interface MountOptionList {
  /** Options of ours, in order. */
  options: OptionText[];
  flags: Set<KernelFlag>;
  /** Those that it takes back: what is farther from the command may set them. */
  cleared: Set<KernelFlag>;
}

/** Splits at commas that are not escaped by a backslash. */
function split(text: string): string[] {
  const parts = text.match(/(?:\\.|[^,\\])+/gs) ?? [];
  return parts.map((part) => part.replace(/\\(.)/gs, '$1'));
}

/**
 * `byHelper`: the text comes from mount(8), which says rw, suid, dev and exec whether the user did or not; they then mean
 * nothing.
 */
export function parseMountOptions(texts: readonly string[], byHelper = false): MountOptionList {
  const list: MountOptionList = { options: [], flags: new Set(), cleared: new Set() };
  for (const text of texts) {
    for (const part of split(text)) {
      const equals = part.indexOf('=');
      const name = (equals < 0 ? part : part.slice(0, equals)).trim();
      const value = equals < 0 ? '' : part.slice(equals + 1);
      take(list, name, value, byHelper);
    }
  }
  return list;
}

function take(list: MountOptionList, name: string, value: string, byHelper: boolean): void {
  const opposite = opposites[name];
  if (name === '' || ignored.has(name) || /^(x-|X-|comment$|nofail$)/.test(name)) return;
  if ((kernelFlags as readonly string[]).includes(name)) setFlag(list, name as KernelFlag, isOn(name, value));
  else if (opposite !== undefined) setFlag(list, opposite, !isOn(name, value), byHelper);
  else if (byUsers.has(name)) {
    if (isOn(name, value)) for (const flag of ['nosuid', 'nodev', 'noexec'] as const) setFlag(list, flag, true);
  } else if (name === 'rw' && byHelper) return;
  else list.options.push(aliases[name] ?? { name, value });
}

/** What a flag is given as its value: none is on. */
export function isOn(name: string, value: string): boolean {
  try {
    return parseSwitch(value);
  } catch (error) {
    throw new MloError('MLO_OPTION', `${name}: takes ${(error as Error).message}`);
  }
}

/** The last word counts. `unasked`: the opposite that mount(8) says by itself takes nothing back that is said elsewhere. */
export function setFlag({ flags, cleared }: MountOptionList, flag: KernelFlag, on: boolean, unasked = false): void {
  if (on) {
    flags.add(flag);
    cleared.delete(flag);
    return;
  }
  flags.delete(flag);
  if (!unasked) cleared.add(flag);
}
