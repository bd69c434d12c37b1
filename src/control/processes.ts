/** Processes as /proc tells of them. Never follows a link in /proc: it could lead into a mount that hangs. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Field 22 of /proc/PID/stat; undefined when there is no such process, or only its remains. */
export function startTimeOf(pid: number): string | undefined {
  const fields = statOf(pid);
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** /proc/PID/stat from the third field, the state, on; nothing when there is no such process. */
function statOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

export function isAlive(process: { pid: number; startTime: string }): boolean {
  return startTimeOf(process.pid) === process.startTime;
}

/** Whether it runs, or would if there were a processor for it; else it sleeps, or waits for a device. */
export function wantsProcessor(pid: number): boolean {
  return statOf(pid)[0] === 'R';
}

export interface Holder {
  pid: number;
  name: string;
  /** "working directory", "root", "open file" or "mapped file". */
  by: string;
}

/** Who keeps a mount busy, as far as this user may know. */
export function holdersOf(mountpoint: string, but: number): Holder[] {
  const inside = (path: string): boolean => path === mountpoint || path.startsWith(`${mountpoint}/`);
  const holders: Holder[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === but || pid === process.pid) continue;
    const by = howHeld(entry, inside);
    if (by !== undefined) holders.push({ pid, name: nameOf(entry), by });
  }
  return holders;
}

function howHeld(pid: string, inside: (path: string) => boolean): string | undefined {
  if (inside(link(`/proc/${pid}/cwd`))) return 'working directory';
  if (inside(link(`/proc/${pid}/root`))) return 'root';
  try {
    if (readdirSync(`/proc/${pid}/fd`).some((fd) => inside(link(`/proc/${pid}/fd/${fd}`)))) return 'open file';
    const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n');
    if (maps.some((line) => inside(line.slice(line.indexOf('/'))))) return 'mapped file';
  } catch {
    // not ours, or gone
  }
  return undefined;
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '?';
  }
}
