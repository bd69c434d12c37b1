/** What daemons that were killed have left in the directory of their records. */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, startTimeOf } from './processes.ts';
import { belongsTo, readRecords, removeRecord } from './registry.ts';

/** A daemon has its record within this time after its socket, however busy the machine. */
const NO_RECORD_MS = 10 * 60_000;
/** The log of a daemon that was killed may say why: it is kept for so long, and of all such logs so many. */
const LOG_KEPT_MS = 7 * 24 * 3600_000;
const LOGS_KEPT = 100;

/**
 * Takes away the records of daemons that did not end by themselves, of this mountpoint and where nothing is mounted any more;
 * and, of those that ended longer ago, what no record tells of.
 */
export function forgetDead(directory: string, mountpoint: string): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  for (const record of readRecords(directory)) {
    const gone = record.mountpoint === mountpoint || !mounts.includes(` ${record.device} `);
    if (gone && !isAlive(record)) removeRecord(record);
  }
  if (belongsTo(directory, process.getuid?.() ?? 0)) tidy(directory);
}

/** As `pathsFor` names them: who mounted where, and of which process. */
const OF_PROCESS = /^([0-9a-f]{12})-(\d+)\.(json|json\.new|sock)$/;
const LOG = /^([0-9a-f]{12})\.log$/;

function tidy(directory: string): void {
  const names = readdirSync(directory);
  const known = new Set(names);
  const inUse = new Set<string>();
  for (const name of names) {
    const [, id = '', pid = '', kind] = OF_PROCESS.exec(name) ?? [];
    if (kind === undefined) continue;
    const ended = startTimeOf(Number(pid)) === undefined;
    if (!ended || kind === 'json') inUse.add(id);
    if (ended && !known.has(`${id}-${pid}.json`) && ageMs(directory, name) > NO_RECORD_MS) remove(directory, name);
  }
  const logs = names.filter((name) => LOG.test(name) && !inUse.has(name.slice(0, 12)));
  const byAge = logs.map((name) => ({ name, ms: ageMs(directory, name) })).sort((one, other) => one.ms - other.ms);
  for (const [newer, { name, ms }] of byAge.entries()) {
    if (newer >= LOGS_KEPT || ms > LOG_KEPT_MS) remove(directory, name);
  }
}

/** Since it was last written; 0 when it is gone. */
function ageMs(directory: string, name: string): number {
  const found = statSync(join(directory, name), { throwIfNoEntry: false });
  return found === undefined ? 0 : Date.now() - found.mtimeMs;
}

function remove(directory: string, name: string): void {
  rmSync(join(directory, name), { force: true });
}
