/** What has been told to end, and what still holds its files. */
import { readFileSync } from 'node:fs';

const SIGKILL_BIT = 1n << 8n;
const PF_EXITING = 4;

/**
 * Whether a process has ended, or ends as soon as the kernel lets it: there is none of that id, only its remains, or it has
 * been killed. One of its threads may still wait within the kernel for a disk, and its files stay open for as long: locks too.
 */
export function isEnding(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state = 'X', , , , , , flags] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X' || (Number(flags) & PF_EXITING) !== 0) return true;
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return [...status.matchAll(/^(?:Sig|Shd)Pnd:\s+([0-9a-f]+)/gm)].some(
      ([, set]) => (BigInt(`0x${set}`) & SIGKILL_BIT) !== 0n,
    );
  } catch {
    return true;
  }
}
