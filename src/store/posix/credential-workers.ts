/** The threads of creator-worker.ts, as their employer sees them: started at first use, and no reason to stay alive. */
import { Worker } from 'node:worker_threads';
import { Errno } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Identity } from '../store.ts';
import type { AnyCall } from './lane.ts';

export interface WorkerOptions {
  /** Whom the thread becomes for good; absent: it switches for each creation and is itself otherwise. */
  identity?: { uid: number; gid: number };
  /**
   * Become it altogether, not only towards file systems. A FUSE mount without allow_other asks for that; but then that
   * user may send signals to the thread, and so end the process.
   */
  whole?: boolean;
}

export interface Order {
  number: number;
  /** The call's name in sys/libc.ts. */
  call: string;
  /** Numbers, addresses as bigint, null. */
  args: readonly (number | bigint | null)[];
  who: Identity | undefined;
}

export interface Answer {
  number: number;
  result: number;
}

interface Hand {
  worker: Worker;
  pending: Map<number, { resolve: (result: number) => void; args: readonly sys.Argument[] }>;
}

const callNames = new Map<unknown, string>(Object.entries(sys).map(([name, call]) => [call, name]));

/** As the source beside it is: TypeScript in a checkout, JavaScript in the package. */
const script = new URL(`./creator-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

export class CredentialWorkers {
  readonly #options: WorkerOptions;
  readonly #width: number;
  readonly #log: Log;
  readonly #hands: Hand[] = [];
  #next = 0;
  #closed = false;

  /** `width`: how many threads at most; each makes one call at a time. */
  constructor(width: number, options: WorkerOptions, log: Log) {
    this.#log = log;
    this.#width = width;
    this.#options = options;
  }

  run(call: AnyCall, args: readonly sys.Argument[], who: Identity | undefined): Promise<number> {
    const name = callNames.get(call);
    if (name === undefined || this.#closed) return Promise.resolve(-Errno.EIO);
    const hand = this.#idleHand();
    return new Promise((resolve) => {
      const number = this.#next++;
      // `args` stays in the map so that the buffers behind the addresses live until the answer.
      hand.pending.set(number, { resolve, args });
      if (hand.pending.size === 1) hand.worker.ref();
      const plain = args.map((value) => (value instanceof Uint8Array ? BigInt(sys.addressOf(value)) : value));
      const order: Order = { number, call: name, args: plain, who };
      hand.worker.postMessage(order);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { worker } of this.#hands) worker.ref(); // else the loop could end before the thread has
    await Promise.all(this.#hands.splice(0).map(({ worker }) => worker.terminate()));
  }

  #idleHand(): Hand {
    let best: Hand | undefined;
    for (const hand of this.#hands) {
      if (hand.pending.size === 0) return hand;
      if (!best || hand.pending.size < best.pending.size) best = hand;
    }
    if (best && this.#hands.length >= this.#width) return best;
    return this.#hire();
  }

  #hire(): Hand {
    // The program's own flags are for its main file (some, as --input-type, refuse any other).
    const execArgv = ['--disable-warning=ExperimentalWarning'];
    const worker = new Worker(script, { workerData: this.#options, name: 'mlo-creator', execArgv });
    const hand: Hand = { worker, pending: new Map() };
    worker.on('message', ({ number, result }: Answer) => {
      const waiting = hand.pending.get(number);
      hand.pending.delete(number);
      if (hand.pending.size === 0) worker.unref();
      waiting?.resolve(result);
    });
    const ended = () => {
      const index = this.#hands.indexOf(hand);
      if (index >= 0) this.#hands.splice(index, 1);
      for (const { resolve } of hand.pending.values()) resolve(-Errno.EIO);
      hand.pending.clear();
    };
    worker.on('error', (error) => {
      this.#log.error({ err: error }, 'a thread that creates files for others has failed');
      ended();
    });
    worker.on('exit', ended);
    worker.unref();
    this.#hands.push(hand);
    return hand;
  }
}
