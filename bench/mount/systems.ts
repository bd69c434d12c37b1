/** What is compared: the source itself, bindfs, and the overlay with more or less of the kernel's help. */
import { mkdtempSync } from 'node:fs';
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

/** Those of `names` that there are, each on a directory of its own below `work`. */
export async function mountSystems(
  scope: Scope,
  source: string,
  work: string,
  names: ReadonlySet<SystemName>,
): Promise<System[]> {
  const systems: System[] = [];
  if (names.has('native')) systems.push({ name: 'native', path: source, overlay: undefined });
  const bindfs = names.has('bindfs') ? await mountBindfs(scope, source, mountpoint(work, 'bindfs')) : undefined;
  if (bindfs !== undefined) systems.push({ name: 'bindfs', path: bindfs, overlay: undefined });
  for (const [name, args] of Object.entries(overlayArguments) as [keyof typeof overlayArguments, string[]][]) {
    if (!names.has(name)) continue;
    const path = mountpoint(work, name);
    const overlay = await mountOverlay(scope, source, path, args);
    systems.push({ name, path, overlay });
  }
  return systems;
}

function mountpoint(work: string, name: string): string {
  return mkdtempSync(join(work, `${name.replaceAll(' ', '-')}-`));
}

async function mountBindfs(scope: Scope, source: string, path: string): Promise<string | undefined> {
  if ((await run('bindfs', ['--version'])).code !== 0) {
    console.log('bindfs is not installed (apt-get install bindfs): no ratios to it');
    return undefined;
  }
  scope.defer('bindfs', async () => {
    await run('fusermount3', ['-u', path], { timeoutSeconds: 5 });
    await forceUnmount(path);
  });
  await must('bindfs', [source, path]);
  return path;
}
