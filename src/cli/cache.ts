/** ml-overlay cache list | check | clear DIR */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  type Checked,
  type Cleared,
  cachesIn,
  checkCache,
  clearCache,
  contentsOf,
  type DamagedObject,
  type IndexContents,
  pinsOf,
  type SourceCache,
} from '../cache/upkeep.ts';
import { formatSize } from '../config/units.ts';
import { Exit, MloError } from '../errors.ts';
import type { PinStats } from '../telemetry/stats.ts';
import { pinStats } from './pin-stats.ts';
import { clean } from './stats-text.ts';

export const help = `Usage: ml-overlay cache list DIR [--objects] [--json]
       ml-overlay cache check DIR [--json]
       ml-overlay cache clear DIR [--json]

DIR is what --cache was given; it may hold the caches of several sources. A cache that a mount uses is only named by list,
and refused by the others: unmount first.

list: of each source how many files are cached and how much of them, and what is pinned.

  --objects  each file too: its number at the source, its size, the bytes that are there, when it was last used

check: reads everything and holds it against its checksums. Exit status 2 when anything is damaged; a mount fetches what is
damaged again by itself.

clear: removes it all, at once and without asking. What ml-overlay did not put there stays.
`;

const actions = { list, check, clear } as const;

export async function run([action, ...words]: string[]): Promise<number> {
  if (action === '--help' || action === '-h') return console.log(help.trimEnd()) ?? 0;
  if (action === undefined || !Object.hasOwn(actions, action)) {
    throw new MloError('MLO_USAGE', 'cache takes list, check or clear', 'see ml-overlay help cache');
  }
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      objects: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [directory, ...more] = positionals;
  if (directory === undefined || more.length > 0) throw new MloError('MLO_USAGE', `cache ${action} takes one DIR`);
  if (values.objects && action !== 'list') throw new MloError('MLO_USAGE', '--objects is for cache list');
  const caches = opened(directory);
  try {
    return actions[action as keyof typeof actions](caches, values);
  } finally {
    for (const cache of caches) cache.close();
  }
}

interface Wishes {
  json: boolean;
  objects: boolean;
}

function opened(directory: string): SourceCache[] {
  const remedy = 'give the DIR of --cache DIR:SIZE; ml-overlay status shows it for what is mounted';
  if (!existsSync(directory)) throw new MloError('MLO_NO_CACHE', `${directory} does not exist`, remedy);
  let caches: SourceCache[];
  try {
    caches = cachesIn(directory);
  } catch (error) {
    throw new MloError('MLO_NO_CACHE', `${directory} cannot be read: ${(error as Error).message}`, remedy);
  }
  if (caches.length === 0) throw new MloError('MLO_NO_CACHE', `${directory} is no cache of ml-overlay`, remedy);
  return caches;
}

function refuseBusy(caches: readonly SourceCache[]): void {
  const busy = caches.find(({ holder }) => holder !== undefined);
  if (busy === undefined) return;
  throw new MloError(
    'MLO_CACHE_BUSY',
    `${busy.directory} is in use by process ${busy.holder}`,
    'unmount it first: ml-overlay status shows what is mounted, ml-overlay umount MOUNTPOINT ends it',
  );
}

function list(caches: readonly SourceCache[], { json, objects }: Wishes): number {
  const all = caches.map((cache) => listed(cache, objects));
  if (json) console.log(JSON.stringify(all, null, 2));
  else for (const each of all) console.log(listText(each).join('\n'));
  return Exit.ok;
}

interface Listed {
  directory: string;
  source: string | null;
  inUseBy: number | null;
  files: number | null;
  completeFiles: number | null;
  bytes: number | null;
  lastUsed: string | null;
  unusable: string | null;
  /** What `warmup --pin` and the mount's `pin` have pinned; null: the list cannot be used. */
  pins: PinStats[] | null;
  objects?: { file: string; size: number; bytes: number; complete: boolean; lastUsed: string }[];
}

function listed(cache: SourceCache, objects: boolean): Listed {
  const { directory, holder } = cache;
  const nothing = {
    source: null,
    files: null,
    completeFiles: null,
    bytes: null,
    lastUsed: null,
    unusable: null,
    pins: null,
  };
  if (holder !== undefined) return { directory, inUseBy: Number(holder), ...nothing };
  const contents = contentsOf(cache);
  const { rows, storeId, unusable = null } = contents;
  const found: Listed = {
    directory,
    source: storeId,
    inUseBy: null,
    files: rows.length,
    completeFiles: rows.filter(({ chunks }) => chunks === null).length,
    bytes: rows.reduce((sum, { bytes }) => sum + bytes, 0),
    lastUsed: rows.length === 0 ? null : when(rows.reduce((latest, { used }) => Math.max(latest, used), 0)),
    unusable,
    pins: pinsOf(cache, contents)?.map(pinStats) ?? null,
  };
  if (objects) {
    found.objects = rows.map(({ file, size, bytes, chunks, used }) => {
      return { file, size, bytes, complete: chunks === null, lastUsed: when(used) };
    });
  }
  return found;
}

