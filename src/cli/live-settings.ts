/**
 * Changes what may change while mounted. All of a request is checked before any of it is applied. The schema is loaded when
 * somebody asks: a daemon that is never changed has no parser in memory.
 */
import type { OptionName, Settings, TierWish } from '../config/schema.ts';
import { MloError } from '../errors.ts';
import { leases } from './assemble.ts';
import { type EffectiveCache, refuseTooMuchMemory, tierPath } from './cache-places.ts';
import type { DaemonParts } from './control-handlers.ts';

/** Refuses what this mount cannot do, and returns how to apply the rest. Both are as asked for; what is kept may be changed. */
type Change = (parts: DaemonParts, settings: Settings, texts: Record<OptionName, string>) => () => void;

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
  cache: ({ assembly, request }, settings, texts) => {
    const { cache, effective } = assembly;
    const place = effective.cache;
    const { path, sizeBytes } = sizeWished(settings, place, request.settings);
    return () => {
      if (place === 'none') return;
      void cache?.resize(path, sizeBytes);
      for (const tier of place.tiers) if (tier.path === path) tier.sizeBytes = sizeBytes;
      place.sizeBytes = place.tiers.reduce((sum, tier) => sum + tier.sizeBytes, 0);
      settings.cache = { kind: 'tiers', tiers: place.tiers.map(wishOf) };
      const before = (request.texts.cache ?? '').split(', '); // one for each tier
      texts.cache = place.tiers.map((tier, at) => (tier.path === path ? texts.cache : before[at])).join(', ');
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

function wishOf({ path, sizeBytes }: { path: string; sizeBytes: number }): TierWish {
  return path.startsWith('/') ? { kind: 'directory', directory: path, sizeBytes } : { kind: 'memory', sizeBytes };
}

function sizeWished(
  { cache: wish }: Settings,
  place: 'none' | EffectiveCache,
  now: Settings,
): { path: string; sizeBytes: number } {
  const cannot = (what: string, remedy: string): MloError => new MloError('MLO_OPTION', `cache: ${what}`, remedy);
  if (place === 'none') throw cannot('this mount has none, and gets none while mounted', MOUNT_ANEW);
  const [tier, ...others] = wish.kind === 'tiers' ? wish.tiers : [];
  const path = tier && tierPath(tier);
  if (tier?.sizeBytes === undefined || others.length > 0 || !place.tiers.some((each) => each.path === path)) {
    const ways = place.tiers.map((each) => `cache=${each.path}:SIZE`).join(' or ');
    throw cannot('only its size can change while mounted', `ml-overlay set MOUNTPOINT ${ways}`);
  }
  const { sizeBytes } = tier;
  if (sizeBytes < SMALLEST_CACHE_BYTES) throw cannot(`${sizeBytes} bytes hold nothing`, 'give it at least 1M');
  if (tier.kind === 'memory') refuseTooMuchMemory(sizeBytes, now);
  return { path: tierPath(tier), sizeBytes };
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
    if (change !== undefined) return change(parts, settings, texts);
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
