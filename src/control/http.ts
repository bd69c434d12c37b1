/**
 * A small HTTP server for clients that may mean no good: they are limited in what they send, how long they take, how many
 * they are, and how much is kept for them.
 *
 *   connection   one request, then closed; when there are too many, the oldest that nothing is being done for goes
 *   request      headers 8 KiB, body 64 KiB, both within 5 s
 *   answer       not read within 5 s, or too much unread by all: the connection is cut
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Answer, Refused, refusal } from './answer.ts';
import { defaultLimits, type HttpLimits, type Route, type Routes } from './limits.ts';

interface Connection {
  /** Its request begins to come; is whole and being answered; was answered, and the answer is not all read. */
  state: 'new' | 'asking' | 'serving' | 'answered';
  timer: NodeJS.Timeout;
}

export class ControlServer {
  readonly server: Server;
  readonly #routes: Routes;
  readonly #limits: HttpLimits;
  /** By age. */
  readonly #connections = new Map<Socket, Connection>();
  #unreadBytes = 0;

  constructor(routes: Routes, limits: HttpLimits = defaultLimits) {
    this.#routes = routes;
    this.#limits = limits;
    // Time limits are ours, for each connection: Node's own need a timer that never rests.
    this.server = createServer(
      { maxHeaderSize: limits.headerBytes, headersTimeout: 0, requestTimeout: 0 },
      (request, response) => void this.#serve(request, response),
    );
    this.server.keepAliveTimeout = 1;
    this.server.on('connection', (socket: Socket) => this.#connected(socket));
    this.server.on('clientError', (_error: Error, socket) => socket.destroy());
    // Neither is spoken here, and Node would leave the connection to us.
    this.server.on('upgrade', (_request, socket) => socket.destroy());
    this.server.on('connect', (_request, socket) => socket.destroy());
  }

  /** Cuts every connection and listens no more. */
  close(): void {
    this.server.close();
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  #connected(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#limits.requestMs).unref();
    const connection: Connection = { state: 'new', timer };
    this.#connections.set(socket, connection);
    socket.once('close', () => {
      clearTimeout(connection.timer);
      this.#connections.delete(socket);
    });
    if (this.#connections.size <= this.#limits.connections) return;
    for (const [oldest, { state }] of this.#connections) {
      if (state === 'serving') continue;
      oldest.destroy();
      this.#connections.delete(oldest);
      return;
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const connection = this.#connections.get(socket);
    if (connection?.state !== 'new') {
      socket.destroy(); // a second request on one connection
      return;
    }
    connection.state = 'asking';
    let answer: Answer;
    try {
      answer = await this.#answer(request, connection);
    } catch (error) {
      answer = refusal(error);
    }
    if (socket.destroyed) return;
    const bytes = Buffer.byteLength(answer.body);
    if (this.#unreadBytes + bytes > this.#limits.unreadBytes) {
      socket.destroy();
      return;
    }
    connection.state = 'answered';
    clearTimeout(connection.timer);
    connection.timer = setTimeout(() => socket.destroy(), this.#limits.answerMs).unref();
    this.#unreadBytes += bytes;
    socket.once('close', () => {
      this.#unreadBytes -= bytes;
    });
    response.writeHead(answer.status, {
      'content-type': answer.type,
      'content-length': bytes,
      'cache-control': 'no-store',
      connection: 'close',
    });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  async #answer(request: IncomingMessage, connection: Connection): Promise<Answer> {
    const { pathname, searchParams } = addressOf(request);
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
    const route = this.#routeFor(method, pathname);
    const body = method === 'POST' ? await this.#jsonOf(request) : {};
    connection.state = 'serving';
    clearTimeout(connection.timer); // what is asked for may take its time (unmount)
    return route(searchParams, body);
  }

  #routeFor(method: string, path: string): Route {
    const name = `${method} ${path}`;
    const route = Object.hasOwn(this.#routes, name) ? this.#routes[name] : undefined;
    if (route !== undefined) return route;
    const others = ['GET', 'POST'].filter((other) => Object.hasOwn(this.#routes, `${other} ${path}`));
    if (others.length > 0) throw new Refused(405, `${path} takes ${others.join(' or ')}`);
    throw new Refused(404, 'the daemon knows no such address');
  }

  async #jsonOf(request: IncomingMessage): Promise<Record<string, unknown>> {
    const chunks: Buffer[] = [];
    let length = Number(request.headers['content-length'] ?? 0);
    if (length > this.#limits.bodyBytes) throw new Refused(413, 'the request is too long');
    length = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > this.#limits.bodyBytes) throw new Refused(413, 'the request is too long');
      chunks.push(chunk);
    }
    try {
      const value: unknown = JSON.parse(length === 0 ? '{}' : Buffer.concat(chunks).toString());
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    } catch {
      // said below
    }
    throw new Refused(400, 'the request is no JSON object');
  }
}

function addressOf({ url = '' }: IncomingMessage): URL {
  try {
    if (url.startsWith('/')) return new URL(`http://daemon${url}`);
  } catch {
    // said below
  }
  throw new Refused(400, 'the address is none of ours');
}
