/** Object files that no row speaks of: written just before a crash, or of an index that was lost. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { objectPath, objectsDirectory } from './objects-directory.ts';

/** Above what a clock says in microseconds until the year 2112: such a name is not of ours. */
const ID_MOST = Number.MAX_SAFE_INTEGER / 2;
/** Looked up in one turn: some 2 ms where the index has a million rows. */
const TURN_IDS = 500;

/**
 * Removes those of a tier's directory. `leftOvers` is told the highest id there is and says whether one is nobody's, which one
 * up to that never becomes later. What cannot be removed stays for another time.
 */
export async function removeLeftOvers(
  directory: string,
  leftOvers: (highest: number) => (id: number) => boolean,
): Promise<void> {
  const ids: number[] = [];
  let highest = 0;
  const objects = objectsDirectory(directory);
  for (const part of await namesIn(objects)) {
    for (const name of await namesIn(path.join(objects, part))) {
      const id = Number(name);
      if (!/^\d+$/.test(name) || id > ID_MOST) continue;
      ids.push(id);
      highest = Math.max(highest, id);
    }
  }
  const isLeftOver = leftOvers(highest);
  for (const [at, id] of ids.entries()) {
    if (at % TURN_IDS === 0) await nextTurn();
    if (isLeftOver(id)) await fs.promises.unlink(objectPath(directory, id)).catch(() => {});
  }
}

/** None, where the directory went away. */
function namesIn(directory: string): Promise<string[]> {
  return fs.promises.readdir(directory).catch(() => []);
}
