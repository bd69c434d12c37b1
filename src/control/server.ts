/**
 * The daemon's control socket: HTTP with JSON on a Unix socket that only the daemon's user can open; and, when asked for, the
 * metrics on TCP.
 *
 *   GET /status, /stats, /metrics, /history?seconds=N, /ready      POST /unmount, /set, /trace, /warmup, /plan
 */
import type { AddressInfo } from 'node:net';
import { MloError } from '../errors.ts';
import { type Log, silentLog } from '../telemetry/log.ts';
import { json } from './answer.ts';
import { defaultLimits, type Routes } from './limits.ts';
import { ServerThread } from './thread.ts';

export interface Readiness {
  ready: boolean;
  /** Why not. */
  why?: string;
}

/** What each request does. A thrown MloError becomes the answer. */
export interface ControlHandlers {
  status(): object;
  stats(): object;
  /** Prometheus text, and its content type. */
  metrics(): { type: string; text: string };
  history(seconds: number): object;
  ready(): Promise<Readiness>;
  unmount(options: { force?: boolean }): Promise<object>;
  set(options: Record<string, string>): Promise<object>;
  /** Begins, ends or tells of a recording. */
  trace(request: Record<string, unknown>): Promise<object>;
  /** Begins, feeds, ends or tells of a job that brings files into the cache. */
  warmup(request: Record<string, unknown>): Promise<object>;
  /** Takes, forgets or tells of what jobs announce that they will read. */
  plan(request: Record<string, unknown>): Promise<object>;
}

export interface Serving {
  close(): void;
}

function readable(handlers: ControlHandlers): Routes {
  return {
    'GET /metrics': () => {
      const { type, text } = handlers.metrics();
      return { status: 200, type, body: text };
    },
    'GET /ready': async () => {
      const readiness = await handlers.ready();
      return json({ ...readiness, pid: process.pid }, readiness.ready ? 200 : 503);
    },
  };
}

function routes(handlers: ControlHandlers): Routes {
  return {
    ...readable(handlers),
    'GET /status': () => json(handlers.status()),
    'GET /stats': () => json(handlers.stats()),
    'GET /history': (query) => json(handlers.history(secondsOf(query))),
    'POST /unmount': async (_, { force }) => json(await handlers.unmount({ force: force === true })),
    'POST /trace': async (_, body) => json(await handlers.trace(body)),
    'POST /warmup': async (_, body) => json(await handlers.warmup(body)),
    'POST /plan': async (_, body) => json(await handlers.plan(body)),
    'POST /set': async (_, body) => json(await handlers.set(textsOf(body))),
  };
}

/** Listens at `path`, which nobody but this user can open at any moment. */
export async function serveControl(path: string, handlers: ControlHandlers, log: Log = silentLog): Promise<Serving> {
  const thread = new ServerThread({ path }, routes(handlers), defaultLimits, log);
  await thread.start();
  return thread;
}

export interface ServingMetrics extends Serving {
  url: string;
  /** Only this machine can reach it. */
  loopback: boolean;
}

/** Serves GET /metrics and /ready, and nothing else, to whoever can connect. */
export async function serveMetrics(
  host: string,
  port: number,
  handlers: ControlHandlers,
  log: Log = silentLog,
): Promise<ServingMetrics> {
  const thread = new ServerThread({ host, port }, readable(handlers), { ...defaultLimits, bodyBytes: 0 }, log);
  const at = await thread.start().catch((error: Error) => {
    const what = `cannot listen on ${host} port ${port}: ${error.message}`;
    throw new MloError('MLO_SYSTEM', what, 'give another address with metrics-listen');
  });
  const { port: got, address, family } = at as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${got}/metrics`;
  const loopback = address === '::1' || address.startsWith('127.');
  return { url, loopback, close: () => thread.close() };
}

const HISTORY_SECONDS = 3600;

function secondsOf(query: URLSearchParams): number {
  const text = query.get('seconds') ?? String(HISTORY_SECONDS);
  const seconds = Number(text);
  if (!/^\d{1,9}$/.test(text) || seconds === 0) throw new MloError('MLO_USAGE', 'seconds is a whole number above 0');
  return seconds;
}

function textsOf(body: Record<string, unknown>): Record<string, string> {
  for (const [name, value] of Object.entries(body)) {
    if (typeof value !== 'string') throw new MloError('MLO_USAGE', `the value of ${name} is no text`);
  }
  return body as Record<string, string>;
}
