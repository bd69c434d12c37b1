/** What the store was told to do wrong: hang, fail or shorten, for all requests or by path and kind. */
import { Errno, type ErrnoName, type Failure } from '../../src/sys/errno.ts';

/** Kinds of request, named as the file system's operations. */
export type Kind =
  | 'lookup'
  | 'getattr'
  | 'setattr'
  | 'readlink'
  | 'mknod'
  | 'mkdir'
  | 'symlink'
  | 'link'
  | 'unlink'
  | 'rmdir'
  | 'rename'
  | 'open'
  | 'create'
  | 'tmpfile'
  | 'read'
  | 'write'
  | 'flush'
  | 'fsync'
  | 'fallocate'
  | 'lseek'
  | 'copy_file_range'
  | 'opendir'
  | 'readdir'
  | 'fsyncdir'
  | 'getxattr'
  | 'setxattr'
  | 'listxattr'
  | 'removexattr'
  | 'statfs'
  | 'access';

export interface Match {
  /** A glob over the path below the source, without a leading slash; `*` crosses no slash, `**` does. Absent: any. */
  path?: string;
  /** Absent: every kind. */
  kinds?: Kind[];
  /** How many requests it meets before it ends; absent: no end. */
  count?: number;
}

export interface Hang extends Match {
  /** Absent: until released. */
  seconds?: number;
}
export interface Fail extends Match {
  errno: ErrnoName;
}
export interface Shorten extends Match {
  /** A read returns at most this much; 0 looks like the end of the file. */
  bytes: number;
}

export interface Verdict {
  /** Resolves when the request may go on. */
  hang: Promise<void> | undefined;
  failure: Failure;
  shortenTo: number;
}

interface Rule {
  match: (kind: Kind, path: string) => boolean;
  left: number;
  failure: Failure;
  shortenTo: number;
  gate: Promise<void> | undefined;
  open: () => void;
}

export const nothingWrong: Verdict = { hang: undefined, failure: 0, shortenTo: Number.POSITIVE_INFINITY };

export function globExpression(glob: string): RegExp {
  const source = glob.replace(/\*\*\/?|[*?]|[.+^${}()|[\]\\]/g, (found) => {
    if (found === '**/') return '(?:.*/)?';
    if (found === '**') return '.*';
    if (found === '*') return '[^/]*';
    if (found === '?') return '[^/]';
    return `\\${found}`;
  });
  return new RegExp(`^${source}$`, 's');
}

export class Rules {
  #rules: Rule[] = [];

  /** Nothing is wrong at present: paths need not be worked out. */
  get idle(): boolean {
    return this.#rules.length === 0;
  }

  hang(what: Hang): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const rule = this.#add(what, { gate: promise, open: resolve });
    if (what.seconds !== undefined) setTimeout(() => this.#end(rule), what.seconds * 1000).unref();
  }

  fail(what: Fail): void {
    const errno = Errno[what.errno];
    if (errno === undefined) throw new Error(`unknown errno ${what.errno}`);
    this.#add(what, { failure: -errno });
  }

  shorten(what: Shorten): void {
    this.#add({ ...what, kinds: ['read'] }, { shortenTo: what.bytes });
  }

  /** Lets everything that hangs go on and ends the rules that made it. */
  release(): void {
    for (const rule of this.#rules.filter((candidate) => candidate.gate !== undefined)) this.#end(rule);
  }

  /** Ends every rule. */
  clear(): void {
    for (const rule of [...this.#rules]) this.#end(rule);
  }

  judge(kind: Kind, path: string): Verdict {
    let verdict = nothingWrong;
    for (const rule of [...this.#rules]) {
      if (!rule.match(kind, path)) continue;
      verdict = {
        hang: verdict.hang ?? rule.gate,
        failure: verdict.failure || rule.failure,
        shortenTo: Math.min(verdict.shortenTo, rule.shortenTo),
      };
      // a hang met often enough catches nobody else, but keeps hold of those it has
      if (--rule.left <= 0 && rule.gate === undefined) this.#end(rule);
    }
    return verdict;
  }

  #add(what: Match, effect: Partial<Rule>): Rule {
    const path = what.path === undefined ? undefined : globExpression(what.path);
    const kinds = what.kinds === undefined ? undefined : new Set(what.kinds);
    const rule: Rule = {
      match: (kind, at) => rule.left > 0 && (kinds?.has(kind) ?? true) && (path?.test(at) ?? true),
      left: what.count ?? Number.POSITIVE_INFINITY,
      failure: 0,
      shortenTo: Number.POSITIVE_INFINITY,
      gate: undefined,
      open: () => {},
      ...effect,
    };
    this.#rules.push(rule);
    return rule;
  }

  #end(rule: Rule): void {
    this.#rules = this.#rules.filter((other) => other !== rule);
    rule.open();
  }
}
