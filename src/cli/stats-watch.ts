/**
 * `ml-overlay stats --watch`: asks the daemon every tick and draws what changed in place. On a terminal: the alternate
 * screen, no cursor, and one write a frame that overwrites each line and clears what is behind it, so that nothing flickers
 * and a slow line (ssh) carries little. What the terminal was is put back however the command ends. Elsewhere: a line a tick.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { asMloError, MloError } from '../errors.ts';
import type { StatsDocument } from '../telemetry/stats.ts';
import { comparable, frame, type Line, tick, type Watched } from './stats-table.ts';
import { span } from './stats-text.ts';

export interface WatchOptions {
  everySeconds: number;
  /** Each document as a line of JSON, instead of a table. */
  json: boolean;
  ask: () => Promise<StatsDocument>;
}

const ESCAPE = '\x1b[';
/** The alternate screen, no cursor, and no wrapping: a name wider than it was taken for must not move the lines. */
const ENTER = `${ESCAPE}?1049h${ESCAPE}?25l${ESCAPE}?7l`;
const LEAVE = `${ESCAPE}0m${ESCAPE}?7h${ESCAPE}?25h${ESCAPE}?1049l`;
const HOME = `${ESCAPE}H`;
const REST_OF_LINE = `${ESCAPE}K`;
const REST_OF_SCREEN = `${ESCAPE}J`;
const LOOKS = { heading: `${ESCAPE}7m`, alarm: `${ESCAPE}1;31m` } as const;
const PLAIN = `${ESCAPE}0m`;

const CTRL_C = '\x03';
const CTRL_Z = '\x1a';
const WHILE_SUSPENDED_MS = 200;

export async function watch(options: WatchOptions): Promise<number> {
  const first = await options.ask(); // what cannot even begin is an error like any other
  if (process.stdout.isTTY && !options.json) return new LiveTable(options, first).run();
  return lines(options, first);
}

function clock(): string {
  return new Date().toTimeString().slice(0, 8);
}

/** For a pipe or a file: ends when nobody reads, and when the daemon does not answer, since no one sees it come back. */
async function lines({ ask, everySeconds, json }: WatchOptions, first: StatsDocument): Promise<number> {
  let closed = false;
  process.stdout.on('error', () => {
    closed = true; // EPIPE: `| head`
  });
  let before: StatsDocument | undefined;
  let now = first;
  while (!closed) {
    const watched: Watched = { now, before: comparable(now, before) ? before : undefined, clock: clock() };
    process.stdout.write(`${json ? JSON.stringify(now) : tick(watched)}\n`);
    await sleep(everySeconds * 1000);
    before = now;
    if (!closed) now = await ask();
  }
  return 0;
}

class LiveTable {
  readonly #options: WatchOptions;
  #now: StatsDocument;
  #before: StatsDocument | undefined;
  #answeredMs = performance.now();
  #trouble: string | undefined;
  #inside = false;
  /** A frame that was not taken yet: on a slow line the next ones are left out, not queued. */
  #unwritten = false;
  readonly #ended = new AbortController();

  constructor(options: WatchOptions, first: StatsDocument) {
    this.#options = options;
    this.#now = first;
  }

  async run(): Promise<number> {
    const { signal } = this.#ended;
    const restore = (): void => this.#leave();
    process.once('exit', restore);
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(name, () => this.#end());
    process.on('SIGCONT', () => this.#enter());
    process.stdout.on('error', () => this.#end());
    process.stdout.on('resize', () => this.#draw());
    process.stdin.on('data', (keys: Buffer) => this.#typed(keys.toString('latin1')));
    try {
      this.#enter();
      while (!signal.aborted) {
        await sleep(this.#options.everySeconds * 1000, undefined, { signal }).catch(() => {});
        if (!signal.aborted) await this.#next();
      }
    } finally {
      this.#leave();
      process.stdin.pause();
    }
    return 0;
  }

  #end(): void {
    this.#ended.abort();
  }

  #enter(): void {
    if (this.#inside || this.#ended.signal.aborted) return;
    this.#inside = true;
    this.#keys(true);
    process.stdout.write(ENTER);
    this.#draw();
  }

  /** Synchronously: the process may be about to end. */
  #leave(): void {
    if (!this.#inside) return;
    this.#inside = false;
    try {
      writeSync(1, LEAVE);
    } catch {
      // the terminal has gone
    }
    this.#keys(false);
  }

  /** Keys come one by one and are not shown. */
  #keys(raw: boolean): void {
    if (!process.stdin.isTTY) return;
    try {
      process.stdin.setRawMode(raw);
    } catch {
      // the terminal has gone
    }
  }

  #typed(keys: string): void {
    if (/q/i.test(keys) || keys.includes(CTRL_C)) this.#end();
    else if (keys.includes(CTRL_Z)) this.#suspend();
  }

  #suspend(): void {
    this.#leave();
    process.kill(process.pid, 'SIGSTOP');
    setTimeout(() => this.#enter(), WHILE_SUSPENDED_MS); // should SIGCONT have been missed
  }

  async #next(): Promise<void> {
    try {
      const next = await this.#options.ask();
      this.#before = comparable(next, this.#now) ? this.#now : undefined;
      this.#now = next;
      this.#answeredMs = performance.now();
      this.#trouble = undefined;
    } catch (error) {
      this.#before = undefined; // rates of then are no rates of now
      const silent = span((performance.now() - this.#answeredMs) / 1000);
      this.#trouble = `NO ANSWER for ${silent}, trying again; the numbers are old. ${reason(error)}`;
    }
    this.#draw();
  }

  #draw(): void {
    if (!this.#inside || this.#unwritten) return;
    const { columns, rows } = process.stdout;
    const watched: Watched = { now: this.#now, before: this.#before, trouble: this.#trouble, clock: clock() };
    // Not to the last column: with the cursor waiting there, clearing the rest of the line would take its character.
    const drawn = painted(frame(watched, { columns: (columns || 80) - 1, rows: rows || 24 }));
    this.#unwritten = true;
    process.stdout.write(drawn, () => {
      this.#unwritten = false;
    });
  }
}

/** A frame as the terminal takes it. */
export function painted(lines: readonly Line[]): string {
  const texts = lines.map(({ text, look }) =>
    look === undefined ? `${text}${REST_OF_LINE}` : `${LOOKS[look]}${text}${PLAIN}${REST_OF_LINE}`,
  );
  return `${HOME}${texts.join('\r\n')}${PLAIN}${REST_OF_SCREEN}`;
}

function reason(error: unknown): string {
  const { message } = asMloError(error);
  return error instanceof MloError ? message : 'the command failed';
}
