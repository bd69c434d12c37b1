/**
 * Keeps a storm of one error from filling the log: the first is logged, the same within ten seconds is counted, and the
 * count is logged when they are over.
 */
import type { Log } from './log.ts';

const WITHIN_MS = 10_000;
/** Different messages remembered at once; beyond that the oldest is settled early. */
const REMEMBERED = 256;

type Level = 'warn' | 'error';

interface Storm {
  level: Level;
  fields: object;
  message: string;
  suppressed: number;
  timer: NodeJS.Timeout;
}

export interface ProblemCounts {
  warn: number;
  error: number;
}

export class RepeatFilter implements Log {
  /** Everything said at these levels, logged or not. */
  readonly counts: ProblemCounts = { warn: 0, error: 0 };
  readonly #inner: Log;
  readonly #withinMs: number;
  readonly #storms = new Map<string, Storm>();

  constructor(inner: Log, withinMs: number = WITHIN_MS) {
    this.#inner = inner;
    this.#withinMs = withinMs;
  }

  debug(fields: object, message: string): void {
    this.#inner.debug(fields, message);
  }

  info(fields: object, message: string): void {
    this.#inner.info(fields, message);
  }

  warn(fields: object, message: string): void {
    this.#take('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#take('error', fields, message);
  }

  /** Logs what was counted so far; for the end of the process. */
  flush(): void {
    for (const key of [...this.#storms.keys()]) this.#settle(key);
  }

  #take(level: Level, fields: object, message: string): void {
    this.counts[level]++;
    const { errno, code } = fields as { errno?: unknown; code?: unknown };
    const key = `${level} ${message} ${String(errno ?? code ?? '')}`;
    const storm = this.#storms.get(key);
    if (storm !== undefined) {
      storm.suppressed++;
      storm.fields = fields;
      return;
    }
    this.#inner[level](fields, message);
    const timer = setTimeout(() => this.#settle(key), this.#withinMs);
    timer.unref();
    this.#storms.set(key, { level, fields, message, suppressed: 0, timer });
    if (this.#storms.size > REMEMBERED) this.#settle(this.#storms.keys().next().value ?? key);
  }

  #settle(key: string): void {
    const storm = this.#storms.get(key);
    if (storm === undefined) return;
    clearTimeout(storm.timer);
    this.#storms.delete(key);
    const { level, fields, message, suppressed } = storm;
    if (suppressed > 0) this.#inner[level]({ ...fields, repeated: suppressed }, message);
  }
}
