/** What is compared: the source itself, bindfs, and the overlay with more or less of the kernel's help. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { forceUnmount } from '../support/mounts.ts';
import { mountOverlay, type OverlayMount } from '../support/overlay-mount.ts';
import { must, run } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';

/**
 * - native: the source, no mount
 * - bindfs: a libfuse file system that does nothing but pass on
 * - overlay: read-only, as a training job would mount it
 * - immutable: read-only and never changing, so that the kernel opens by itself
 * - passthrough: every file, however small; no kept pages
 * - no passthrough: pages are kept, large files are served by the daemon
 * - served: neither passthrough nor kept pages, so every open reads everything from the daemon
 * - writable: for creating and removing
 */
export type SystemName =
  | 'native'
  | 'bindfs'
  | 'overlay'
  | 'immutable'
  | 'passthrough'
  | 'no passthrough'
  | 'served'
  | 'writable';

export interface System {
  name: SystemName;
  /** Where it shows the source. */
  path: string;
  overlay: OverlayMount | undefined;
}

/** The source is local and cached by the kernel: a tier on disk would be a second copy of it. */
export const overlayArguments: Readonly<Record<Exclude<SystemName, 'native' | 'bindfs'>, string[]>> = {
  overlay: ['--cache', 'none', '-o', 'ro'],
  immutable: ['--cache', 'none', '-o', 'ro,immutable'],
  passthrough: ['--cache', 'none', '-o', 'ro', '-o', 'passthrough-min=1', '-o', 'disable=keep-cache'],
  'no passthrough': ['--cache', 'none', '-o', 'ro', '-o', 'disable=passthrough'],
  served: ['--cache', 'none', '-o', 'ro', '-o', 'disable=passthrough', '-o', 'disable=keep-cache'],
  writable: ['--cache', 'none'],
};

export async function mountSystems(scope: Scope, source: string, work: string): Promise<System[]> {
  const systems: System[] = [{ name: 'native', path: source, overlay: undefined }];
  const bindfs = await mountBindfs(scope, source, join(work, 'bindfs'));
  if (bindfs === undefined) console.log('bindfs is not installed (apt-get install bindfs): no ratios to it');
  else systems.push({ name: 'bindfs', path: bindfs, overlay: undefined });
  for (const [name, args] of Object.entries(overlayArguments)) {
    const path = join(work, name.replaceAll(' ', '-'));
    mkdirSync(path);
    const overlay = await mountOverlay(scope, source, path, args);
    systems.push({ name: name as SystemName, path, overlay });
  }
  return systems;
}

async function mountBindfs(scope: Scope, source: string, path: string): Promise<string | undefined> {
  if ((await run('bindfs', ['--version'])).code !== 0) return undefined;
  mkdirSync(path);
  scope.defer('bindfs', async () => {
    await run('fusermount3', ['-u', path], { timeoutSeconds: 5 });
    await forceUnmount(path);
  });
  await must('bindfs', [source, path]);
  return path;
}
