/**
 * Creating files as somebody else, on the calling thread alone.
 *
 * What a file system decides at a creation (owner, group, setgid inheritance, default ACL against umask, quota) it
 * decides from the credentials of the thread that makes the call, so for the length of that one call the thread takes
 * the caller's fsuid, fsgid, supplementary group and umask. Raw system calls, since glibc's wrappers would change every
 * thread. Only root can switch; any other user creates as itself.
 *
 * A thread that cannot get its own credentials back must not run another line: the process is aborted.
 *
 * Two side effects are the kernel's: a change of fsuid makes the process non-dumpable and clears its parent-death
 * signal (prctl PR_SET_PDEATHSIG must be set again by who relies on it).
 */
import { readFileSync } from 'node:fs';
import { Errno } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { Identity } from '../store.ts';
import type { AnyCall } from './lane.ts';

const CLONE_FS = 0x200;
const NO_CHANGE = -1;

/** Null until this thread has made its first creation. */
let own: { uid: number; gid: number; root: boolean } | undefined;

/**
 * Gives this thread a umask of its own (the umask belongs to a "file-system context" that the threads of a process
 * share, together with the working directory): without that, a file that the pool creates meanwhile would get the
 * caller's umask. Threads that exist already keep the old context, so the pool must have been used before. From then
 * on process.chdir() on this thread no longer moves the pool's threads: paths given to the pool must be absolute.
 */
function prepare(): { uid: number; gid: number; root: boolean } {
  sys.unshare.now(CLONE_FS);
  const state = {
    uid: sys.threadCredentials.setFsUid(NO_CHANGE),
    gid: sys.threadCredentials.setFsGid(NO_CHANGE),
    root: process.geteuid?.() === 0,
  };
  // Root's groups would come along to every caller. Dropped once for this thread instead of around every creation:
  // a setgroups costs 2 us, and root's access does not rest on groups.
  if (state.root && sys.threadCredentials.setGroups([]) < 0) state.root = false;
  return state;
}

/** As the process started; every thread has it that has not made a context of its own. */
const processUmask = readUmask();

/** Only read: who sets it to see what it was changes for a moment what others create, and what they take it for. */
function readUmask(): number {
  const [, octal] = /^Umask:\s*(\d+)/m.exec(readFileSync('/proc/thread-self/status', 'latin1'))!;
  return Number.parseInt(octal!, 8);
}

/** Whether a thread that has never switched would create differently from `who`. */
export function needsSwitch(who: Identity): boolean {
  if ((who.umask & 0o777) !== processUmask) return true;
  return process.geteuid?.() === 0 && (who.uid !== 0 || who.gid !== process.getegid?.());
}

/** Whether what this thread creates is what `who` would. The first call gives the thread a umask of its own. */
export function createsAs(who: Identity): boolean {
  own ??= prepare();
  return (who.umask & 0o777) === processUmask && (!own.root || (who.uid === own.uid && who.gid === own.gid));
}

/** Makes one call as `who`. */
export function withCredentials(who: Identity, call: AnyCall, args: readonly sys.Argument[]): number {
  own ??= prepare();
  const umask = who.umask & 0o777;
  if (umask === processUmask) return withIds(own, who, call, args); // the usual one, and this thread has it
  sys.umask(umask);
  try {
    return withIds(own, who, call, args);
  } finally {
    sys.umask(processUmask);
  }
}

function withIds(
  self: { uid: number; gid: number; root: boolean },
  who: Identity,
  call: AnyCall,
  args: readonly sys.Argument[],
): number {
  if (!self.root || (who.uid === self.uid && who.gid === self.gid)) return call.now(...args);
  return asOther(self, who, call, args);
}

function asOther(
  self: { uid: number; gid: number },
  who: Identity,
  call: AnyCall,
  args: readonly sys.Argument[],
): number {
  const { setFsUid, setFsGid, setGroups } = sys.threadCredentials;
  const group = who.supplementaryGroup;
  const grouped = group !== undefined && group >= 0 && group !== who.gid;
  try {
    if (grouped && setGroups([group]) < 0) return -Errno.EPERM;
    setFsGid(who.gid);
    setFsUid(who.uid); // last: this drops the capabilities that go with fsuid 0
    if (setFsUid(NO_CHANGE) !== who.uid || setFsGid(NO_CHANGE) !== who.gid) return -Errno.EPERM;
    return call.now(...args);
  } finally {
    setFsUid(self.uid);
    setFsGid(self.gid);
    const groupsBack = !grouped || setGroups([]) === 0;
    if (!groupsBack || setFsUid(NO_CHANGE) !== self.uid || setFsGid(NO_CHANGE) !== self.gid) process.abort();
  }
}
