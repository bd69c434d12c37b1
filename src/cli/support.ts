/**
 * ml-overlay support MOUNTPOINT [-o FILE] [--redact-paths]
 *
 * One JSON file for a bug report. Everything in it is gathered by itself: what cannot be had is named under `missing`, and a
 * daemon that does not answer, or is no more, leaves a smaller bundle, not none. The mount itself is never touched.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { arch, cpus, freemem, loadavg, version as osVersion, release, totalmem, uptime } from 'node:os';
import { dirname, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { defaultConfigurationPath } from '../config/file.ts';
import { formatSize } from '../config/units.ts';
import { callDaemon } from '../control/client.ts';
import { isAlive } from '../control/processes.ts';
import { findRecord, type MountRecord, runtimeDirectory } from '../control/registry.ts';
import { asMloError, Exit, MloError } from '../errors.ts';
import { parseMountTable } from '../fuse/mount-table.ts';
import { checkMachine } from './machine-checks.ts';
import { mountpointNamed } from './mountpoint-named.ts';
import { withoutPaths, withoutSecrets } from './redact.ts';
import { version } from './version.ts';

export const help = `Usage: ml-overlay support MOUNTPOINT [-o FILE] [--redact-paths]

Writes a bundle for a bug report, one JSON file that only you can read: versions, the machine (doctor), configuration
without secrets, capabilities, statistics and their history, the last lines of the log. Works, with less, when the daemon
does not answer. -o -: to standard output. --redact-paths: names of files and directories become tokens; the same name
is the same token. Look at it before you send it.
`;

const SCHEMA = 1;
const LOG_LINES = 500;
const LOG_BYTES = 512 * 1024;
/** Of a daemon that hangs: each question of three waits for so long. */
const PATIENCE_MS = 3000;
const HISTORY_SECONDS = 86_400;

export async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      output: { type: 'string', short: 'o' },
      'redact-paths': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [named, ...more] = positionals;
  if (named === undefined || more.length > 0) throw new MloError('MLO_USAGE', 'support takes one MOUNTPOINT');
  let bundle = withoutSecrets(await gather(mountpointNamed(named)));
  if (values['redact-paths']) bundle = withoutPaths(bundle, randomBytes(16).toString('hex'));
  const text = `${JSON.stringify(bundle, null, 2)}\n`;
  if (values.output === '-') {
    process.stdout.write(text);
    return Exit.ok;
  }
  const file = resolve(values.output ?? `ml-overlay-support-${stamp()}.json`);
  write(file, text);
  console.log(`${file} (${formatSize(Buffer.byteLength(text))}): look at it before you send it`);
  return Exit.ok;
}

function stamp(): string {
  return new Date().toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
}

/** Never over what is there: a name in a directory that others can write to may be a link of theirs. */
function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what = code === 'EEXIST' ? `${file} is there already` : `cannot write ${file} (${code})`;
    throw new MloError('MLO_SYSTEM', what, 'name another file with -o');
  }
}

interface Bundle extends Record<string, unknown> {
  missing: Record<string, string>;
}

async function gather(mountpoint: string): Promise<Bundle> {
  const missing: Record<string, string> = {};
  async function take(name: string, get: () => unknown): Promise<unknown> {
    try {
      return await get();
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      missing[name] = error instanceof MloError ? asMloError(error).toString() : `${code ?? ''} ${message}`.trim();
      return null;
    }
  }
  const record = findRecord(runtimeDirectory(), mountpoint);
  const from = (path: string) => (): Promise<unknown> => {
    if (record === undefined)
      throw new MloError('MLO_NOT_MOUNTED', `no daemon of this user is known for ${mountpoint}`);
    if (!isAlive(record)) throw new MloError('MLO_UNREACHABLE', `the daemon (pid ${record.pid}) is gone`);
    return callDaemon(record.socket, 'GET', path, { timeoutMs: PATIENCE_MS });
  };
  // One after the other would make a user wait three times for a daemon that hangs.
  const [status, stats, history, findings, log] = await Promise.all([
    take('status', from('/status')),
    take('stats', from('/stats')),
    take('history', from(`/history?seconds=${HISTORY_SECONDS}`)),
    take('doctor', checkMachine),
    take('log', () => lastLines(record)),
  ]);
  const { stats: _, ...plain } = (status ?? {}) as Record<string, unknown>;
  return {
    schema: SCHEMA,
    at: new Date().toISOString(),
    mountpoint,
    versions: { mlOverlay: version, node: process.versions, kernel: release(), system: osVersion() },
    machine: await take('machine', machine),
    mounts: await take('mounts', () => mountLines(mountpoint)),
    record: record ?? null,
    daemon: await take('daemon', () => processOf(record)),
    status: status === null ? null : plain,
    stats,
    history,
    configuration: await take('configuration', configuration),
    environment: Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('MLO_'))),
    doctor: findings,
    log,
    missing,
  };
}

