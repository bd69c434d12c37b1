/** ml-overlay warmup PATH... [--pin | --unpin | --check | --evict] [--json] [--parallel N] [--from-file LIST] */
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { formatSize } from '../config/units.ts';
import { callDaemon } from '../control/client.ts';
import { Exit, MloError } from '../errors.ts';
import type { WarmupProgress } from '../overlay/index.ts';
import { liveRecord } from './live-record.ts';
import { pathInMount, utf8 } from './path-text.ts';
import type { UnpinAnswer, WarmupAnswer } from './warmup-control.ts';
import { latin1, linesOf, type Place, Places } from './warmup-paths.ts';
import { ProgressView, summary } from './warmup-progress.ts';

export const help = `Usage: ml-overlay warmup PATH... [--pin | --unpin | --check | --evict]
                         [--json] [--parallel N] [--from-file LIST|-]

Brings the files below each PATH, which lies in a mount, into its cache, as fast as the source gives them; readers of the mount
come first. What is cached already is skipped, so it can be interrupted (Ctrl-C) and begun again. Symbolic links in
directories are not followed. Exit status 1 when a file failed or the cache is full.

  --pin             and from then on keep it, whatever else is read: also what comes to lie below PATH later, changed
                    files when they are read or warmed up again, and over the next mounts with the same cache
  --unpin           take that back, for PATH and all below it; nothing is dropped by it
  --check           only tell how much of it is cached, and how much of that is pinned
  --evict           drop what is cached of it; files that are open stay, and so do pinned ones: unpin them first
  --parallel N      requests to the source at once, at most; unless said as many as leave room for readers
  --from-file LIST  also the paths in this file, one a line; "-" is standard input; for names that are not UTF-8, too
  --json            what came of it, as a document with keys that stay (docs/WARMUP.md)
`;

/** Exit status when not everything could be done. */
const INCOMPLETE = 1;
const POLL_MS = 250;
/** A request to the daemon has 64 KiB. */
const BATCH_BYTES = 32 * 1024;
const TIMEOUT_MS = 15_000;

type Ask = (body: object) => Promise<WarmupAnswer>;

export async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      pin: { type: 'boolean', default: false },
      unpin: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      evict: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      parallel: { type: 'string' },
      'from-file': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const actions = (['pin', 'unpin', 'check', 'evict'] as const).filter((name) => values[name]);
  if (actions.length > 1)
    throw new MloError('MLO_USAGE', `${actions.map((name) => `--${name}`).join(' and ')} exclude each other`);
  const list = values['from-file'];
  if (positionals.length === 0 && list === undefined)
    throw new MloError('MLO_USAGE', 'warmup takes PATHs or --from-file');
  const action = actions[0] ?? 'fetch';
  const parallel = values.parallel === undefined ? {} : { parallel: numberOf(values.parallel) };

  const interrupt = interrupted(); // before it begins: Ctrl-C must not leave a job behind
  const batches = new Batches(placesOf(positionals, list));
  const mountpoint = await Promise.race([batches.mountpoint(), interrupt.came]);
  if (interrupt.signal !== undefined) return 128 + constants.signals[interrupt.signal];
  if (mountpoint === undefined) throw new MloError('MLO_USAGE', `there are no paths in ${list}`, 'a path a line');
  const { socket } = liveRecord(mountpoint);
  const post = (body: object): Promise<object> =>
    callDaemon(socket, 'POST', '/warmup', { body, timeoutMs: TIMEOUT_MS });
  if (action === 'unpin') return toldUnpinned(await unpinned(post, batches), mountpoint, values.json);
  const ask: Ask = async (body) => (await post(body)) as WarmupAnswer;
  const begun = await ask({ action, ...parallel });
  const view = new ProgressView(process.stderr, values.json);
  const answer = await follow(begun, ask, batches, interrupt, view).finally(() => view.end());
  return told(answer, mountpoint, values.json, interrupt.signal);
}

