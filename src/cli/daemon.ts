/**
 * The process that serves a mount. Started by `mount` with everything decided in one variable; checks, assembles, mounts,
 * reports, and stays until the mount is gone.
 */
import { closeSync, existsSync, rmSync, writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import type { Access } from '../access/access.ts';
import { type DaemonReport, type DaemonRequest, REPORT_FD, REQUEST_VARIABLE } from '../config/daemon-request.ts';
import { forgetDead } from '../control/leftovers.ts';
import { startTimeOf } from '../control/processes.ts';
import {
  ensureRuntimeDirectory,
  type MountRecord,
  pathsFor,
  type RecordPaths,
  removeRecord,
  writeRecord,
} from '../control/registry.ts';
import { type Serving, serveControl, serveMetrics } from '../control/server.ts';
import { asMloError, Exit, MloError } from '../errors.ts';
import { mountedAt } from '../fuse/index.ts';
import { prlimit } from '../sys/libc.ts';
import { askForShortSlices } from '../sys/scheduling.ts';
import { type Assembly, assemble } from './assemble.ts';
import { checkPlaces } from './check-places.ts';
import { type Connection, connectMount, type Ended } from './connect.ts';
import { addControlFiles } from './control-files.ts';
import { controlHandlers, type LiveHandlers } from './control-handlers.ts';
import { HANDED_DIRECTORIES_MOST, HANDED_NAMES_MOST } from './hand-names.ts';
import { boundHeapGrowth } from './heap-growth.ts';
import { type DaemonLog, type LogLevel, openLog } from './logging.ts';
import { version } from './version.ts';

export async function run(): Promise<number> {
  const request = JSON.parse(process.env[REQUEST_VARIABLE] ?? 'null') as DaemonRequest | null;
  delete process.env[REQUEST_VARIABLE];
  if (request === null) throw new MloError('MLO_USAGE', 'the daemon is started by ml-overlay mount');
  process.chdir('/'); // else it would keep busy whatever it was started in
  if (!request.foreground) ignoreTerminal();
  askForShortSlices(); // before there are threads of the pool
  try {
    return await serve(request);
  } catch (error) {
    const { code, message, remedy, exit } = asMloError(error);
    if (request.foreground) throw error;
    report({ mounted: false, code, message, remedy });
    closeSync(REPORT_FD);
    return exit;
  }
}

async function serve(request: DaemonRequest): Promise<number> {
  checkPlaces(request);
  if (!request.foreground) report({ mountingOn: request.mountpoint });
  const { runtimeDirectory, mountpoint, settings } = request;
  ensureRuntimeDirectory(runtimeDirectory);
  const paths = pathsFor(runtimeDirectory, mountpoint, process.pid);
  const own = settings.log === 'auto' && !request.foreground;
  const fresh = own && !existsSync(paths.log);
  const log = logTo(settings.log === 'auto' ? (own ? paths.log : 'stderr') : settings.log, settings['log-level']);
  try {
    const { connection, record, server, signals, access, overlay } = await begin(request, paths, log);
    if (!request.foreground) {
      const known = overlay.knownDirectories(HANDED_NAMES_MOST).slice(0, HANDED_DIRECTORIES_MOST);
      report({ mounted: true, pid: process.pid, device: record.device, mountpoint, known });
      closeSync(REPORT_FD);
    }
    flushCompileCache(); // it is a long time to the end
    boundHeapGrowth();

    const end = await connection.ended;
    server.close();
    await access?.stop();
    const clean = sayHowItEnded(end, signals.asked(), log);
    const silent = log.filter.counts.warn + log.filter.counts.error === 0;
    log.close();
    removeRecord(record, own && clean && silent);
    return clean ? Exit.ok : Exit.system;
  } catch (error) {
    log.close();
    if (fresh) rmSync(paths.log, { force: true }); // whoever mounts is told
    throw error;
  }
}

interface Begun {
  connection: Connection;
  record: MountRecord;
  server: Serving;
  signals: Signals;
  access: Access | undefined;
  overlay: Assembly['overlay'];
}

/** Everything up to a mount that answers; when a step fails those before it are undone. */
async function begin(request: DaemonRequest, paths: RecordPaths, log: DaemonLog): Promise<Begun> {
  const { mountpoint, source, runtimeDirectory } = request;
  const defects = watchForDefects(log);
  raiseOpenFiles(log);
  const assembly = await assemble(request, log.log);
  const signals = handleSignals(log); // not before: until here a signal may simply end the process
  const connection = await connectMount(request, assembly, log.log).catch(async (error: unknown) => {
    await assembly.overlay.stop();
    throw error;
  });
  try {
    const handlers = controlHandlers({ request, assembly, connection, log, defects });
    addControlFiles(assembly.virtual, handlers, assembly.overlay.prefetch?.plans, log.log);
    const server = await serveAll(request, paths.socket, handlers, log);
    const record: MountRecord = {
      mountpoint,
      source,
      pid: process.pid,
      startTime: startTimeOf(process.pid) ?? '',
      device: mountedAt(mountpoint)?.device ?? '',
      socket: paths.socket,
      log: log.where,
      mountedAt: new Date().toISOString(),
      version,
    };
    forgetDead(runtimeDirectory, mountpoint);
    writeRecord(runtimeDirectory, record);
    log.reopen(); // a daemon that ended meanwhile may have removed the file
    log.log.info({ mountpoint, source, device: record.device, version }, 'mounted');
    signals.connected(connection);
    return { connection, record, server, signals, access: assembly.access, overlay: assembly.overlay };
  } catch (error) {
    await connection.unmount(true).catch(() => {});
    rmSync(paths.socket, { force: true }); // no record tells of it yet
    throw error;
  }
}

/** The control socket, and the metrics on TCP when they are asked for. */
async function serveAll(
  { settings }: DaemonRequest,
  socket: string,
  handlers: LiveHandlers,
  { log }: DaemonLog,
): Promise<Serving> {
  const control = await serveControl(socket, handlers, log);
  const wanted = settings['metrics-listen'];
  const metrics = wanted === 'off' ? undefined : await serveMetrics(wanted.host, wanted.port, handlers, log);
  if (metrics !== undefined) {
    handlers.metricsUrl = metrics.url;
    const { url } = metrics;
    if (metrics.loopback) log.info({ url }, 'metrics are served');
    else log.warn({ url }, 'metrics are served to whoever can reach this address, without a password');
  }
  return {
    close: () => {
      handlers.stop();
      control.close();
      metrics?.close();
    },
  };
}

function logTo(where: string, level: LogLevel): DaemonLog {
  try {
    return openLog(where, level);
  } catch (error) {
    throw new MloError(
      'MLO_SYSTEM',
      `cannot log to ${where}: ${(error as Error).message}`,
      'name another file with --log',
    );
  }
}

function sayHowItEnded({ reason, error }: Ended, asked: boolean, log: DaemonLog): boolean {
  const clean = error === undefined && (reason !== 'aborted' || asked);
  if (clean) log.log.info({ reason }, 'unmounted');
  else log.log.error({ reason, err: error }, 'the connection to the kernel ended');
  return clean;
}

/** The command that started us may close the terminal. */
function ignoreTerminal(): void {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, () => {});
}

