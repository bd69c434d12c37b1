/** What is always kept, and what never is, by path below the source. */
import { matchesGlob } from 'node:path';
import { NO_PIN, type Pin, type Pins } from './pins.ts';

/** Globs. */
export interface PathRules {
  pin: readonly string[];
  neverCache: readonly string[];
}

/** The number of a pin; or one of these. */
export type Rule = number;
export const NO_RULE: Rule = NO_PIN;
export const NEVER_CACHE: Rule = -1;

/** Decisions by globs remembered; beyond that they are made anew. */
const REMEMBERED = 65_536;

/**
 * A glob matches a path as a whole, `**` for any depth, or any directory above it: `models` means all below it. One without
 * a slash matches names at any depth. Never-cache wins.
 */
export class Rules {
  readonly pins: Pins;
  readonly #pin: readonly string[];
  readonly #never: readonly string[];
  readonly #known = new Map<string, Rule>();

  /** The globs to pin are those of `pins`. */
  constructor(pins: Pins, neverCache: readonly string[]) {
    this.pins = pins;
    this.#pin = pins.globs;
    this.#never = neverCache;
  }

  /** Of a file, by its key; `path` is asked for where it matters. What globs say is remembered: a renamed file keeps it for a while. */
  of(file: string, path: () => string): Rule {
    const rule = this.#pin.length + this.#never.length === 0 ? NO_RULE : this.#byGlobs(file, path);
    return rule === NO_RULE && this.pins.anyPaths ? this.pins.of(path()) : rule;
  }

  /** The pin of a file, if it has one. */
  pinOf(file: string, path: () => string): Pin | undefined {
    const rule = this.of(file, path);
    return isPin(rule) ? this.pins.named(rule) : undefined;
  }

  #byGlobs(file: string, path: () => string): Rule {
    const known = this.#known.get(file);
    if (known !== undefined) return known;
    if (this.#known.size >= REMEMBERED) this.#known.clear();
    const text = Buffer.from(path(), 'latin1').toString('utf8');
    const rule = matching(text, this.#never) === undefined ? this.#pinnedBy(text) : NEVER_CACHE;
    this.#known.set(file, rule);
    return rule;
  }

  #pinnedBy(text: string): Rule {
    const glob = matching(text, this.#pin);
    return glob === undefined ? NO_RULE : this.pins.ofGlob(glob);
  }
}

export function isPin(rule: Rule): boolean {
  return rule > NO_PIN;
}

/** The first glob that matches. */
function matching(path: string, globs: readonly string[]): string | undefined {
  return globs.find((glob) => {
    if (!glob.includes('/')) return path.split('/').some((name) => matchesGlob(name, glob));
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      if (matchesGlob(path.slice(0, end), glob)) return true;
    }
    return false;
  });
}
