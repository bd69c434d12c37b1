/**
 * Puts the options of a mount together from everywhere they can be said. The nearest to the user wins:
 * flag > -o > environment > the mount's entry in the file > the file's defaults > profile > default.
 */
import { MloError } from '../errors.ts';
import type { OptionText } from './mount-options.ts';
import { nearest } from './nearest.ts';
import { profiles } from './profiles.ts';
import {
  environmentName,
  metaOf,
  NOT_BUILT,
  type OptionName,
  optionNames,
  type Settings,
  settingsSchema,
} from './schema.ts';

/** Values as text, and where they were said: "-o", "environment (MLO_CACHE)", "/etc/ml-overlay/config.yaml, mounts[0]". */
export interface Layer {
  origin: string;
  options: readonly OptionText[];
}

export interface Resolved {
  settings: Settings;
  /** Where each came from. */
  origins: Record<OptionName, string>;
  /** As it was written. */
  texts: Record<OptionName, string>;
}

interface Said {
  values: string[];
  origin: string;
}

export function environmentLayers(environment: NodeJS.ProcessEnv): Layer[] {
  const layers: Layer[] = [];
  for (const name of optionNames) {
    const variable = environmentName(name);
    const text = environment[variable];
    if (text === undefined) continue;
    const values = metaOf(name).repeatable ? text.split(',').filter((value) => value !== '') : [text];
    layers.push({ origin: `environment (${variable})`, options: values.map((value) => ({ name, value })) });
  }
  return layers;
}

/** `layers`: the strongest first. */
export function resolve(layers: readonly Layer[]): Resolved {
  const said = new Map<OptionName, Said>();
  for (const layer of layers) gather(said, layer);
  const profile = said.get('profile')?.values.at(-1) ?? 'none';
  const ofProfile = Object.entries(profiles[profile]?.sets ?? {}).map(([name, { value }]) => ({ name, value }));
  gather(said, { origin: `profile ${profile}`, options: ofProfile });

  const input: Record<string, string | string[]> = {};
  const origins: Record<string, string> = {};
  const texts: Record<string, string> = {};
  for (const name of optionNames) {
    const { fallback, repeatable } = metaOf(name);
    const found = said.get(name) ?? { values: fallback === '' ? [] : [fallback], origin: 'default' };
    input[name] = repeatable ? found.values : (found.values.at(-1) ?? '');
    origins[name] = found.origin;
    texts[name] = found.values.join(', ');
  }
  const parsed = settingsSchema.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const name = String(issue?.path[0]) as OptionName;
    throw wrongValue(name, texts[name] ?? '', issue?.message ?? '', origins[name] ?? '');
  }
  return { settings: parsed.data, origins, texts };
}

/** Takes from a layer what no stronger one said; within a layer the last wins, and repeatable ones add up. */
function gather(said: Map<OptionName, Said>, layer: Layer): void {
  const here = new Map<OptionName, string[]>();
  for (const { name, value } of layer.options) {
    const known = knownName(name, layer.origin);
    const values = here.get(known);
    if (values === undefined) here.set(known, [value]);
    else if (metaOf(known).repeatable) values.push(value);
    else values.splice(0, 1, value);
  }
  for (const [name, values] of here) if (!said.has(name)) said.set(name, { values, origin: layer.origin });
}

function knownName(name: string, origin: string): OptionName {
  const plain = name.replaceAll('_', '-');
  if ((optionNames as readonly string[]).includes(plain)) return plain as OptionName;
  throw unknownOption(name, origin);
}

export function unknownOption(name: string, origin: string): MloError {
  const near = nearest(name, [...optionNames, 'rw', 'debug']);
  const remedy = near === undefined ? undefined : `did you mean "${near}"?`;
  return new MloError('MLO_OPTION', `there is no option "${name}" (from ${origin})`, remedy);
}

function wrongValue(name: OptionName, text: string, message: string, origin: string): MloError {
  const at = message.indexOf(NOT_BUILT);
  if (at >= 0) {
    const what = message.slice(at + NOT_BUILT.length);
    return new MloError('MLO_NOT_BUILT', `${name}=${text} (from ${origin}): ${what} is not built yet`);
  }
  const words = name === 'disable' ? capabilityWords() : metaOf(name).value.split('|');
  const choice = name === 'disable' ? words.join(', ') : metaOf(name).value || 'on or off';
  const takes = message.startsWith('takes ') ? message : `takes ${choice}`;
  const wrong = text.split(', ').find((each) => !words.includes(each)) ?? text;
  const near = nearest(wrong, words);
  const hint = near === undefined ? takes : `did you mean "${near}"? It ${takes}`;
  return new MloError('MLO_OPTION', `${name} cannot be "${text}" (from ${origin})`, hint);
}

function capabilityWords(): string[] {
  return settingsSchema.shape.disable.element.options;
}
