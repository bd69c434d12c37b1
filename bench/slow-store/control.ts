/**
 * The store's control: JSON over HTTP on a Unix socket.
 *
 *     GET  /counts
 *     POST /reset
 *     POST /hang     {path?, kinds?, count?, seconds?}      all of it, or what matches; until released
 *     POST /fail     {path?, kinds?, count?, errno}
 *     POST /shorten  {path?, count?, bytes}
 *     POST /pace     {latencyMs?, bandwidth?}               from now on; what is left out stays as it is
 *     POST /release                                         lets go of everything that hangs
 *     POST /clear                                           ends all of the above
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Fail, Hang, Shorten } from './rules.ts';
import type { Pace, SlowFileSystem } from './slow-file-system.ts';

const LIMIT = 64 * 1024;

async function body(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const part of request) {
    text += part;
    if (text.length > LIMIT) throw new Error('request too large');
  }
  return text === '' ? {} : JSON.parse(text);
}

export async function serveControl(store: SlowFileSystem, path: string): Promise<Server> {
  const commands = new Map<string, (what: unknown) => unknown>([
    ['GET /counts', () => store.counts()],
    ['POST /reset', () => store.reset()],
    ['POST /hang', (what) => store.rules.hang(what as Hang)],
    ['POST /fail', (what) => store.rules.fail(what as Fail)],
    ['POST /shorten', (what) => store.rules.shorten(what as Shorten)],
    ['POST /pace', (what) => store.pace(what as Pace)],
    ['POST /release', () => store.rules.release()],
    ['POST /clear', () => store.rules.clear()],
  ]);
  const server = createServer((request, response) => {
    const answer = async (): Promise<[number, unknown]> => {
      const command = commands.get(`${request.method} ${request.url}`);
      if (command === undefined) return [404, { error: `no such command: ${request.method} ${request.url}` }];
      try {
        return [200, command(await body(request)) ?? {}];
      } catch (error) {
        return [400, { error: (error as Error).message }];
      }
    };
    void answer().then(([status, value]) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return server;
}
