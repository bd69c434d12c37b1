/**
 * The last day of a few series, in memory: every ten seconds for an hour, every minute for a day. All of its memory is taken
 * at the start; a sample allocates nothing that stays.
 */
import { metrics } from './metrics.ts';
import { samplesOf } from './samples.ts';

const FINE_SECONDS = 10;
const FINE_SAMPLES = 360;
const COARSE_SECONDS = 60;
const COARSE_SAMPLES = 1440;
export const HISTORY_SECONDS_MAX: number = COARSE_SECONDS * COARSE_SAMPLES;

/** Keys of the document whose values are kept. */
export const historyKeys: readonly string[] = metrics.flatMap(({ key, history }) => (history && key ? [key] : []));

export interface HistoryDocument {
  schema: 1;
  everySeconds: number;
  /** ISO 8601, oldest first. */
  at: string[];
  /** By key; null where the value was not known. Counters are as they stood: differences are the user's to take. */
  series: Record<string, (number | null)[]>;
}

export class History {
  readonly #read: () => object;
  readonly #fine = new Ring(FINE_SAMPLES, historyKeys.length + 1);
  readonly #coarse = new Ring(COARSE_SAMPLES, historyKeys.length + 1);
  readonly #sample = new Float64Array(historyKeys.length + 1);
  #taken = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `read` makes the document the values are taken from. */
  constructor(read: () => object) {
    this.#read = read;
  }

  /** Takes samples from now on; the timer holds no process. */
  start(): void {
    this.take();
    this.#timer = setInterval(() => this.take(), FINE_SECONDS * 1000).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  take(nowMs: number = Date.now()): void {
    const document = this.#read();
    const sample = this.#sample;
    sample[0] = nowMs;
    for (let i = 0; i < historyKeys.length; i++) {
      const value = samplesOf(document, historyKeys[i]!)[0]?.value;
      sample[i + 1] = typeof value === 'number' ? value : Number.NaN;
    }
    this.#fine.add(sample);
    if (this.#taken++ % (COARSE_SECONDS / FINE_SECONDS) === 0) this.#coarse.add(sample);
  }

  /** The samples of the last seconds: fine ones when those reach back far enough. */
  document(seconds: number, nowMs: number = Date.now()): HistoryDocument {
    const fine = seconds <= FINE_SECONDS * FINE_SAMPLES;
    const rows = (fine ? this.#fine : this.#coarse).since(nowMs - seconds * 1000);
    const series: HistoryDocument['series'] = {};
    historyKeys.forEach((key, i) => {
      series[key] = rows.map((row) => (Number.isNaN(row[i + 1]!) ? null : row[i + 1]!));
    });
    const at = rows.map((row) => new Date(row[0]!).toISOString());
    return { schema: 1, everySeconds: fine ? FINE_SECONDS : COARSE_SECONDS, at, series };
  }
}

/** Rows of numbers, the newest over the oldest. The first number of a row is its time. */
class Ring {
  readonly #numbers: Float64Array;
  readonly #rows: number;
  readonly #columns: number;
  #next = 0;
  #used = 0;

  constructor(rows: number, columns: number) {
    this.#numbers = new Float64Array(rows * columns);
    this.#rows = rows;
    this.#columns = columns;
  }

  add(row: Float64Array): void {
    this.#numbers.set(row, this.#next * this.#columns);
    this.#next = (this.#next + 1) % this.#rows;
    if (this.#used < this.#rows) this.#used++;
  }

  /** Views of the rows from a time on, oldest first. */
  since(ms: number): Float64Array[] {
    const first = this.#next - this.#used + this.#rows;
    const found: Float64Array[] = [];
    for (let i = 0; i < this.#used; i++) {
      const at = ((first + i) % this.#rows) * this.#columns;
      const row = this.#numbers.subarray(at, at + this.#columns);
      if (row[0]! >= ms) found.push(row);
    }
    return found;
  }
}
