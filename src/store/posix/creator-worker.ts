/**
 * A thread that makes system calls as somebody else: creations on a store that may be slow, or every call on names for
 * a source that does not let root in. Buffers come as addresses; the asking thread holds them until the answer.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Errno } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { Order, WorkerOptions } from './credential-workers.ts';
import { withCredentials } from './credentials.ts';
import type { AnyCall } from './lane.ts';

const CLONE_FS = 0x200;
const port = parentPort;
if (port === null) throw new Error('creator-worker.ts is the body of a worker thread');

const { identity, whole } = workerData as WorkerOptions;
let broken = 0;
if (identity) {
  sys.unshare.now(CLONE_FS);
  broken = whole ? sys.becomeOnThisThread(identity.uid, identity.gid, [identity.gid]) : adopt(identity);
}

function adopt({ uid, gid }: { uid: number; gid: number }): number {
  const { setGroups, setFsGid, setFsUid } = sys.threadCredentials;
  if (setGroups([gid]) < 0) return -Errno.EPERM;
  setFsGid(gid);
  setFsUid(uid);
  return setFsUid(-1) === uid && setFsGid(-1) === gid ? 0 : -Errno.EPERM;
}

function perform({ call: name, args, who }: Order): number {
  const call = (sys as unknown as Record<string, AnyCall>)[name];
  if (!call) return -Errno.ENOSYS;
  if (!identity) return who ? withCredentials(who, call, args) : call.now(...args);
  if (broken < 0) return broken; // never as root instead
  if (who) sys.umask(who.umask & 0o777);
  return call.now(...args);
}

port.on('message', (order: Order) => {
  let result: number;
  try {
    result = perform(order);
  } catch {
    result = -Errno.EIO;
  }
  port.postMessage(result);
});
