/** The record of a mount whose daemon lives. */
import { isAlive } from '../control/processes.ts';
import { findRecord, type MountRecord, runtimeDirectory } from '../control/registry.ts';
import { MloError } from '../errors.ts';
import { mountpointNamed } from './mountpoint-named.ts';
import { deviceOf } from './probe.ts';

export function liveRecord(path: string): MountRecord {
  const mountpoint = mountpointNamed(path);
  const record = findRecord(runtimeDirectory(), mountpoint);
  if (record !== undefined && isAlive(record)) return record;
  if (deviceOf(mountpoint) === undefined)
    throw new MloError('MLO_NOT_MOUNTED', `no ml-overlay is mounted on ${mountpoint}`);
  if (record === undefined)
    throw new MloError('MLO_PERMISSION', `the ml-overlay on ${mountpoint} was not mounted by this user`);
  const what = `the ml-overlay on ${mountpoint} has lost its daemon (pid ${record.pid})`;
  throw new MloError('MLO_UNREACHABLE', what, `ml-overlay umount ${mountpoint}; its log: ${record.log}`);
}