/** Hands the paths over as the daemon takes them, and asks until it has ended. */
async function follow(
  begun: WarmupAnswer,
  ask: Ask,
  batches: Batches,
  interrupt: Interrupt,
  view: ProgressView,
): Promise<WarmupAnswer> {
  const { id } = begun.job;
  let handedOver = false;
  for (;;) {
    if (interrupt.signal !== undefined) return ask({ action: 'cancel', id });
    let answer: WarmupAnswer;
    if (handedOver) answer = await ask({ action: 'status', id });
    else {
      const batch = await Promise.race([batches.next(), interrupt.came]); // a list may come from a pipe that is slow
      if (batch === undefined) continue;
      const { paths, end } = batch;
      answer = await ask({ action: 'add', id, paths, end });
      batches.taken(answer.taken);
      handedOver = end && answer.taken === paths.length;
    }
    if (answer.job.state !== 'running') return answer;
    view.show(answer.job);
    if (handedOver || answer.taken === 0) await Promise.race([sleep(POLL_MS), interrupt.came]);
  }
}

/** Batch for batch. */
async function unpinned(post: (body: object) => Promise<object>, batches: Batches): Promise<UnpinAnswer> {
  const all: UnpinAnswer = { unpinned: [], files: 0, bytes: 0, globs: [] };
  for (let ended = false; !ended; ) {
    const { paths, end } = await batches.next();
    const answer = (await post({ action: 'unpin', paths })) as UnpinAnswer;
    batches.taken(paths.length);
    all.unpinned.push(...answer.unpinned);
    all.files += answer.files;
    all.bytes += answer.bytes;
    all.globs = answer.globs;
    ended = end;
  }
  return all;
}

function toldUnpinned(answer: UnpinAnswer, mountpoint: string, json: boolean): number {
  const unpinned = answer.unpinned.map((path) => pathInMount(mountpoint, path));
  if (json) {
    console.log(JSON.stringify({ mountpoint, action: 'unpin', ...answer, unpinned }, null, 2));
    return Exit.ok;
  }
  const { files, bytes, globs } = answer;
  for (const path of unpinned) console.log(`${path} is not pinned any more`);
  if (unpinned.length === 0) console.log('nothing of it was pinned by warmup --pin');
  else console.log(`${files} files, ${formatSize(bytes)}, stay in the cache until their room is wanted`);
  if (globs.length > 0)
    console.log(`what the mount pins (${globs.map((glob) => `pin=${glob}`).join(', ')}) stays pinned`);
  return Exit.ok;
}

function told({ job, why }: WarmupAnswer, mountpoint: string, json: boolean, signal: Signal | undefined): number {
  const errors = job.errors.map(({ path, error }) => ({ path: pathInMount(mountpoint, path), error }));
  const pinnedBy = job.pinnedBy.map(({ by, text }) =>
    by === 'option' ? `-o pin=${text}` : pathInMount(mountpoint, text),
  );
  if (json)
    console.log(JSON.stringify({ mountpoint, ...job, errors, pinnedBy, ...(why !== undefined && { why }) }, null, 2));
  else {
    console.log(summary(job));
    for (const { path, error } of errors) console.error(`${path}: ${meaning[error] ?? error}`);
    const more = job.files.failed - errors.length;
    if (more > 0) console.error(`and ${more} more`);
  }
  if (job.state === 'full') throw full(job, mountpoint, why ?? '');
  if (signal !== undefined && job.state === 'cancelled') {
    console.error('interrupted; what is cached stays, and the same command goes on from there');
    return 128 + constants.signals[signal];
  }
  if (job.state === 'cancelled') {
    throw new MloError(
      'MLO_WARMUP',
      `the daemon of ${mountpoint} has ended it`,
      'see whether it is mounted, and begin again',
    );
  }
  if (pinnedBy.length > 0) throw stayed(job, pinnedBy);
  return job.files.failed === 0 ? Exit.ok : INCOMPLETE;
}

function stayed({ files, pinnedBy }: WarmupProgress, names: readonly string[]): MloError {
  const more = names.length > 1 ? ` and ${names.length - 1} more` : '';
  const byCommand = pinnedBy.findIndex(({ by }) => by === 'command');
  const remedy = byCommand < 0 ? 'mount without that option' : `ml-overlay warmup --unpin ${names[byCommand]}`;
  const by = `pinned (${names[0]}${more})`;
  const what = files.pinned === 1 ? `1 file is ${by} and stays` : `${files.pinned} files are ${by} and stay`;
  return new MloError('MLO_PINNED', what, remedy);
}

