/** A mount whose daemon ended without unmounting: whatever is asked of it fails, and it is in the way of the next. */
import { isAlive } from '../control/processes.ts';
import { findRecord } from '../control/registry.ts';
import { mountpointNamed } from './mountpoint-named.ts';
import { deviceOf, isConnected } from './probe.ts';

/** A mount that does not answer within this time, which a busy machine may need, is not dead: its daemon hangs. */
const ANSWER_MS = 5000;
/** Who mounts over and over where nothing is cleared away. */
const STACKED_MOST = 16;

/** Whether the ml-overlay that is mounted there has lost its daemon. One whose daemon is known and lives is not touched. */
export async function isDead(mountpoint: string, runtimeDirectory: string): Promise<boolean> {
  const device = deviceOf(mountpoint);
  if (device === undefined) return false;
  const record = findRecord(runtimeDirectory, mountpoint);
  if (record !== undefined && record.device === device && isAlive(record)) return false;
  return !(await isConnected(mountpoint, ANSWER_MS)); // there may be no record of it
}

interface Place {
  mountpoint: string;
  runtimeDirectory: string;
}

/** Takes dead mounts out of the way of a new one, in use or not: those who have files open there get errors anyway. */
export async function takeDeadAway(place: Place): Promise<void> {
  const mountpoint = mountpointNamed(place.mountpoint);
  for (let tries = 0; tries < STACKED_MOST && (await isDead(mountpoint, place.runtimeDirectory)); tries++) {
    const { unmountOurselves } = await import('./umount.ts'); // seldom needed
    await unmountOurselves(mountpoint, true);
    console.error(`${mountpoint}: took the mount of a daemon that is gone out of the way`);
  }
}