/**
 * The first signal asks politely, the second insists. One that comes while the mount is being made is kept until it is there:
 * to end then would leave a mount without a daemon.
 */
function handleSignals(log: DaemonLog): Signals {
  let asked = 0;
  let connection: Connection | undefined;
  const unmount = (): void => {
    connection?.unmount(asked > 1).catch((error: Error) => log.log.warn({ err: error }, 'cannot unmount'));
  };
  const leave = (signal: string): void => {
    asked++;
    log.log.info({ signal }, asked === 1 ? 'unmounting' : 'unmounting by force');
    unmount();
  };
  process.removeAllListeners('SIGINT');
  process.on('SIGINT', leave);
  process.on('SIGTERM', leave);
  process.on('SIGHUP', () => log.reopen());
  process.on('SIGPIPE', () => {});
  return {
    asked: () => asked > 0,
    connected: (made) => {
      connection = made;
      if (asked > 0) unmount();
    },
  };
}

interface Signals {
  asked(): boolean;
  connected(connection: Connection): void;
}

/** A defect in one request must not take the mount from every other. */
function watchForDefects(log: DaemonLog): { count: number } {
  const defects = { count: 0 };
  const note = (error: unknown, message: string): void => {
    defects.count++;
    log.log.error({ err: error, code: (error as Error)?.message }, message);
  };
  process.on('uncaughtException', (error) => note(error, 'a defect: an exception nobody caught'));
  process.on('unhandledRejection', (error) => note(error, 'a defect: a rejection nobody handled'));
  return defects;
}

const RLIMIT_NOFILE = 7;

/** Every open file of the mount can be one here. */
function raiseOpenFiles(log: DaemonLog): void {
  const limits = Buffer.alloc(16);
  if (prlimit.now(0, RLIMIT_NOFILE, null, limits) < 0) return;
  limits.writeBigUInt64LE(limits.readBigUInt64LE(8), 0);
  if (prlimit.now(0, RLIMIT_NOFILE, limits, null) < 0) log.log.debug({}, 'the limit of open files stays as it is');
}

function report(line: DaemonReport): void {
  try {
    writeSync(REPORT_FD, `${JSON.stringify(line)}\n`);
  } catch {
    // whoever started us has gone
  }
}
