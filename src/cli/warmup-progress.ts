/** How far a warm-up is, for people: a line drawn over and over on a terminal, else one every few seconds; and what came of it. */
import { formatDuration, formatSize } from '../config/units.ts';
import type { WarmupProgress } from '../overlay/index.ts';

const LINE_EVERY_MS = 5000;
const BAR_CELLS = 20;
/** The rate shown is that of the last so many ms. */
const RATE_MS = 10_000;

export interface Outlook {
  /** Bytes a second, of late. */
  rate: number;
  /** Of all bytes, by the files met so far; undefined: not all files are known. */
  share: number | undefined;
  secondsLeft: number | undefined;
}

/** What is to come, from what was: files not met yet are taken to be as large as the others. */
export class Forecast {
  readonly #samples: { atMs: number; bytes: number }[] = [];

  /** `atMs`: monotonic. */
  take({ bytes, files, listed }: WarmupProgress, atMs: number): Outlook {
    this.#samples.push({ atMs, bytes: bytes.fetched });
    while (this.#samples.length > 2 && atMs - this.#samples[0]!.atMs > RATE_MS) this.#samples.shift();
    const first = this.#samples[0]!;
    const rate = atMs > first.atMs ? ((bytes.fetched - first.bytes) / (atMs - first.atMs)) * 1000 : 0;
    const met = files.whole + files.partly + files.none;
    if (!listed || met === 0) return { rate, share: undefined, secondsLeft: undefined };
    const unmet = Math.max(0, files.found - files.failed - met);
    const there = bytes.cached + bytes.fetched;
    const all = Math.max(there, bytes.found + (unmet * bytes.found) / met);
    // Of those not met as much is cached as of the others.
    const left = all - bytes.fetched - (bytes.cached * (met + unmet)) / met;
    return { rate, share: all === 0 ? 1 : there / all, secondsLeft: rate > 0 ? Math.max(0, left) / rate : undefined };
  }
}

export function progressLine(progress: WarmupProgress, { rate, share, secondsLeft }: Outlook): string {
  const { files, bytes, listed, action } = progress;
  const bar = share === undefined ? '' : `[${'#'.repeat(Math.floor(share * BAR_CELLS)).padEnd(BAR_CELLS, '.')}] `;
  const count = `${files.done} of ${files.found}${listed ? '' : '+'} files`;
  const amount = formatSize(action === 'evict' ? bytes.evicted : bytes.cached + bytes.fetched);
  if (action === 'check' || action === 'evict') return `${bar}${count}, ${amount}`;
  const left = secondsLeft === undefined ? '' : `, ${clock(secondsLeft)} left`;
  const wrong = files.failed === 0 ? '' : `, ${files.failed} failed`;
  return `${bar}${count}, ${amount}, ${formatSize(rate)}/s${left}${wrong}`;
}

/** "1:05", "2:00:09". */
export function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Draws on standard error, so that standard output has the result alone. */
export class ProgressView {
  readonly #forecast = new Forecast();
  readonly #out: NodeJS.WriteStream;
  readonly #quiet: boolean;
  #saidAtMs = performance.now();
  #drawn = false;

  /** `quiet`: lines that nobody watches are left out. */
  constructor(out: NodeJS.WriteStream, quiet: boolean) {
    this.#out = out;
    this.#quiet = quiet;
  }

  show(progress: WarmupProgress): void {
    const now = performance.now();
    const outlook = this.#forecast.take(progress, now);
    if (this.#out.isTTY) {
      const line = progressLine(progress, outlook).slice(0, Math.max(20, this.#out.columns - 1));
      this.#out.write(`\r\x1b[K${line}`);
      this.#drawn = true;
    } else if (!this.#quiet && now - this.#saidAtMs >= LINE_EVERY_MS) {
      this.#saidAtMs = now;
      this.#out.write(`${progressLine(progress, outlook)}\n`);
    }
  }

  /** Takes the line away. */
  end(): void {
    if (this.#drawn) this.#out.write('\r\x1b[K');
  }
}

/** What came of it, in a line. */
export function summary({ action, files, bytes, seconds }: WarmupProgress): string {
  const took = formatDuration(Math.round(seconds * 1000));
  const met = files.whole + files.partly + files.none;
  const all = `${met} files, ${formatSize(bytes.found)}`;
  const failed = files.failed === 0 ? '' : `; ${files.failed} failed`;
  const pinned = files.pinned === 0 ? '' : `; ${files.pinned} pinned (${formatSize(bytes.pinned)})`;
  if (action === 'check') {
    const share = bytes.found === 0 ? 100 : Math.floor((100 * bytes.cached) / bytes.found);
    const parts = `${files.whole} whole, ${files.partly} partly, ${files.none} not`;
    return `${all}: ${formatSize(bytes.cached)} cached (${share} %), ${parts}${pinned}${failed}`;
  }
  if (action === 'evict') {
    const inUse = files.inUse === 0 ? '' : `; ${files.inUse} are open and stay`;
    const kept = files.pinned === 0 ? '' : `; ${files.pinned} are pinned and stay`;
    return `${all}: ${files.evicted} dropped, ${formatSize(bytes.evicted)}${inUse}${kept}${failed}`;
  }
  const rate = seconds > 0 ? `, ${formatSize(bytes.fetched / seconds)}/s` : '';
  const brought = `${files.fetched} brought (${formatSize(bytes.fetched)} in ${took}${rate})`;
  return `${all}: ${files.whole} were cached, ${brought}${pinned}${failed}`;
}
