/** What a trace comes to. */
import type { TracedFile, TracedThread, TraceEvent, TraceHeader } from '../access/trace-format.ts';
import type { TraceReader } from '../access/trace-reader.ts';
import { formatSize } from '../config/units.ts';
import { processShown } from './trace-text.ts';

const PROCESSES_SHOWN = 20;

interface Totals {
  opens: number;
  reads: number;
  readBytes: number;
  writes: number;
  writeBytes: number;
  errors: number;
  waitUs: number;
}

interface ProcessTotals extends Totals {
  by: TracedThread | undefined;
  firstUs: number;
  lastUs: number;
}

const nothing = (): Totals => ({ opens: 0, reads: 0, readBytes: 0, writes: 0, writeBytes: 0, errors: 0, waitUs: 0 });

export class Summary {
  readonly #header: TraceHeader;
  readonly #all = nothing();
  readonly #processes = new Map<number | string, ProcessTotals>();
  /** The last size of each file that was opened. */
  readonly #sizes = new Map<TracedFile, number>();
  readonly #ways: Record<string, number> = {};
  readonly #from = { store: { reads: 0, bytes: 0 }, tier: { reads: 0, bytes: 0 } };
  #events = 0;
  #releases = 0;
  #keptPages = 0;
  #before = 0;
  #lost = 0;
  #firstUs = Number.POSITIVE_INFINITY;
  #lastUs = 0;

  constructor(header: TraceHeader) {
    this.#header = header;
  }

  add(event: TraceEvent): void {
    this.#lastUs = event.atUs;
    if (event.kind === 'lost') {
      this.#lost += event.count;
      return;
    }
    this.#events++;
    this.#firstUs = Math.min(this.#firstUs, event.atUs);
    if (event.kind === 'release') {
      this.#releases++;
      return;
    }
    const process = this.#process(event.by, event.atUs - event.waitUs);
    process.lastUs = event.atUs;
    for (const totals of [this.#all, process]) {
      totals.waitUs += event.waitUs;
      if (event.kind === 'open') totals.opens += event.before ? 0 : 1;
      else if (event.errno !== 0) totals.errors++;
      else if (event.kind === 'read') {
        totals.reads++;
        totals.readBytes += event.count;
      } else {
        totals.writes++;
        totals.writeBytes += event.count;
      }
    }
    if (event.kind === 'open') {
      if (event.file !== undefined) this.#sizes.set(event.file, event.size);
      if (event.before) this.#before++;
      else {
        this.#ways[event.way] = (this.#ways[event.way] ?? 0) + 1;
        if (event.keptPages) this.#keptPages++;
      }
    } else if (event.kind === 'read' && event.errno === 0) {
      const from = this.#from[event.from];
      from.reads++;
      from.bytes += event.count;
    }
  }

  #process(by: TracedThread | undefined, atUs: number): ProcessTotals {
    const key = by === undefined ? 'damaged' : (by.pid ?? `thread ${by.thread}`);
    let process = this.#processes.get(key);
    if (process === undefined) {
      process = { by, firstUs: atUs, lastUs: atUs, ...nothing() };
      this.#processes.set(key, process);
    }
    return process;
  }

  /** Stable keys; docs/TRACE.md tells each. */
  document({ end, damage }: TraceReader): object {
    const { waitUs, ...all } = this.#all;
    return {
      ...this.#header,
      seconds: this.#seconds(end?.seconds),
      events: this.#events,
      lost: this.#missing(end?.lost),
      ended: end?.reason ?? null,
      damage,
      files: this.#sizes.size,
      bytes: this.#bytes(),
      ...all,
      releases: this.#releases,
      waitSeconds: waitUs / 1e6,
      opensByWay: this.#ways,
      opensKeptPages: this.#keptPages,
      openBefore: this.#before,
      readsFrom: this.#from,
      processes: this.#byWork().map(({ by, firstUs, lastUs, waitUs: waited, ...totals }) => ({
        pid: by?.pid ?? null,
        command: by?.command ?? null,
        ...totals,
        waitSeconds: waited / 1e6,
        activeSeconds: (lastUs - firstUs) / 1e6,
      })),
    };
  }

  page({ end }: TraceReader): string[] {
    const { opens, reads, readBytes, writes, writeBytes, errors, waitUs } = this.#all;
    const { store, tier } = this.#from;
    const ways = Object.entries(this.#ways).map(([way, count]) => `${count} ${way}`);
    const missing = this.#missing(end?.lost);
    const lost = missing === 0 ? '' : `, ${missing} lost`;
    const rows: [string, string][] = [
      [
        'recorded',
        `${this.#header.startedAt}, ${this.#seconds(end?.seconds).toFixed(1)} s, ended: ${end?.reason ?? '?'}`,
      ],
      ['of', `${this.#header.mountpoint}, from ${this.#header.source}`],
      ['events', `${this.#events}${lost}`],
      ['files', `${this.#sizes.size}, ${formatSize(this.#bytes())}`],
      ['opens', `${opens}: ${ways.join(', ') || '-'}; ${this.#keptPages} with pages kept, ${this.#before} open before`],
      ['reads', `${reads}, ${formatSize(readBytes)}: ${part(store, 'store')}, ${part(tier, 'tier')}`],
      ['writes', `${writes}, ${formatSize(writeBytes)}`],
      ['errors', String(errors)],
      ['waited', `${(waitUs / 1e6).toFixed(3)} s`],
      ['processes', String(this.#processes.size)],
    ];
    const lines = rows.map(([name, text]) => `${name.padEnd(10)} ${text}`);
    lines.push(
      '',
      `${'PROCESS'.padEnd(24)} ${['OPENS', 'READS', 'BYTES', 'WAITED s', 'ACTIVE s'].map(column).join('')}`,
    );
    const byWork = this.#byWork();
    for (const process of byWork.slice(0, PROCESSES_SHOWN)) lines.push(processLine(process));
    if (byWork.length > PROCESSES_SHOWN) lines.push(`and ${byWork.length - PROCESSES_SHOWN} more`);
    return lines;
  }

  #seconds(told: number | undefined): number {
    return told ?? this.#lastUs / 1e6;
  }

  /** The last of them may be told by the end alone. */
  #missing(told = 0): number {
    return Math.max(this.#lost, told);
  }

  #bytes(): number {
    let bytes = 0;
    for (const size of this.#sizes.values()) bytes += size;
    return bytes;
  }

  #byWork(): ProcessTotals[] {
    const work = ({ opens, reads, writes }: Totals): number => opens + reads + writes;
    return [...this.#processes.values()].sort((a, b) => work(b) - work(a));
  }
}

function part({ reads, bytes }: { reads: number; bytes: number }, name: string): string {
  return `${reads} from the ${name} (${formatSize(bytes)})`;
}

function processLine({ by, opens, reads, readBytes, waitUs, firstUs, lastUs }: ProcessTotals): string {
  const numbers = [
    opens,
    reads,
    formatSize(readBytes),
    (waitUs / 1e6).toFixed(3),
    ((lastUs - firstUs) / 1e6).toFixed(3),
  ];
  return `${processShown(by).padEnd(24)} ${numbers.map((number) => column(String(number))).join('')}`;
}

function column(text: string): string {
  return text.padStart(12);
}
