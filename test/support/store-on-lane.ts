/** A pooled posix store whose system calls go through a lane of the test's own. */
import { openSync } from 'node:fs';
import { Context } from '../../src/store/posix/context.ts';
import { Descriptors } from '../../src/store/posix/descriptors.ts';
import { O_CLOEXEC, O_DIRECTORY, O_PATH, STATX_BASIC_STATS, STATX_BTIME } from '../../src/store/posix/flags.ts';
import type { Lane } from '../../src/store/posix/lane.ts';
import { PosixNode } from '../../src/store/posix/node.ts';
import { PosixStore } from '../../src/store/posix/posix-store.ts';
import { NO_PATH, StatxBuffer, StatxBuffers } from '../../src/store/posix/statx.ts';
import { Runner } from '../../src/store/posix/trips.ts';
import * as sys from '../../src/sys/libc.ts';

const AT_EMPTY_PATH = 0x1000;

/** `limit`: descriptors held open at most. The caller shuts it down. */
export function storeOnLane(path: string, lane: Lane, limit = 64): PosixStore {
  const fd = openSync(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  const statxMask = STATX_BASIC_STATS | STATX_BTIME;
  const stat = new StatxBuffer();
  sys.statx.now(fd, NO_PATH, AT_EMPTY_PATH, statxMask, stat.bytes);
  const rootFound = stat.found(stat.device());
  const root = new PosixNode(rootFound, stat.device());
  root.fd = fd;
  root.pinned = true;
  const runner = new Runner(lane, false, undefined, undefined);
  const buffers = new StatxBuffers();
  const descriptors = new Descriptors({ runner, buffers, limit, statxMask, localStat: false });
  const context = new Context({ root, runner, descriptors, buffers, statxMask, readOnly: false, pins: true });
  return new PosixStore({ path, context, rootFound, memory: false, direct: false, workers: [] });
}
