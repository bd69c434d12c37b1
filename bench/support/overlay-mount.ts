/** Mounts the overlay as a user would: through bin/ml-overlay. */
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { forceUnmount, mountAt } from './mounts.ts';
import { marked, must, run, usage } from './processes.ts';
import type { Scope } from './scope.ts';
import { MARK } from './watchdog.ts';

const root = resolve(import.meta.dirname, '../..');
/** ML_OVERLAY_COMMAND: another build to measure. */
export const overlayCommand: string = process.env.ML_OVERLAY_COMMAND ?? join(root, 'bin/ml-overlay');
let number = 0;

export interface OverlayMount {
  mountpoint: string;
  /** From starting the command to its return. */
  mountSeconds: number;
  /** The processes that serve it. */
  pids(): number[];
  usage(): { residentBytes: number; cpuSeconds: number };
  unmount(): Promise<void>;
}

/** `args`: what follows SOURCE MOUNTPOINT. Unmounted when the scope closes, if not before. */
export async function mountOverlay(
  scope: Scope,
  source: string,
  mountpoint: string,
  args: string[],
): Promise<OverlayMount> {
  const mark = `${process.pid}-${number++}`;
  let mounted = true;
  const unmount = async (): Promise<void> => {
    if (!mounted) return;
    mounted = false;
    if (mountAt(mountpoint) !== undefined) await run(overlayCommand, ['umount', mountpoint], { timeoutSeconds: 20 });
    await forceUnmount(mountpoint);
    for (let tries = 0; tries < 100 && marked(MARK, mark).length > 0; tries++) await sleep(50);
    for (const { pid } of marked(MARK, mark)) process.kill(pid, 'SIGKILL');
  };
  scope.defer(`the overlay at ${mountpoint}`, unmount);
  const ran = await must(overlayCommand, ['mount', source, mountpoint, ...args], {
    timeoutSeconds: 30,
    env: { [MARK]: mark },
  });
  const pids = (): number[] => marked(MARK, mark).map(({ pid }) => pid);
  return { mountpoint, mountSeconds: ran.seconds, pids, usage: () => usage(pids()), unmount };
}
