/** What a recorded trace says of how its files were read: what a mount finds out, fed from its events. */

import { O_RDONLY } from '../sys/open-flags.ts';
import { type ClassifiedDataSet, type ClassifiedSequence, OpenOrders } from './classify-orders.ts';
import { Readers } from './data-set-readers.ts';
import { type FileKind, fileKindOf, type JobKind, jobOf, type KindTotals } from './labels.ts';
import { type AccessedFile, type AccessedHandle, From } from './observer.ts';
import type { ReadPattern, Stream } from './stream.ts';
import { Streams } from './streams.ts';
import type { TracedFile, TracedOpen, TracedThread, TracedTransfer, TraceEvent } from './trace-format.ts';

/** Files whose streams are kept: all of most traces. */
const FILES_MOST = 100_000;

export interface ClassifiedStream {
  path: string;
  kind: FileKind;
  process: number;
  command: string;
  pattern: ReadPattern;
  stepBytes: number | null;
  /** Over the file, by all who read it; null: it is not read in passes, or that cannot be told. */
  passes: number | null;
  passDone: number | null;
  /** READs looked at, of those it made. */
  looked: number;
  reads: number;
}

export interface ClassifiedProcess {
  pid: number | null;
  command: string;
  job: JobKind;
  /** The share of its bytes that this is said from. */
  confidence: number;
  bytes: Partial<Record<FileKind, { read: number; written: number }>>;
}

export interface Classification {
  dataSets: ClassifiedDataSet[];
  sequences: ClassifiedSequence[];
  streams: ClassifiedStream[];
  processes: ClassifiedProcess[];
}

class ReplayedFile implements AccessedFile {
  readonly nodeId: number;
  readonly attributes: { size: number } = { size: Number.POSITIVE_INFINITY };
  observed: object | undefined = undefined;
  readonly fileKey: string;
  readonly kind: FileKind;
  readonly #path: string;

  constructor({ node, path }: TracedFile) {
    this.nodeId = node;
    this.fileKey = String(node);
    this.kind = fileKindOf(path);
    this.#path = path;
  }

  path(): string {
    return this.#path;
  }
}

interface Seen {
  stream: Stream;
  command: string;
  looked: number;
  pattern: ReadPattern;
  stepBytes: number | null;
}

export class Classifier {
  readonly #after: number;
  readonly #identities = new Map<number, TracedThread>();
  readonly #streams: Streams;
  readonly #orders: OpenOrders;
  readonly #files = new Map<TracedFile, ReplayedFile>();
  readonly #seen = new Map<Stream, Seen>();
  readonly #processes = new Map<number | null, { command: string; totals: KindTotals }>();

  /** `after`: each stream is judged by so many of its first READs. */
  constructor(after: number = Number.POSITIVE_INFINITY) {
    this.#after = after;
    const readers = new Readers((thread) => {
      const by = this.#identities.get(thread);
      return { pid: by?.pid ?? null, command: by?.command ?? '', job: 0 };
    });
    this.#orders = new OpenOrders(readers);
    this.#streams = new Streams(readers, FILES_MOST);
    this.#streams.listener = {
      began: () => {},
      joined: () => {},
      read: (stream) => this.#read(stream),
      forgotten: () => {},
    };
  }

  add(event: TraceEvent): void {
    if (event.kind === 'lost' || event.kind === 'release' || event.file === undefined) return;
    const file = this.#fileOf(event.file);
    if (event.kind === 'open') {
      file.attributes.size = event.size;
      if (!event.writes) this.#opened(event, file);
      return;
    }
    if (event.by === undefined || event.errno !== 0) return;
    this.#count(event, file);
    if (event.kind !== 'read') return;
    this.#identities.set(event.by.thread, event.by);
    const handle = handleOf(event, file);
    const { by, offset, count, atUs, waitUs } = event;
    const from = event.from === 'tier' ? From.TIER : From.STORE;
    this.#orders.read(handle, by.thread, count, from, (atUs - waitUs) / 1000, atUs / 1000);
    this.#streams.reading(handle, by.thread, offset, count, atUs / 1000);
  }

  async document(): Promise<Classification> {
    const streams = [...this.#seen.values()].map(({ stream, looked, command, pattern, stepBytes }) => ({
      path: textOf(stream.file.path()),
      kind: (stream.file as ReplayedFile).kind,
      process: stream.process,
      command,
      pattern,
      stepBytes,
      passes: this.#streams.passesOf(stream.file)?.epoch ?? null,
      passDone: this.#streams.passesOf(stream.file)?.epochDone ?? null,
      looked,
      reads: stream.reads,
    }));
    const processes = [...this.#processes].map(([pid, { command, totals }]) => ({
      pid,
      command,
      ...jobOf(totals),
      bytes: bytesOf(totals),
    }));
    const dataSets = this.#orders.dataSets().map((set) => ({ ...set, path: textOf(set.path) }));
    const sequences = (await this.#orders.sequences()).map((one) => ({ ...one, path: textOf(one.path) }));
    return { dataSets, sequences, streams, processes };
  }

  #fileOf(traced: TracedFile): ReplayedFile {
    let file = this.#files.get(traced);
    if (file === undefined) {
      file = new ReplayedFile(traced);
      this.#files.set(traced, file);
    }
    return file;
  }

  #opened(event: TracedOpen, file: ReplayedFile): void {
    const { by, atUs, waitUs } = event;
    const thread = by?.thread ?? 0;
    if (by !== undefined) this.#identities.set(thread, by);
    this.#orders.opened(handleOf(event, file), thread, by?.pid ?? thread, (atUs - waitUs) / 1000, atUs / 1000);
  }

  #read(stream: Stream): void {
    let seen = this.#seen.get(stream);
    if (seen === undefined) {
      const command = this.#processes.get(stream.process)?.command ?? '';
      seen = { stream, command, looked: 0, pattern: 'unknown', stepBytes: null };
      this.#seen.set(stream, seen);
    }
    if (stream.reads > this.#after) return;
    const { pattern, strides } = stream;
    seen.looked = stream.reads;
    seen.pattern = pattern;
    seen.stepBytes = strides.period > 0 ? strides.stepBytes : null;
  }

  #count({ kind, by, count }: TracedTransfer, file: ReplayedFile): void {
    const pid = by?.pid ?? null;
    let process = this.#processes.get(pid);
    if (process === undefined) {
      process = { command: by?.command ?? '', totals: { read: {}, written: {} } };
      this.#processes.set(pid, process);
    }
    const totals = kind === 'read' ? process.totals.read : process.totals.written;
    totals[file.kind] = (totals[file.kind] ?? 0) + count;
  }
}

function handleOf({ handle: id }: TracedOpen | TracedTransfer, inode: ReplayedFile): AccessedHandle {
  return { id, inode, flags: O_RDONLY, way: 'source', observed: undefined };
}

function bytesOf({ read, written }: KindTotals): ClassifiedProcess['bytes'] {
  const bytes: ClassifiedProcess['bytes'] = {};
  for (const kind of new Set([...Object.keys(read), ...Object.keys(written)] as FileKind[])) {
    bytes[kind] = { read: read[kind] ?? 0, written: written[kind] ?? 0 };
  }
  return bytes;
}

function textOf(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}
