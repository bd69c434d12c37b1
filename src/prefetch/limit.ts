/**
 * What may be asked of a store in a second (`store-limit`): a token bucket for requests and one for bytes. What readers ask
 * is taken from the same buckets, and never waits for them: what nobody waits for has what they leave.
 */
import type { StoreUse } from './host.ts';

/** A second; either may be missing. */
export interface StoreLimit {
  bytesPerSecond?: number | undefined;
  requestsPerSecond?: number | undefined;
}

/** What an unused moment saves up, in seconds. */
const BURST_SECONDS = 0.25;
/** What readers took beyond it is made up for, but for no longer than this, in seconds. */
const DEBT_SECONDS = 5;

class Bucket {
  perSecond: number;
  tokens: number;
  #used: number;

  constructor(perSecond: number, used: number) {
    this.perSecond = perSecond;
    this.tokens = perSecond * BURST_SECONDS;
    this.#used = used;
  }

  refill(used: number, seconds: number): void {
    const most = this.perSecond * BURST_SECONDS;
    const tokens = this.tokens + this.perSecond * seconds - (used - this.#used);
    this.tokens = Math.max(-this.perSecond * DEBT_SECONDS, Math.min(most, tokens));
    this.#used = used;
  }

  /** Seconds until something may be asked again. */
  get waitSeconds(): number {
    return this.tokens > 0 ? 0 : -this.tokens / this.perSecond + 0.001;
  }
}

export class Limiter {
  readonly #bytes: Bucket | undefined;
  readonly #requests: Bucket | undefined;
  #atMs: number;

  constructor({ bytesPerSecond, requestsPerSecond }: StoreLimit, use: StoreUse, nowMs: number) {
    this.#bytes = bytesPerSecond === undefined ? undefined : new Bucket(bytesPerSecond, use.bytes);
    this.#requests = requestsPerSecond === undefined ? undefined : new Bucket(requestsPerSecond, use.requests);
    this.#atMs = nowMs;
  }

  /** Milliseconds to wait; 0: something may be asked. `bytesUnderWay`: asked for, and not counted by the store yet. */
  waitMs(use: StoreUse, bytesUnderWay: number, nowMs: number): number {
    const seconds = Math.max(0, nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    this.#bytes?.refill(use.bytes, seconds);
    this.#requests?.refill(use.requests, seconds);
    const bytes = this.#bytes;
    const ahead = bytes === undefined ? 0 : Math.max(0, bytesUnderWay - Math.max(0, bytes.tokens)) / bytes.perSecond;
    return 1000 * Math.max(ahead, bytes?.waitSeconds ?? 0, this.#requests?.waitSeconds ?? 0);
  }
}
