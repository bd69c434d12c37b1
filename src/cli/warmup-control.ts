/**
 * What the daemon does with POST /warmup:
 *
 *   {"action": "fetch" | "pin" | "check" | "evict", "parallel": N, ...}   begins a job
 *   {"action": "unpin", "paths"}      takes pins back, at once
 *   {"action": "add", "id", ...}      more paths; {"action": "status", "id"}; {"action": "cancel", "id"}
 *
 * `paths`: below the mount's root, a character a byte (latin1); as many as are `taken`, the others are to be sent again.
 * `end`: no more will come. Each answer tells how far the job is; one that nobody asks for any more is cancelled.
 */
import type { Cache } from '../cache/cache.ts';
import { MloError } from '../errors.ts';
import type { WarmupAction, WarmupProgress } from '../overlay/index.ts';
import { errnoName } from '../sys/errno.ts';
import type { DaemonParts } from './control-handlers.ts';
import { pathInMount } from './path-text.ts';

/** What taking pins back has come to. Its keys are those of `warmup --unpin --json`, and stay. */
export interface UnpinAnswer {
  /** Pins that are gone: paths as they were sent. */
  unpinned: string[];
  /** What they kept: it stays in the cache until its room is wanted. */
  files: number;
  bytes: number;
  /** Globs that the mount pins: what they name is pinned still. */
  globs: string[];
}

export interface WarmupAnswer {
  /** Of the paths of this request. */
  taken: number;
  job: WarmupProgress;
  /** Why the cache takes no more, when it does not. */
  why?: string;
}

const ACTIONS = 'fetch, pin, unpin, check, evict, add, status and cancel';
const PARALLEL_MOST = 1024;
const PATH_BYTES_MOST = 4096;

export async function warmupControl(
  parts: DaemonParts,
  wanted: Record<string, unknown>,
): Promise<WarmupAnswer | UnpinAnswer> {
  const { cache, overlay } = parts.assembly;
  const { mountpoint } = parts.request;
  if (cache === undefined) {
    const remedy = 'mount it with --cache DIR:SIZE';
    throw new MloError('MLO_WARMUP', `${mountpoint} has no cache`, remedy);
  }
  const paths = pathsOf(wanted.paths ?? []);
  const { action } = wanted;
  if (action === 'unpin') return unpin(parts, cache, paths);
  let job: ReturnType<typeof overlay.warmups.get>;
  if (isWork(action)) {
    job = overlay.warmups.begin(cache, action, parallelOf(wanted.parallel));
    if (job === undefined) {
      throw new MloError('MLO_WARMUP', `too many warm up ${mountpoint} at once`, 'wait until one of them has ended');
    }
    parts.log.log.info({ action, id: job.progress.id }, 'warming up');
  } else if (action === 'add' || action === 'status' || action === 'cancel') {
    job = typeof wanted.id === 'number' ? overlay.warmups.get(wanted.id) : undefined;
    if (job === undefined) {
      throw new MloError('MLO_USAGE', 'there is no such job (any more)', 'begin it again: what is cached is skipped');
    }
  } else throw new MloError('MLO_USAGE', `a warm-up is one of ${ACTIONS}`);
  if (action === 'cancel') job.cancel();
  const taken = job.add(paths);
  if (wanted.end === true && taken === paths.length) job.end();
  const progress = job.now();
  return { taken, job: progress, ...(progress.state === 'full' && { why: whyFull(parts) }) };
}

function isWork(action: unknown): action is WarmupAction {
  return action === 'fetch' || action === 'pin' || action === 'check' || action === 'evict';
}

/** All of a request or nothing: of what lies below a pinned directory the pin cannot be taken back alone. */
async function unpin({ log, request }: DaemonParts, cache: Cache, paths: readonly string[]): Promise<UnpinAnswer> {
  const { pins } = cache.pinning;
  const named = paths.map((path) =>
    path
      .split('/')
      .filter((name) => name !== '')
      .join('/'),
  );
  for (const path of named) {
    const above = pins.covering(path);
    if (above === undefined || above.text === path) continue;
    const [inner, outer] = [path, above.text].map((each) => pathInMount(request.mountpoint, each));
    const remedy = `ml-overlay warmup --unpin ${outer}, and pin what is to stay`;
    throw new MloError('MLO_PINNED', `${inner} is pinned because ${outer} is`, remedy);
  }
  const answer: UnpinAnswer = { unpinned: [], files: 0, bytes: 0, globs: pins.globs };
  const before = cache.snapshot().pins.filter(({ by }) => by === 'command');
  for (const path of named) {
    const { removed, failure } = await pins.remove(path);
    for (const { text } of removed) {
      const kept = before.find((pin) => pin.text === text);
      answer.unpinned.push(text);
      answer.files += kept?.files ?? 0;
      answer.bytes += kept?.bytes ?? 0;
    }
    if (failure === 0) continue;
    const remedy = 'see that the disk of the cache can be written and has free space, and unpin again';
    const what = `${pathInMount(request.mountpoint, path)} is unpinned until the next mount: ${errnoName(failure)}`;
    throw new MloError('MLO_WARMUP', what, remedy);
  }
  log.log.info({ pins: answer.unpinned.length, bytes: answer.bytes }, 'unpinned');
  return answer;
}

function parallelOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= PARALLEL_MOST) return value as number;
  throw new MloError('MLO_USAGE', `parallel is a whole number from 1 to ${PARALLEL_MOST}`);
}

/** The store takes single names only; that they are such is made sure of here. */
function pathsOf(value: unknown): string[] {
  if (!Array.isArray(value)) throw new MloError('MLO_USAGE', 'paths is a list');
  for (const path of value as unknown[]) {
    const well = typeof path === 'string' && path.length <= PATH_BYTES_MOST && isBytes(path) && !path.startsWith('/');
    if (!well || path.split('/').some((name) => name === '.' || name === '..')) {
      throw new MloError(
        'MLO_USAGE',
        'each of the paths is one below the mount: bytes, relative, without "." and ".."',
      );
    }
  }
  return value as string[];
}

/** One character a byte, and none of them 0. */
function isBytes(text: string): boolean {
  return !text.includes('\0') && Buffer.from(text, 'latin1').toString('latin1') === text;
}

function whyFull({ assembly }: DaemonParts): string {
  const { health, usedBytes, sizeBytes, pinnedBytes } = assembly.cache!.snapshot();
  if (health !== 'ok') return health;
  const pinned = pinnedBytes > 0 ? `, ${pinnedBytes} of them pinned` : '';
  return `${usedBytes} of ${sizeBytes} bytes are in use${pinned}`;
}
