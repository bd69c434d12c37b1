/** Data of a run behind a slow link. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type SlowStore, startSlowStore } from '../slow-store/client.ts';
import type { Scope } from './scope.ts';

/** A round trip and the link of a slow store. */
export interface Link {
  latencyMs: number;
  /** Bytes a second. */
  bandwidth: number;
}

/** A directory that the slow store shows behind its link, both of them empty. */
export async function behindSlowStore(
  scope: Scope,
  work: string,
  link: Link,
): Promise<{ source: string; slow: string; store: SlowStore }> {
  const [source, slow] = [join(work, 'source'), join(work, 'slow')];
  for (const path of [source, slow]) mkdirSync(path);
  const store = await startSlowStore({ source, mountpoint: slow, ...link });
  scope.defer('the slow store', () => store.stop());
  return { source, slow, store };
}