function when(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function listText({
  directory,
  source,
  inUseBy,
  files,
  completeFiles,
  bytes,
  lastUsed,
  unusable,
  pins,
  objects,
}: Listed): string[] {
  if (inUseBy !== null) return [directory, `  in use by process ${inUseBy}: ml-overlay status shows what is in it`];
  const lines = [clean(source ?? ''), `  in         ${directory}`];
  if (unusable !== null) lines.push(`  unusable   ${clean(unusable)}: the next mount begins it anew`);
  lines.push(`  files      ${files}, ${completeFiles} of them complete; ${formatSize(bytes ?? 0)}`);
  if (lastUsed !== null) lines.push(`  last used  ${lastUsed}`);
  if (pins === null) lines.push('  pins       the list is unusable: the next mount begins it anew');
  for (const { path, glob, files: kept, bytes: there } of pins ?? []) {
    const what = path === null ? `-o pin=${glob}` : `/${path}`;
    lines.push(`  pinned     ${clean(what)}  ${kept} files, ${formatSize(there)}`);
  }
  for (const { file, size, bytes: there, lastUsed: used } of objects ?? []) {
    lines.push(`  ${clean(file)}  ${formatSize(size)}  ${Math.floor((100 * there) / size)} %  ${used}`);
  }
  return lines;
}

interface CheckReport extends Checked {
  directory: string;
  source: string;
  damagedRows: number;
  unusable: string | null;
}

function check(caches: readonly SourceCache[], { json }: Wishes): number {
  refuseBusy(caches);
  const contents = caches.map(contentsOf);
  const progress = new Progress(contents);
  const reports = caches.map((cache, at): CheckReport => {
    const { storeId, damagedRows, unusable = null } = contents[at]!;
    const checked = checkCache(cache, contents[at]!, (bytes) => progress.add(bytes));
    return { directory: cache.directory, source: storeId, ...checked, damagedRows, unusable };
  });
  progress.end();
  if (json) console.log(JSON.stringify(reports, null, 2));
  else for (const report of reports) console.log(checkText(report).join('\n'));
  const bad = reports.some(
    ({ damaged, damagedRows, unusable }) => damaged.length + damagedRows > 0 || unusable !== null,
  );
  return bad ? Exit.system : Exit.ok;
}

const damageWords: Record<DamagedObject['what'], string> = {
  missing: 'its file is missing',
  'wrong length': 'its file has another length',
  'wrong bytes': 'bytes are not what they were',
  'wrong row': 'its row in the index makes no sense',
};

function checkText({ source, objects, chunks, bytes, damaged, damagedRows, unusable }: CheckReport): string[] {
  const lines = [`${clean(source)}: ${objects} files, ${chunks} chunks, ${formatSize(bytes)} checked`];
  for (const { object, file, what, chunks: wrong } of damaged) {
    const where = what === 'wrong bytes' ? ` in ${wrong} chunk${wrong === 1 ? '' : 's'}` : '';
    lines.push(`  file ${clean(file)} (${object}): ${damageWords[what]}${where}`);
  }
  if (damagedRows > 0) lines.push(`  ${damagedRows} rows of the index are not what they were`);
  if (unusable !== null) lines.push(`  the index is unusable: ${clean(unusable)}; the next mount begins it anew`);
  const fine = damaged.length + damagedRows === 0 && unusable === null;
  lines.push(fine ? '  nothing is damaged' : '  what is damaged is fetched again when it is read through a mount');
  return lines;
}

/** One line on a terminal that is drawn over. */
class Progress {
  readonly #all: number;
  #done = 0;
  #shownAtMs = 0;
  readonly #live = process.stderr.isTTY;

  constructor(contents: readonly IndexContents[]) {
    this.#all = contents.reduce((sum, { rows }) => rows.reduce((inner, { bytes }) => inner + bytes, sum), 0);
  }

  add(bytes: number): void {
    this.#done += bytes;
    const now = performance.now();
    if (!this.#live || now - this.#shownAtMs < 200) return;
    this.#shownAtMs = now;
    const share = Math.floor((100 * this.#done) / Math.max(1, this.#all));
    process.stderr.write(`\rchecked ${formatSize(this.#done)} of ${formatSize(this.#all)} (${share} %)\x1b[K`);
  }

  end(): void {
    if (this.#live) process.stderr.write('\r\x1b[K');
  }
}

function clear(caches: readonly SourceCache[], { json }: Wishes): number {
  refuseBusy(caches);
  const reports = caches.map((cache): Cleared & { directory: string } => {
    return { directory: cache.directory, ...clearCache(cache) };
  });
  if (json) console.log(JSON.stringify(reports, null, 2));
  else {
    for (const { directory, objects, bytes, left } of reports) {
      console.log(`${directory}: ${objects} files removed, ${formatSize(bytes)}`);
      for (const path of left) console.log(`  left, because it is not ours: ${clean(path)}`);
    }
  }
  return Exit.ok;
}
