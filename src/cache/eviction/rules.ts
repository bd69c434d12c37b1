/** What is always kept, and what never is, by path below the source. */
import { matchesGlob } from 'node:path';

export interface PathRules {
  pin: readonly string[];
  neverCache: readonly string[];
}

export type Rule = 'pin' | 'never' | 'none';

/** Decisions remembered; beyond that they are made anew. */
const REMEMBERED = 65_536;

/**
 * A glob matches a path as a whole, `**` for any depth, or any directory above it: `models` means all below it. One without
 * a slash matches names at any depth. Never-cache wins.
 */
export class Rules {
  readonly #pin: readonly string[];
  readonly #never: readonly string[];
  readonly #known = new Map<string, Rule>();

  constructor({ pin, neverCache }: PathRules) {
    this.#pin = pin;
    this.#never = neverCache;
  }

  get none(): boolean {
    return this.#pin.length + this.#never.length === 0;
  }

  /** Of a file, by its key; `path` is asked for where it is not remembered: a renamed file keeps its rule for a while. */
  of(file: string, path: () => string): Rule {
    if (this.none) return 'none';
    const known = this.#known.get(file);
    if (known !== undefined) return known;
    if (this.#known.size >= REMEMBERED) this.#known.clear();
    const text = Buffer.from(path(), 'latin1').toString('utf8');
    const rule = matchesAny(text, this.#never) ? 'never' : matchesAny(text, this.#pin) ? 'pin' : 'none';
    this.#known.set(file, rule);
    return rule;
  }
}

function matchesAny(path: string, globs: readonly string[]): boolean {
  return globs.some((glob) => {
    if (!glob.includes('/')) return path.split('/').some((name) => matchesGlob(name, glob));
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      if (matchesGlob(path.slice(0, end), glob)) return true;
    }
    return false;
  });
}
