/**
 * What a test left behind: processes that inherited its mark in their environment (daemons leave their process group, the
 * mark they keep), and mounts: those in its temporary directory, and those that such a process serves. All are ended and
 * reported; a test that leaves any has failed. Nothing else on the machine is touched.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { forceUnmount, mounts } from '../bench/support/mounts.ts';
import { marked } from '../bench/support/processes.ts';

export const MARK = 'OVERLAY_TEST_MARK';

/** Where one test file leaves its traces. */
export interface Traces {
  mark: string;
  /** Its TMPDIR. */
  directory: string;
}

function leftMounts({ mark, directory }: Traces): string[] {
  const served = new Set(marked(MARK, mark).flatMap(({ pid }) => connections(pid)));
  return mounts()
    .filter((mount) => mount.mountpoint.startsWith(`${directory}/`) || served.has(mount.device))
    .map((mount) => mount.mountpoint);
}

/** Devices ("0:41") of the FUSE connections a process holds, where the kernel says so (fdinfo of newer ones). */
function connections(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`) !== '/dev/fuse') return [];
      const minor = /^fuse_connection:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1];
      return minor === undefined ? [] : [`0:${minor}`];
    });
  } catch {
    return []; // ended meanwhile
  }
}

/** Waits a moment for daemons that are leaving, ends what stays, and says what that was. */
export async function clearLeftovers(traces: Traces): Promise<string[]> {
  for (let tries = 0; tries < 40; tries++) {
    if (marked(MARK, traces.mark).length === 0 && leftMounts(traces).length === 0) return [];
    await sleep(50);
  }
  const complaints: string[] = [];
  for (const mountpoint of leftMounts(traces).reverse()) {
    complaints.push(`left a mount behind: ${mountpoint}`);
    await forceUnmount(mountpoint);
  }
  for (const { pid, command } of marked(MARK, traces.mark)) {
    complaints.push(`left a process behind: ${pid} ${command.slice(0, 120)}`);
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // ended meanwhile
    }
  }
  return complaints;
}
