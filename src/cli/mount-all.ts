/** ml-overlay mount --all: every entry of the configuration file that is not mounted yet. */
import { readConfiguration } from '../config/file.ts';
import { runtimeDirectory } from '../control/registry.ts';
import { asMloError, Exit, MloError } from '../errors.ts';
import { takeDeadAway } from './dead-mount.ts';
import { Interrupted, launchDaemon } from './launch.ts';
import type { MountWords } from './mount-words.ts';
import { mountpointNamed } from './mountpoint-named.ts';
import { planMount } from './plan-mount.ts';
import { deviceOf } from './probe.ts';
import { showError } from './show-error.ts';

export async function mountAll(words: MountWords): Promise<number> {
  if (words.mountpoint !== undefined) throw new MloError('MLO_USAGE', 'mount --all takes no source and no mountpoint');
  if (words.foreground) throw new MloError('MLO_USAGE', 'mount --all cannot stay in front');
  const file = await readConfiguration(words.config);
  if (file.mounts.length === 0) throw new MloError('MLO_CONFIG', `${file.path} names no mount`);
  let worst: number = Exit.ok;
  for (const { mountpoint, section } of file.mounts) {
    if (section.noauto) continue;
    try {
      await takeDeadAway({ mountpoint, runtimeDirectory: runtimeDirectory() });
      if (deviceOf(mountpointNamed(mountpoint)) !== undefined) continue;
      await launchDaemon(await planMount({ ...words, mountpoint }, file), performance.now());
      console.log(`${mountpoint} mounted`);
    } catch (error) {
      if (error instanceof Interrupted) throw error; // whoever says so means all of them
      process.stderr.write(`${mountpoint}: `);
      worst = Math.max(worst, showError(asMloError(error)));
    }
  }
  return worst;
}
