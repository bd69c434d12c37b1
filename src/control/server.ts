/**
 * The daemon's control socket: HTTP with JSON on a Unix socket that only the daemon's user can open.
 *
 *   GET /status, /stats, /ready      POST /unmount, /set
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { MloError } from '../errors.ts';

/** What each request does. A thrown MloError becomes the answer. */
export interface ControlHandlers {
  status(): object;
  stats(): object;
  unmount(options: { force?: boolean }): Promise<object>;
  set(options: Record<string, string>): object;
}

const LONGEST_BODY = 64 * 1024;

export async function serveControl(path: string, handlers: ControlHandlers): Promise<Server> {
  const server = createServer((request, response) => void answer(handlers, request, response));
  server.keepAliveTimeout = 1;
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(path, resolve);
  });
  chmodSync(path, 0o600); // its directory is closed to others anyway
  server.on('error', () => {});
  return server;
}

async function answer(handlers: ControlHandlers, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let status = 200;
  let body: object;
  try {
    body = await dispatch(handlers, request);
  } catch (error) {
    const known = error instanceof MloError;
    status = known ? 409 : 500;
    body = known
      ? { code: error.code, message: error.message, remedy: error.remedy }
      : { code: 'MLO_DEFECT', message: String((error as Error)?.stack ?? error), remedy: 'report it' };
  }
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}

async function dispatch(handlers: ControlHandlers, request: IncomingMessage): Promise<object> {
  switch (`${request.method} ${request.url}`) {
    case 'GET /ready':
      return { ready: true, pid: process.pid };
    case 'GET /status':
      return handlers.status();
    case 'GET /stats':
      return handlers.stats();
    case 'POST /unmount':
      return handlers.unmount(await jsonOf(request));
    case 'POST /set':
      return handlers.set(await jsonOf(request));
    default:
      throw new MloError('MLO_USAGE', `the daemon knows no ${request.method} ${request.url}`);
  }
}

async function jsonOf<T extends object>(request: IncomingMessage): Promise<T> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > LONGEST_BODY) throw new MloError('MLO_USAGE', 'the request is too long');
  }
  try {
    const value: unknown = JSON.parse(text === '' ? '{}' : text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as T;
  } catch {
    // said below
  }
  throw new MloError('MLO_USAGE', 'the request is no JSON object');
}
