/**
 * Which mount a path lies below, and where there. By the table of mounts and the links on the way to it: the mount itself is
 * not looked at, its daemon resolves the rest. Everything here is in latin1, a character a byte: names need not be UTF-8.
 */
import { createReadStream, readlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { MloError } from '../errors.ts';
import { mountTable } from '../fuse/mount-table.ts';
import { utf8 } from './path-text.ts';

/** As many as the kernel follows. */
const LINKS_MOST = 40;

export interface Place {
  mountpoint: string;
  /** Below it; '' is the mountpoint itself. */
  below: string;
}

export class Places {
  readonly #mountpoints: ReadonlySet<string>;
  readonly #here = latin1(process.cwd());
  /** Lists name many files of one directory. */
  #last: { directory: string; place: Place } | undefined;

  constructor(mounts = mountTable().filter(({ type }) => type === 'fuse.ml-overlay')) {
    this.#mountpoints = new Set(mounts.map(({ mountpoint }) => latin1(mountpoint)));
  }

  /** Throws when it lies below no mount of ours. */
  of(path: string): Place {
    const whole = resolve(this.#here, path);
    const directory = dirname(whole);
    if (this.#last?.directory === directory && !this.#mountpoints.has(whole)) {
      const { mountpoint, below } = this.#last.place;
      const name = whole.slice(directory.length + 1);
      return { mountpoint, below: below === '' ? name : `${below}/${name}` };
    }
    const place = this.#find(whole);
    if (place === undefined) throw new MloError('MLO_NOT_MOUNTED', `no ml-overlay is mounted above ${utf8(path)}`);
    if (place.below !== '' && !place.below.includes('/')) this.#last = { directory, place: { ...place, below: '' } };
    else if (place.below !== '') this.#last = { directory, place: { ...place, below: dirname(place.below) } };
    return place;
  }

  #find(path: string): Place | undefined {
    let names = path.split('/').slice(1);
    let at = '';
    for (let links = 0; names.length > 0; ) {
      at += `/${names.shift()}`;
      if (this.#mountpoints.has(at)) return this.#innermost(at, names);
      const target = linkTarget(at);
      if (target === undefined) continue;
      if (++links > LINKS_MOST) return undefined;
      names = [...resolve(dirname(at), target).split('/').slice(1), ...names];
      at = '';
    }
    return undefined;
  }

  /** One mount may lie in another. */
  #innermost(mountpoint: string, names: readonly string[]): Place {
    for (let count = names.length; count > 0; count--) {
      const inner = `${mountpoint}/${names.slice(0, count).join('/')}`;
      if (this.#mountpoints.has(inner)) return { mountpoint: inner, below: names.slice(count).join('/') };
    }
    return { mountpoint, below: names.join('/') };
  }
}

/** readlink(2), unlike stat(2), asks nothing of a mount at that place. */
function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(Buffer.from(path, 'latin1'), { encoding: 'latin1' });
  } catch {
    return undefined;
  }
}

export function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** The lines of a file, or of standard input (`-`), that are not empty. */
export async function* linesOf(list: string): AsyncGenerator<string> {
  const input = list === '-' ? process.stdin : createReadStream(list);
  let rest = '';
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      const lines = (rest + chunk.toString('latin1')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield line;
    }
  } catch (error) {
    throw new MloError(
      'MLO_USAGE',
      `cannot read ${list}: ${(error as Error).message}`,
      'name a file with a path a line',
    );
  }
  if (rest !== '') yield rest;
}
