/** What others did on the machine while something was measured: a figure taken beside it says little. */
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';

function drops(): number {
  const text = readFileSync('/proc/vmstat', 'utf8');
  return [...text.matchAll(/^drop_(?:pagecache|slab) (\d+)$/gm)].reduce((sum, match) => sum + Number(match[1]), 0);
}

/** Of the time that processors were wanted, in ticks: what they ran here, and what they were kept by other machines of the host (steal). */
function processors(): { ran: number; stolen: number } {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { ran: user + nice + system + irq + softirq, stolen };
}

const STOLEN_MOST = 0.05;

/** Starts watching; the function returned says what disturbed, one sentence each. `ownDrops`: we drop caches ourselves. */
export function watchInterference(ownDrops = false): () => string[] {
  const before = drops();
  const [load = 0] = loadavg();
  const began = processors();
  return () => {
    const found: string[] = [];
    if (load > availableParallelism() * 0.5) {
      found.push(`the machine was busy when this began (load ${load.toFixed(1)}): figures may be of the neighbours`);
    }
    const { ran, stolen } = processors();
    const share = (stolen - began.stolen) / (stolen - began.stolen + ran - began.ran);
    if (share > STOLEN_MOST) {
      const percent = (share * 100).toFixed(0);
      found.push(`other machines of the host took ${percent} % of the processor time that was wanted (steal)`);
    }
    if (!ownDrops && drops() > before) found.push("somebody dropped the machine's caches meanwhile: warm was not warm");
    return found;
  };
}
