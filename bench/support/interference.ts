/** What others did on the machine while something was measured: a figure taken beside it says little. */
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';

function drops(): number {
  const text = readFileSync('/proc/vmstat', 'utf8');
  return [...text.matchAll(/^drop_(?:pagecache|slab) (\d+)$/gm)].reduce((sum, match) => sum + Number(match[1]), 0);
}

/** Starts watching; the function returned says what disturbed, one sentence each. `ownDrops`: we drop caches ourselves. */
export function watchInterference(ownDrops = false): () => string[] {
  const before = drops();
  const [load = 0] = loadavg();
  return () => {
    const found: string[] = [];
    if (load > availableParallelism() * 0.5) {
      found.push(`the machine was busy when this began (load ${load.toFixed(1)}): figures may be of the neighbours`);
    }
    if (!ownDrops && drops() > before) found.push("somebody dropped the machine's caches meanwhile: warm was not warm");
    return found;
  };
}
