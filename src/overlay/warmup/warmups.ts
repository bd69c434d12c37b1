/** The jobs there are: what they share, and when nobody asks for one any more, its end. */
import type { Cache } from '../../cache/cache.ts';
import type { Core } from '../core.ts';
import type { NodeId } from '../filesystem.ts';
import { Slots } from '../slots.ts';
import { Job, type WarmupAction, type WarmupProgress } from './job.ts';

const RUNNING_MOST = 4;
/** Of jobs that have ended, the latest can still be asked for. */
const REMEMBERED_MOST = 16;
/** Whoever began a job asks for it again within this, however busy the machine, or has been killed. */
const ASKED_WITHIN_MS = 30_000;
/** Of the cache's buffers for chunks on their way (64 MiB) readers have the other half. */
const BYTES_UNDER_WAY = 32 * 1024 * 1024;
/** While readers wait, a share of the requests is left. */
const SHARE_BESIDE_DEMAND = 1 / 8;
const STOP_MS = 1000;

/** What all jobs since the mount came to. */
export interface WarmupTotals {
  running: number;
  jobs: number;
  files: number;
  bytes: number;
  errors: number;
}

interface Kept {
  job: Job;
  askedAtMs: number;
}

export class Warmups {
  readonly #core: Core;
  readonly #forget: (node: NodeId) => void;
  readonly #jobs = new Map<number, Kept>();
  readonly #slots: Slots;
  readonly #ended = { files: 0, bytes: 0, errors: 0 };
  /** Requests to the source at once, of all jobs. */
  readonly requestsMost: number;
  readonly #askedWithinMs: number;
  #begun = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(core: Core, requestsMost: number, forget: (node: NodeId) => void, askedWithinMs = ASKED_WITHIN_MS) {
    this.#askedWithinMs = askedWithinMs;
    this.#core = core;
    this.#forget = forget;
    this.requestsMost = Math.max(1, Math.floor(requestsMost));
    const besideDemand = Math.max(1, Math.floor(this.requestsMost * SHARE_BESIDE_DEMAND));
    this.#slots = new Slots(() => (core.demand.present ? besideDemand : this.requestsMost), BYTES_UNDER_WAY);
  }

  /** Begins a job; undefined when there are too many. */
  begin(cache: Cache, action: WarmupAction, parallel = this.requestsMost): Job | undefined {
    if (this.#running().length >= RUNNING_MOST) return undefined;
    const id = ++this.#begun;
    const job = new Job(id, action, Math.min(parallel, this.requestsMost), {
      core: this.#core,
      cache,
      slots: this.#slots,
      forget: this.#forget,
    });
    this.#jobs.set(id, { job, askedAtMs: performance.now() });
    this.#forgetOld();
    this.#timer ??= setInterval(() => this.#tend(), this.#askedWithinMs / 4).unref();
    return job;
  }

  /** A job that somebody asks for, and so wants; undefined when there is none of that number. */
  get(id: number): Job | undefined {
    const kept = this.#jobs.get(id);
    if (kept !== undefined) kept.askedAtMs = performance.now();
    return kept?.job;
  }

  totals(): WarmupTotals {
    const totals: WarmupTotals = { running: this.#running().length, jobs: this.#begun, ...this.#ended };
    for (const { job } of this.#jobs.values()) add(totals, job.progress);
    return totals;
  }

  /** Ends all of them; resolves when nothing is under way, or hangs. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const jobs = [...this.#jobs.values()].map(({ job }) => job);
    for (const job of jobs) job.cancel();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, STOP_MS);
    });
    await Promise.race([Promise.all(jobs.map(({ ended }) => ended)), late]);
    clearTimeout(timer);
  }

  #running(): Job[] {
    return [...this.#jobs.values()].map(({ job }) => job).filter(({ progress }) => progress.state === 'running');
  }

  #tend(): void {
    const before = performance.now() - this.#askedWithinMs;
    for (const { job, askedAtMs } of this.#jobs.values()) if (askedAtMs < before) job.cancel();
    if (this.#running().length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #forgetOld(): void {
    for (const [id, { job }] of this.#jobs) {
      if (this.#jobs.size <= REMEMBERED_MOST) break;
      if (job.progress.state === 'running') continue;
      add(this.#ended, job.progress);
      this.#jobs.delete(id);
    }
  }
}

function add(totals: { files: number; bytes: number; errors: number }, { files, bytes }: WarmupProgress): void {
  totals.files += files.fetched;
  totals.bytes += bytes.fetched;
  totals.errors += files.failed;
}
