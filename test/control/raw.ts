/** Bytes on a socket, as someone who does not keep to the rules would send them. */
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { ControlHandlers } from '../../src/control/server.ts';

export type Where = { path: string } | { port: number; host: string };

export interface Heard {
  text: string;
  /** Of the first line; 0: there was none. */
  status: number;
  /** Until the connection was closed. */
  ms: number;
  error: string | undefined;
}

/** Sends, and listens until the other end closes, or `patienceMs` are over (`error` is then "open"). */
export function ask(where: Where, bytes: string | Buffer, patienceMs = 20_000): Promise<Heard> {
  const begun = performance.now();
  return new Promise((resolve) => {
    let text = '';
    let error: string | undefined;
    const socket = connect(where as NetConnectOpts, () => socket.write(bytes));
    const timer = setTimeout(() => {
      error = 'open';
      socket.destroy();
    }, patienceMs);
    socket.setEncoding('latin1').on('data', (data: string) => {
      text += data;
    });
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      error ??= cause.code;
    });
    socket.on('close', () => {
      clearTimeout(timer);
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
      resolve({ text, status, ms: performance.now() - begun, error });
    });
  });
}

export function get(where: Where, path: string): Promise<Heard> {
  return ask(where, `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
}

export function post(where: Where, path: string, body: string): Promise<Heard> {
  return ask(where, `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

export function bodyOf({ text }: Heard): Record<string, unknown> {
  return JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>;
}

/** A connection that stays; `closed` resolves when the other end has had enough. */
export function hold(where: Where, bytes = '', read = true): { socket: Socket; closed: Promise<number> } {
  const begun = performance.now();
  const socket = connect(where as NetConnectOpts, () => socket.write(bytes));
  socket.on('error', () => {});
  if (read) socket.resume();
  else socket.pause();
  const closed = new Promise<number>((resolve) => {
    socket.on('close', () => resolve(performance.now() - begun));
  });
  return { socket, closed };
}

/** What a daemon would answer, made up. */
export function handlersWith(own: Partial<ControlHandlers> = {}): ControlHandlers {
  return {
    status: () => ({ health: 'ok' }),
    stats: () => ({ schema: 1 }),
    metrics: () => ({ type: 'text/plain', text: 'a 1\n' }),
    history: (seconds) => ({ seconds }),
    ready: async () => ({ ready: true }),
    unmount: async () => ({ unmounted: true }),
    set: async (options) => options,
    trace: async () => ({}),
    warmup: async () => ({}),
    plan: async () => ({}),
    ...own,
  };
}
