/** ml-overlay mount SOURCE MOUNTPOINT, and what mount(8) calls. */

import { becomeDaemon, launchDaemon } from './launch.ts';
import { type MountWords, parseMountWords } from './mount-words.ts';
import { planMount } from './plan-mount.ts';

export async function run(words: string[]): Promise<number> {
  const parsed = parseMountWords(words);
  if (parsed === 'done') return 0;
  if (parsed.all) return (await import('./mount-all.ts')).mountAll(parsed);
  return mountOne(parsed);
}

export async function mountOne(words: MountWords): Promise<number> {
  const request = await planMount(words);
  if (request.foreground) becomeDaemon(request);
  await launchDaemon(request);
  return 0;
}
