/** Whether a mount can serve: its connection stands, and its source answers. */
import type { Readiness } from '../control/server.ts';
import { errnoName, type Failure, failed } from '../sys/errno.ts';
import type { Assembly } from './assemble.ts';
import type { Connection } from './connect.ts';

/** A source that takes longer is not there for a job, whatever it says later. */
const PATIENCE_MS = 2000;

/** One question at a time is on its way to the source, however many ask us: a source that hangs collects no calls. */
export function readinessOf(assembly: Assembly, connection: Connection): () => Promise<Readiness> {
  let ended = false;
  void connection.ended.then(() => {
    ended = true;
  });
  let asking: { sinceMs: number; answer: Promise<Readiness> } | undefined;

  async function ask(): Promise<Readiness> {
    try {
      const outcome = await assembly.store.statistics();
      return failed(outcome)
        ? { ready: false, why: `the source says ${errnoName(outcome as Failure)}` }
        : { ready: true };
    } finally {
      asking = undefined;
    }
  }

  return async () => {
    if (ended) return { ready: false, why: 'the mount has ended' };
    if (asking === undefined) {
      const sinceMs = performance.now();
      const answer = ask();
      asking = { sinceMs, answer };
      void answer.catch(() => {});
    }
    const { sinceMs, answer } = asking;
    const leftMs = sinceMs + PATIENCE_MS - performance.now();
    return (await within(answer, leftMs)) ?? { ready: false, why: 'the source does not answer' };
  };
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  if (ms <= 0) return undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
