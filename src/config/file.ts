/**
 * The configuration file:
 *
 *     defaults:
 *       attr-ttl: 60
 *     mounts:
 *       - source: /mnt/beegfs/imagenet
 *         mountpoint: /mnt/ml
 *         cache: /nvme/ml-overlay:500G
 *         options: [ro, noatime]
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { MloError } from '../errors.ts';
import { isOn, type MountOptionList, parseMountOptions, setFlag } from './mount-options.ts';

export interface Section extends MountOptionList {
  origin: string;
  /** `mount --all` leaves it out. */
  noauto: boolean;
}

export interface ConfiguredMount {
  source: string;
  mountpoint: string;
  section: Section;
}

export interface ConfigurationFile {
  path: string;
  defaults: Section | undefined;
  mounts: ConfiguredMount[];
}

/** /etc/ml-overlay/config.yaml; for an ordinary user their own where there is one. */
export function defaultConfigurationPath(environment: NodeJS.ProcessEnv = process.env): string {
  const system = '/etc/ml-overlay/config.yaml';
  if (process.getuid?.() === 0) return system;
  const home =
    environment.XDG_CONFIG_HOME ?? (environment.HOME === undefined ? undefined : `${environment.HOME}/.config`);
  const own = home?.startsWith('/') ? `${home}/ml-overlay/config.yaml` : undefined;
  return own !== undefined && existsSync(own) ? own : system;
}

/** `path`: as given with --config, which must be there; undefined: the usual one, which need not. */
export async function readConfiguration(path: string | undefined): Promise<ConfigurationFile> {
  const from = resolve(path ?? process.env.MLO_CONFIG ?? defaultConfigurationPath());
  const required = path !== undefined || process.env.MLO_CONFIG !== undefined;
  let text: string;
  try {
    text = readFileSync(from, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && !required) return { path: from, defaults: undefined, mounts: [] };
    throw new MloError('MLO_CONFIG', `cannot read ${from}: ${code}`);
  }
  return parseConfiguration(from, text);
}

export async function parseConfiguration(path: string, text: string): Promise<ConfigurationFile> {
  const { parse } = await import('yaml');
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    throw new MloError('MLO_CONFIG', `${path}: ${(error as Error).message.split('\n')[0]}`);
  }
  const { defaults, mounts = [], ...others } = record(content ?? {}, path);
  const stranger = Object.keys(others)[0];
  if (stranger !== undefined)
    throw new MloError('MLO_CONFIG', `${path}: "${stranger}" is neither "defaults" nor "mounts"`);
  if (!Array.isArray(mounts)) throw new MloError('MLO_CONFIG', `${path}: mounts is no list`);
  return {
    path,
    defaults:
      defaults === undefined ? undefined : sectionOf(record(defaults, `${path}, defaults`), `${path}, defaults`),
    mounts: mounts.map((mount: unknown, at) => mountOf(mount, `${path}, mounts[${at}]`)),
  };
}

function mountOf(value: unknown, origin: string): ConfiguredMount {
  const { source, mountpoint, ...options } = record(value, origin);
  const absolute = (path: unknown): path is string => typeof path === 'string' && path.startsWith('/');
  if (!absolute(source)) throw new MloError('MLO_CONFIG', `${origin}: source is no absolute path`);
  if (!absolute(mountpoint)) throw new MloError('MLO_CONFIG', `${origin}: mountpoint is no absolute path`);
  return { source, mountpoint: resolve(mountpoint), section: sectionOf(options, origin) };
}

/** Options by name; `options` holds what would stand after -o, as text or list. */
function sectionOf(values: Record<string, unknown>, origin: string): Section {
  const { options, ...named } = values;
  const texts = options === undefined ? [] : list(options, `${origin}, options`);
  const parsed = parseMountOptions(texts);
  for (const [name, value] of Object.entries(named)) {
    for (const text of list(value, `${origin}, ${name}`)) {
      const own = saidIn(origin, () => parseMountOptions([`${name}=${text.replace(/[\\,]/g, '\\$&')}`]));
      parsed.options.push(...own.options);
      for (const flag of own.flags) setFlag(parsed, flag, true);
      for (const flag of own.cleared) setFlag(parsed, flag, false);
    }
  }
  const said = texts.some((text) => text.split(',').some((each) => each.trim() === 'noauto'));
  const noauto =
    said || (values.noauto !== undefined && saidIn(origin, () => isOn('noauto', String(values.noauto ?? ''))));
  return { origin, ...parsed, noauto };
}

/** An error of what stands there says where that is. */
function saidIn<T>(origin: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new MloError('MLO_CONFIG', `${origin}, ${(error as Error).message}`);
  }
}

function list(value: unknown, where: string): string[] {
  return (Array.isArray(value) ? value : [value]).map((each: unknown) => {
    if (each === null) return '';
    if (['string', 'number', 'boolean'].includes(typeof each)) return String(each);
    throw new MloError('MLO_CONFIG', `${where}: takes text, a number, or on or off`);
  });
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new MloError('MLO_CONFIG', `${where}: takes names with values`);
}

/** The last that names the mountpoint. */
export function findEntry(file: ConfigurationFile, mountpoint: string): ConfiguredMount | undefined {
  return file.mounts.findLast((mount) => mount.mountpoint === mountpoint);
}
