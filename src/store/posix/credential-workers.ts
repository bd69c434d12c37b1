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
  /** The call's name in sys/libc.ts. */
  call: string;
  /** Numbers, addresses as bigint, null. */
  args: readonly (number | bigint | null)[];
  who: Identity | undefined;
}

interface Waiting {
  order: Order;
  /** Kept so that the buffers behind the addresses live until the answer. */
  args: readonly sys.Argument[];
  resolve: (result: number) => void;
}

interface Hand {
  worker: Worker;
  doing: Waiting | undefined;
}

const callNames = new Map<unknown, string>(Object.entries(sys).map(([name, call]) => [call, name]));

/** As the source beside it is: TypeScript in a checkout, JavaScript in the package. */
const script = new URL(`./creator-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

/** A thread is given one order at a time: a call that hangs holds up no other while there are threads left. */
export class CredentialWorkers {
  readonly #options: WorkerOptions;
  readonly #width: number;
  readonly #log: Log;
  readonly #hands: Hand[] = [];
  readonly #waiting: Waiting[] = [];
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
    return new Promise((resolve) => {
      const plain = args.map((value) => (value instanceof Uint8Array ? BigInt(sys.addressOf(value)) : value));
      this.#waiting.push({ order: { call: name, args: plain, who }, args, resolve });
      this.#go();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#giveUp();
    for (const { worker } of this.#hands) worker.ref(); // else the loop could end before the thread has
    await Promise.all(this.#hands.splice(0).map(({ worker }) => worker.terminate()));
  }

  /** Nobody does what waits. */
  #giveUp(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve(-Errno.EIO);
  }

  #go(): void {
    while (this.#waiting.length > 0) {
      const hand = this.#idleHand();
      if (hand === undefined) {
        if (this.#hands.length === 0) this.#giveUp();
        return;
      }
      hand.doing = this.#waiting.shift()!;
      hand.worker.ref();
      hand.worker.postMessage(hand.doing.order);
    }
  }

  #idleHand(): Hand | undefined {
    const idle = this.#hands.find(({ doing }) => doing === undefined);
    if (idle !== undefined || this.#hands.length >= this.#width) return idle;
    try {
      return this.#hire();
    } catch (error) {
      this.#log.error({ err: error }, 'a thread that creates files for others could not be started');
      return undefined; // those there are do it in turn
    }
  }

  #hire(): Hand {
    // The program's own flags are for its main file (some, as --input-type, refuse any other).
    const execArgv = ['--disable-warning=ExperimentalWarning'];
    const worker = new Worker(script, { workerData: this.#options, name: 'mlo-creator', execArgv });
    const hand: Hand = { worker, doing: undefined };
    worker.on('message', (result: number) => {
      worker.unref();
      this.#done(hand, result);
    });
    const ended = () => {
      const index = this.#hands.indexOf(hand);
      if (index >= 0) this.#hands.splice(index, 1);
      this.#done(hand, -Errno.EIO);
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

  #done(hand: Hand, result: number): void {
    const { doing } = hand;
    hand.doing = undefined;
    doing?.resolve(result);
    this.#go();
  }
}
