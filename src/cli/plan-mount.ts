/** From what was said, wherever it was said, to what the daemon is asked to do. */
import { resolve as absolute } from 'node:path';
import type { DaemonRequest } from '../config/daemon-request.ts';
import { type ConfigurationFile, findEntry, readConfiguration } from '../config/file.ts';
import { type KernelFlag, kernelFlags, parseMountOptions } from '../config/mount-options.ts';
import { environmentLayers, type Layer, resolve } from '../config/resolve.ts';
import { runtimeDirectory } from '../control/registry.ts';
import { MloError } from '../errors.ts';
import type { MountWords } from './mount-words.ts';

/** What fstab has where there is no source. */
const NO_SOURCE = new Set(['none', 'ml-overlay', '']);

export async function planMount(words: MountWords, file?: ConfigurationFile): Promise<DaemonRequest> {
  if (words.mountpoint === undefined)
    throw new MloError('MLO_USAGE', 'mount: which mountpoint?', 'ml-overlay mount SOURCE MOUNTPOINT');
  const mountpoint = absolute(words.mountpoint);
  const configuration = file ?? (await readConfiguration(words.config));
  const entry = findEntry(configuration, mountpoint);
  const said = words.source !== undefined && !NO_SOURCE.has(words.source) ? words.source : undefined;
  const source = said ?? entry?.source;
  if (source === undefined) {
    throw new MloError(
      'MLO_CONFIG',
      `${configuration.path} has no mount at ${mountpoint}, and no source was given`,
      'give one: ml-overlay mount SOURCE MOUNTPOINT',
    );
  }
  const onLine = parseMountOptions(words.options, words.byHelper);
  const layers: Layer[] = [
    { origin: 'command line', options: words.flags },
    { origin: '-o', options: onLine.options },
    ...environmentLayers(process.env),
  ];
  for (const section of [entry?.section, configuration.defaults]) {
    if (section !== undefined) layers.push({ origin: section.origin, options: section.options });
  }
  const flags = new Set<KernelFlag>();
  // What is nearer to the command wins.
  for (const layer of [configuration.defaults, entry?.section, onLine]) {
    for (const flag of layer?.cleared ?? []) flags.delete(flag);
    for (const flag of layer?.flags ?? []) flags.add(flag);
  }
  const { settings, origins, texts } = resolve(layers);
  const { cache, log } = settings;
  for (const tier of cache.kind === 'tiers' ? cache.tiers : []) {
    if (tier.kind === 'directory') tier.directory = absolute(tier.directory);
  }
  if (!['auto', 'stderr', 'journald'].includes(log)) settings.log = absolute(log);
  return {
    source: absolute(source),
    mountpoint,
    settings,
    flags: kernelFlags.filter((flag) => flags.has(flag)),
    origins,
    texts,
    foreground: words.foreground,
    runtimeDirectory: runtimeDirectory(),
  };
}
