/**
 * Looks at what threads wait for, some ten times a second and only while they read: /proc/TID/wchan has the name of the
 * kernel's function that a thread sleeps in, "0" while it runs. It sees what no request tells: page faults and reads of
 * files that the kernel serves by itself, pages that another thread's request is bringing, requests that are still queued.
 */
import { closeSync, openSync } from 'node:fs';
import { preadNow } from '../sys/libc.ts';

/** What a sample says of a thread. */
export const Doing = { GONE: 0, RUNNING: 1, HELD: 2, SLEEPING: 3, IDLE: 4, LOCKED: 5, OTHER: 6 } as const;
export type Doing = (typeof Doing)[keyof typeof Doing];

/** Waiting for a file's bytes, names or attributes: of FUSE, of the page cache, of NFS or a disk below us. */
const HELD =
  /^(request_wait_answer|fuse_|_*folio_wait|_*folio_lock|_*wait_on_(page|folio|buffer)|filemap_|_*lock_page|io_schedule|d_alloc_parallel|rpc_wait|nfs4?_|blk_|iomap_|netfs_|xfs_buf|lookup_slow)/;
/** Sleeping for a time, as a stand-in for an accelerator does. */
const SLEEPING = /nanosleep/;
/** Waiting for another thread of the same process. */
const LOCKED = /futex/;
/** Waiting for another process, or an event. */
const IDLE = /(poll|select|pipe|unix_|sk_wait|eventfd|sem|msg|wait_woken|accept|sigtimedwait|sigsuspend)/;

const NAME_MAX = 64;
const buffer = Buffer.alloc(NAME_MAX);
const known = new Map<string, Doing>();
const KNOWN_MAX = 256;

export function doingOf(wchan: string): Doing {
  if (wchan === '' || wchan === '0') return Doing.RUNNING;
  let doing = known.get(wchan);
  if (doing === undefined) {
    if (HELD.test(wchan)) doing = Doing.HELD;
    else if (SLEEPING.test(wchan)) doing = Doing.SLEEPING;
    else if (LOCKED.test(wchan)) doing = Doing.LOCKED;
    else if (IDLE.test(wchan)) doing = Doing.IDLE;
    else doing = Doing.OTHER;
    if (known.size < KNOWN_MAX) known.set(wchan, doing);
  }
  return doing;
}

/** A descriptor for `look`, or -1: the thread has gone. */
export function watch(thread: number): number {
  try {
    return openSync(`/proc/${thread}/wchan`, 'r');
  } catch {
    return -1;
  }
}

export function unwatch(fd: number): void {
  if (fd >= 0) closeSync(fd);
}

export function look(fd: number): Doing {
  if (fd < 0) return Doing.GONE;
  const length = preadNow(fd, buffer, NAME_MAX, 0);
  return length < 0 ? Doing.GONE : doingOf(buffer.toString('latin1', 0, length));
}
