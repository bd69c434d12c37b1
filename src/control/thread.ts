/**
 * The daemon's end of a thread that listens (server-thread.ts): answers what it hands on, at a pace that leaves the loop to
 * the mount.
 */

import { getCompileCacheDir } from 'node:module';
import type { AddressInfo } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Log } from '../telemetry/log.ts';
import { type Answer, refusal } from './answer.ts';
import type { HttpLimits, Routes } from './limits.ts';
import type { FromThread, Job, Question, ToThread } from './messages.ts';
import { Pace } from './pace.ts';

const script = new URL(`./server-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

/** After a thread that ended by itself, before the next. */
const AGAIN_MS = 1000;
/** Bounds what clients can make it hold, above what its limits let it. A small nursery: it saves 10 MiB of memory. */
const HEAP = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 1 };

type Address = AddressInfo | string | null;

export class ServerThread {
  readonly #job: Job;
  readonly #routes: Routes;
  readonly #log: Log;
  readonly #pace = new Pace();
  #worker: Worker | undefined;
  #again: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(where: Job['where'], routes: Routes, limits: HttpLimits, log: Log) {
    this.#job = { where, routes: Object.keys(routes), limits };
    this.#routes = routes;
    this.#log = log;
  }

  /** Resolves with the address when it listens; rejects when it cannot. */
  start(): Promise<Address> {
    return new Promise((resolve, reject) => {
      const compiled = getCompileCacheDir(); // not inherited: 15 MiB of memory, and half of the time to start
      const worker = new Worker(script, {
        workerData: this.#job,
        name: 'mlo-control',
        // The program's own flags are for its main file (some, as --input-type, refuse any other).
        execArgv: ['--disable-warning=ExperimentalWarning'],
        resourceLimits: HEAP,
        env: compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled },
      });
      this.#worker = worker;
      let trouble: Error | undefined;
      worker.on('message', (message: FromThread) => {
        if ('question' in message) this.#asked(worker, message.question);
        else if ('failed' in message) {
          this.close();
          reject(new Error(message.failed));
        } else {
          worker.unref(); // it holds no process
          resolve(message.listening);
        }
      });
      worker.on('error', (error) => {
        trouble = error as Error;
      });
      worker.on('exit', () => {
        reject(trouble ?? new Error('the thread that listens has ended'));
        this.#ended(trouble);
      });
    });
  }

  /** Cuts every connection, and listens no more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
    void this.#worker?.terminate();
  }

  #asked(worker: Worker, { number, route, query, body }: Question): void {
    const answered = (answer: Answer): void => {
      worker.postMessage({ number, answer } satisfies ToThread);
    };
    this.#pace
      .run(() => this.#routes[route]!(new URLSearchParams(query), body))
      .then(answered, (error) => answered(refusal(error)));
  }

  /** A thread that ended by itself is replaced; who was connected is cut, and can ask again. */
  #ended(trouble: Error | undefined): void {
    if (this.#closed) return;
    this.#log.warn(
      { err: trouble, where: this.#job.where },
      'the thread that listens has ended; another takes its place',
    );
    this.#again = setTimeout(() => {
      this.start().catch(() => {}); // told above, and tried again
    }, AGAIN_MS).unref();
  }
}
