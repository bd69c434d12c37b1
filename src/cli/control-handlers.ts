/** What the daemon answers on its control socket. */
import type { DaemonRequest } from '../config/daemon-request.ts';
import type { ControlHandlers } from '../control/server.ts';
import { HISTORY_SECONDS_MAX, History } from '../telemetry/history.ts';
import { CONTENT_TYPE, prometheusText } from '../telemetry/prometheus.ts';
import type { StatsDocument } from '../telemetry/stats.ts';
import type { Assembly } from './assemble.ts';
import type { Connection } from './connect.ts';
import { changeLive } from './live-settings.ts';
import type { DaemonLog } from './logging.ts';
import { planControl } from './plan-control.ts';
import { readinessOf } from './readiness.ts';
import { operationRows, statsDocument } from './stats-document.ts';
import { traceControl } from './trace-control.ts';
import { version } from './version.ts';
import { warmupControl } from './warmup-control.ts';

export interface DaemonParts {
  request: DaemonRequest;
  assembly: Assembly;
  connection: Connection;
  log: DaemonLog;
  defects: { count: number };
}

export interface LiveHandlers extends ControlHandlers {
  /** Where metrics are served on TCP. */
  metricsUrl: string | null;
  /** Ends what goes on between requests. */
  stop(): void;
}

export function controlHandlers(parts: DaemonParts): LiveHandlers {
  const { request, assembly, connection, log } = parts;
  const since = new Date();
  const sinceMs = performance.now();
  const stats = (): StatsDocument => statsDocument(parts, sinceMs);
  const history = new History(stats);
  history.start();
  const times = assembly.access?.times.table;
  const handlers: LiveHandlers = {
    metricsUrl: null,
    stats,
    metrics: () => ({ type: CONTENT_TYPE, text: prometheusText(stats(), times, operationRows) }),
    history: (seconds) => history.document(Math.min(seconds, HISTORY_SECONDS_MAX)),
    ready: readinessOf(assembly, connection),
    stop: () => history.stop(),
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
      metrics: handlers.metricsUrl,
      health: health(parts),
      capabilities: capabilities(parts),
      options: options(request),
      effective: assembly.effective,
      debug: { resources: resourcesByKind(), memory: process.memoryUsage() },
      stats: stats(),
    }),
    unmount: async ({ force = false }) => {
      log.log.info({ force }, 'asked to unmount');
      await connection.unmount(force);
      return { unmounted: true };
    },
    trace: (wanted) => traceControl(parts, wanted),
    set: (wanted) => changeLive(parts, wanted),
    warmup: (wanted) => warmupControl(parts, wanted),
    plan: (wanted) => planControl(parts, wanted),
  };
  return handlers;
}

/** Those of the connection to the kernel, and of this process. */
function capabilities({ connection, assembly }: DaemonParts): Connection['capabilities'] {
  const { on, off } = connection.capabilities;
  const why = assembly.withoutIoUring;
  return why === undefined ? { on: [...on, 'io-uring'], off } : { on, off: { ...off, 'io-uring': why } };
}

function options({ texts, origins }: DaemonRequest): Record<string, { value: string; from: string }> {
  const shown: Record<string, { value: string; from: string }> = {};
  for (const [name, from] of Object.entries(origins)) shown[name] = { value: texts[name] ?? '', from };
  return shown;
}

/** What keeps the event loop going, counted: timers, sockets, calls on the pool. */
function resourcesByKind(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** "ok", or what is wrong. */
function health({ assembly, connection, defects }: DaemonParts): string {
  const cache = assembly.cache?.snapshot().health ?? 'ok';
  if (cache !== 'ok') return `cache: ${cache}`;
  const all = defects.count + connection.stats().defects;
  return all > 0 ? `${all} defects were logged` : 'ok';
}
