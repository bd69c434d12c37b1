/**
 * Changes what may change while mounted. All of a request is checked before any of it is applied. The schema is loaded when
 * somebody asks: a daemon that is never changed has no parser in memory.
 */
import type { CacheWish, OptionName, Settings } from '../config/schema.ts';
import { MloError } from '../errors.ts';
import { leases } from './assemble.ts';
import type { DaemonParts } from './control-handlers.ts';

/** Refuses what this mount cannot do, and returns how to apply the rest. */
type Change = (parts: DaemonParts, settings: Settings) => () => void;

const SMALLEST_CACHE_BYTES = 1024 * 1024;

const changes: Partial<Record<OptionName, Change>> = {
  'log-level':
    ({ log }, settings) =>
    () => {
      log.level = settings['log-level'];
    },
  'attr-ttl': lease('attr-ttl', 'attributesTtlMs'),
  'negative-ttl': lease('negative-ttl', 'negativeTtlMs'),
  'passthrough-min':
    ({ assembly }, settings) =>
    () =>
      assembly.overlay.change({ passthroughMinBytes: settings['passthrough-min'] }),
  scrub:
    ({ assembly }, { scrub }) =>
    () =>
      assembly.cache?.setScrubRate(scrub),
  cache: ({ assembly }, { cache: wish }) => {
    const { cache, effective } = assembly;
    const place = effective.cache;
    const sizeBytes = sizeWished(wish, place === 'none' ? undefined : place.directory);
    return () => {
      cache?.resize(sizeBytes);
      if (place !== 'none') place.sizeBytes = sizeBytes;
    };
  },
};

function lease(name: 'attr-ttl' | 'negative-ttl', key: 'attributesTtlMs' | 'negativeTtlMs'): Change {
  return ({ request, assembly }, settings) => {
    if (request.settings.immutable) {
      throw new MloError('MLO_OPTION', `${name} means nothing here: with immutable nothing is asked twice`, MOUNT_ANEW);
    }
    if (request.settings.transport === 'libfuse') {
      throw new MloError('MLO_OPTION', `${name} cannot change: libfuse was told when it mounted`, MOUNT_ANEW);
    }
    const value = leases(settings, assembly.store.speed)[key];
    return () => {
      assembly.overlay.change({ [key]: value });
      assembly.effective[key] = value;
    };
  };
}

const MOUNT_ANEW = 'unmount, and mount with it';

function sizeWished(wish: CacheWish, directory: string | undefined): number {
  const cannot = (what: string, remedy: string): MloError => new MloError('MLO_OPTION', `cache: ${what}`, remedy);
  if (directory === undefined) throw cannot('this mount has none, and gets none while mounted', MOUNT_ANEW);
  const { sizeBytes } = wish.kind === 'directory' ? wish : {};
  if (wish.kind !== 'directory' || wish.directory !== directory || sizeBytes === undefined) {
    throw cannot('only its size can change while mounted', `ml-overlay set MOUNTPOINT cache=${directory}:SIZE`);
  }
  if (sizeBytes < SMALLEST_CACHE_BYTES) throw cannot(`${sizeBytes} bytes hold nothing`, 'give it at least 1M');
  return sizeBytes;
}

/** Returns what was asked for, as it now is. */
export async function changeLive(parts: DaemonParts, wanted: Record<string, string>): Promise<Record<string, string>> {
  const { request, log } = parts;
  const [{ resolve }, { metaOf, optionNames }] = await Promise.all([
    import('../config/resolve.ts'),
    import('../config/schema.ts'),
  ]);
  const options = Object.entries(wanted).map(([name, value]) => ({ name, value }));
  const { settings, origins, texts } = resolve([{ origin: 'set', options }]);
  const names = optionNames.filter((name) => origins[name] === 'set');
  const live = optionNames.filter((name) => metaOf(name).live === true);
  const apply = names.map((name) => {
    const change = live.includes(name) ? changes[name] : undefined;
    if (change !== undefined) return change(parts, settings);
    const remedy = `${MOUNT_ANEW}; what can change: ${live.join(', ')}`;
    throw new MloError('MLO_OPTION', `${name} cannot change while mounted`, remedy);
  });
  for (const each of apply) each();
  const now: Record<string, string> = {};
  for (const name of names) {
    Object.assign(request.settings, { [name]: settings[name] });
    request.texts[name] = texts[name];
    request.origins[name] = 'set';
    now[name] = texts[name];
  }
  log.log.info(now, 'settings changed');
  return now;
}