const meaning: Readonly<Record<string, string>> = {
  ELOOP: 'a symbolic link, which is not followed: name what it leads to',
  EINVAL: 'neither a file nor a directory',
  EPERM: 'EPERM: never to be cached (never-cache), or the source does not permit it',
  ENOENT: 'there is no such file',
  ENOTDIR: 'not a directory',
  EBUSY: 'is being written to',
  EAGAIN: 'changes all the time',
  ESTALE: 'changes all the time',
  EIO: 'EIO: the source could not read it',
  EACCES: 'EACCES: the daemon may not read it',
  E2BIG: 'too many paths are pinned: pin a directory above them',
  EROFS: 'cannot be pinned: the list of pins cannot be written, see the log and the disk of the cache',
};

function full({ action, files }: WarmupProgress, mountpoint: string, why: string): MloError {
  const left = files.found - files.done;
  const less =
    action === 'pin'
      ? 'or take a pin back (ml-overlay warmup --unpin PATH): what is pinned and not in it is read from the source'
      : 'drop what is not needed (ml-overlay warmup --evict PATH, or --unpin what is pinned), or name less';
  const remedy = `give it more (ml-overlay set ${mountpoint} cache=DIR:SIZE), ${less}`;
  return new MloError(
    'MLO_FULL',
    `the cache of ${mountpoint} takes no more (${why}); ${left} files are not in it`,
    remedy,
  );
}

async function* placesOf(paths: readonly string[], list: string | undefined): AsyncGenerator<Place> {
  const places = new Places();
  for (const path of paths) yield places.of(latin1(path));
  if (list === undefined) return;
  for await (const path of linesOf(list)) yield places.of(path);
}

/** Paths in pieces that fit a request; what the daemon did not take comes again. */
class Batches {
  readonly #places: AsyncGenerator<Place>;
  #batch: string[] = [];
  #bytes = 0;
  #mountpoint: string | undefined;
  #ended = false;

  constructor(places: AsyncGenerator<Place>) {
    this.#places = places;
  }

  /** Of the first path; undefined: there is none. */
  async mountpoint(): Promise<string | undefined> {
    if (this.#mountpoint === undefined) await this.#take();
    return this.#mountpoint === undefined ? undefined : utf8(this.#mountpoint);
  }

  async next(): Promise<{ paths: string[]; end: boolean }> {
    while (!this.#ended && this.#bytes < BATCH_BYTES) await this.#take();
    return { paths: this.#batch, end: this.#ended };
  }

  taken(count: number): void {
    for (const path of this.#batch.splice(0, count)) this.#bytes -= sizeOf(path);
  }

  async #take(): Promise<void> {
    const { value, done } = await this.#places.next();
    if (done === true) {
      this.#ended = true;
      return;
    }
    const { mountpoint, below } = value as Place;
    this.#mountpoint ??= mountpoint;
    if (mountpoint !== this.#mountpoint) {
      const two = `${utf8(this.#mountpoint)} and ${utf8(mountpoint)}`;
      throw new MloError('MLO_USAGE', `the paths lie in two mounts, ${two}`, 'warm up one after the other');
    }
    this.#batch.push(below);
    this.#bytes += sizeOf(below);
  }
}

function sizeOf(path: string): number {
  return Buffer.byteLength(JSON.stringify(path)) + 1;
}

function numberOf(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new MloError('MLO_USAGE', `--parallel=${text}: it takes a whole number above 0`);
}

type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

interface Interrupt {
  readonly signal: Signal | undefined;
  came: Promise<void>;
}

function interrupted(): Interrupt {
  const { promise, resolve } = Promise.withResolvers<void>();
  const interrupt: { signal: Signal | undefined; came: Promise<void> } = { signal: undefined, came: promise };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      interrupt.signal = signal;
      resolve();
    });
  }
  return interrupt;
}