function machine(): object {
  const [first] = cpus();
  const pretty = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  return {
    distribution: pretty ?? null,
    architecture: arch(),
    processors: cpus().length,
    model: first?.model ?? null,
    memoryBytes: totalmem(),
    freeBytes: freemem(),
    load: loadavg(),
    upSeconds: uptime(),
    user: process.getuid?.() === 0 ? 'root' : 'ordinary',
  };
}

/** The lines of the kernel's table that are about it, as they are. */
function mountLines(mountpoint: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const found = lines.filter((line) => parseMountTable(line)[0]?.mountpoint === mountpoint);
  if (found.length === 0) throw new MloError('MLO_NOT_MOUNTED', `nothing is mounted on ${mountpoint}`);
  return found;
}

const STATUS_LINES =
  /^(State|Threads|VmRSS|VmHWM|VmSwap|FDSize|voluntary_ctxt_switches|nonvoluntary_ctxt_switches):\s*(.*)$/gm;

/** What the kernel says of the daemon: all there is of one that hangs. */
function processOf(record: MountRecord | undefined): object {
  if (record === undefined) throw new Error('there is no record of it');
  const { pid } = record;
  if (!isAlive(record)) return { pid, alive: false };
  const text = readFileSync(`/proc/${pid}/status`, 'latin1');
  const shown = Object.fromEntries([...text.matchAll(STATUS_LINES)].map(([, name, value]) => [name, value]));
  return { pid, alive: true, waitsIn: waitsIn(pid), ...shown };
}

function waitsIn(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/wchan`, 'latin1');
  } catch {
    return null;
  }
}

function configuration(): object {
  const file = process.env.MLO_CONFIG ?? defaultConfigurationPath();
  try {
    return { file, lines: readFileSync(file, 'utf8').split('\n') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { file, lines: null };
    throw error;
  }
}

/** Lines that are JSON come as what they say. */
async function lastLines(record: MountRecord | undefined): Promise<unknown[]> {
  if (record === undefined) throw new Error('there is no record of the daemon, which would name it');
  const text = record.log.startsWith('/') ? endOf(record) : await fromJournal(record);
  return text.trimEnd().split('\n').slice(-LOG_LINES).map(parsed);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return line;
  }
}

/**
 * A record says where a daemon logs. Root reads those of other users too, and shall not be led to a file that is not that
 * user's: what is read here is handed on.
 */
function endOf({ log, socket }: MountRecord): string {
  const fd = openSync(log, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size, uid } = fstatSync(fd);
    if (!fstatSync(fd).isFile() || uid !== statSync(dirname(socket)).uid) {
      throw new Error(`${log} is no file of the user who mounted`);
    }
    const bytes = Buffer.alloc(Math.min(size, LOG_BYTES));
    const count = readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    const text = bytes.toString('utf8', 0, count);
    return size > bytes.length ? text.slice(text.indexOf('\n') + 1) : text;
  } finally {
    closeSync(fd);
  }
}

async function fromJournal({ log, pid }: MountRecord): Promise<string> {
  if (log !== 'journald') throw new Error(`the daemon logs to ${log}`);
  const words = ['-q', '-o', 'cat', '-n', String(LOG_LINES), `_PID=${pid}`];
  const { stdout } = await promisify(execFile)('journalctl', words, { timeout: PATIENCE_MS, maxBuffer: 2 * LOG_BYTES });
  return stdout;
}
