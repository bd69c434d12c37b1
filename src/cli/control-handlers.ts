/** What the daemon answers on its control socket. */
import type { DaemonRequest } from '../config/daemon-request.ts';
import type { ControlHandlers } from '../control/server.ts';
import { MloError } from '../errors.ts';
import type { Assembly } from './assemble.ts';
import type { Connection } from './connect.ts';
import type { DaemonLog, LogLevel } from './logging.ts';
import { version } from './version.ts';

export interface DaemonParts {
  request: DaemonRequest;
  assembly: Assembly;
  connection: Connection;
  log: DaemonLog;
  defects: { count: number };
}

const levels: readonly string[] = ['error', 'warn', 'info', 'debug'];

export function controlHandlers(parts: DaemonParts): ControlHandlers {
  const { request, assembly, connection, log, defects } = parts;
  const since = new Date();
  const stats = (): object => ({
    overlay: assembly.overlay.snapshot(),
    session: connection.stats(),
    cache: assembly.cache?.snapshot() ?? null,
    process: processNow(),
    problems: { ...log.filter.counts, defects: defects.count },
  });
  return {
    stats,
    status: () => ({
      mountpoint: request.mountpoint,
      source: request.source,
      pid: process.pid,
      version,
      node: process.version,
      mountedAt: since.toISOString(),
      log: log.where,
      logLevel: log.level,
      transport: connection.transport,
      readaheadSet: connection.readaheadSet,
      health: health(parts),
      capabilities: connection.capabilities,
      options: options(request, log.level),
      effective: assembly.effective,
      stats: stats(),
    }),
    unmount: async ({ force = false }) => {
      log.log.info({ force }, 'asked to unmount');
      await connection.unmount(force);
      return { unmounted: true };
    },
    set: (wanted) => {
      for (const [name, value] of Object.entries(wanted)) {
        if (name !== 'log-level') throw new MloError('MLO_OPTION', `${name} cannot change while mounted`, 'mount anew');
        if (!levels.includes(value)) throw new MloError('MLO_OPTION', `log-level cannot be "${value}"`);
      }
      if (wanted['log-level'] !== undefined) log.level = wanted['log-level'] as LogLevel;
      return { 'log-level': log.level };
    },
  };
}

function options({ texts, origins }: DaemonRequest, level: string): Record<string, { value: string; from: string }> {
  const shown: Record<string, { value: string; from: string }> = {};
  for (const [name, from] of Object.entries(origins)) shown[name] = { value: texts[name] ?? '', from };
  if (shown['log-level'] && shown['log-level'].value !== level) shown['log-level'] = { value: level, from: 'set' };
  return shown;
}

/** "ok", or what is wrong. */
function health({ assembly, defects }: DaemonParts): string {
  const cache = assembly.cache?.snapshot().health ?? 'ok';
  if (cache !== 'ok') return `cache: ${cache}`;
  return defects.count > 0 ? `${defects.count} defects were logged` : 'ok';
}

function processNow(): object {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return { residentBytes: rss, heapBytes: heapUsed, cpuSeconds: (user + system) / 1e6, upSeconds: process.uptime() };
}
