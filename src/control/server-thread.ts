/**
 * The thread that listens: takes connections, reads and checks requests, and hands those that are whole to the daemon's
 * thread. Whatever a client does costs time here, beside the mount's own thread.
 */
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { type Answer, Refused } from './answer.ts';
import { ControlServer } from './http.ts';
import type { Route } from './limits.ts';
import type { FromThread, Job, Question, ToThread } from './messages.ts';

/** On Linux niceness is a thread's own: on a machine that is busy the mount and the job come first. */
const NICER = 5;
const NICE_MOST = 19;

const { where, routes, limits } = workerData as Job;
const waiting = new Map<number, (answer: Answer) => void>();
let asked = 0;

function tell(message: FromThread): void {
  parentPort?.postMessage(message);
}

function handOn(route: string): Route {
  return (query, body) => {
    // Clients that leave before they are answered must not pile up work for the daemon.
    if (waiting.size >= limits.connections) throw new Refused(503, 'too much is asked at once');
    const question: Question = { number: ++asked, route, query: query.toString(), body };
    tell({ question });
    return new Promise((resolve) => {
      waiting.set(question.number, resolve);
    });
  };
}

parentPort?.on('message', ({ number, answer }: ToThread) => {
  waiting.get(number)?.(answer);
  waiting.delete(number);
});

async function listen(): Promise<void> {
  const { server } = new ControlServer(Object.fromEntries(routes.map((route) => [route, handOn(route)])), limits);
  const listening = (at: object): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject).listen(at, resolve);
    });
  if ('path' in where) {
    // A socket is made as the umask says, which other threads of the process may share: it stays. The socket is made where
    // nobody else can enter, gets its mode there, and only then its place.
    const nest = join(dirname(where.path), `${process.pid}-${threadId}.d`);
    rmSync(nest, { recursive: true, force: true });
    mkdirSync(nest, { mode: 0o700 });
    try {
      const made = join(nest, 's');
      await listening({ path: made });
      chmodSync(made, 0o600);
      renameSync(made, where.path);
    } finally {
      rmSync(nest, { recursive: true, force: true });
    }
  } else await listening(where);
  server.on('error', () => {});
  tell({ listening: server.address() });
}

try {
  setPriority(Math.min(getPriority() + NICER, NICE_MOST));
} catch {
  // not permitted: as good
}
listen().catch((error: Error) => tell({ failed: error.message }));
