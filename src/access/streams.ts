/**
 * Who reads large files, and how: each READ is given to the run it goes on with and to the stream of who reads. Files that are
 * fetched whole at their first READ have no streams: how a job goes from one such file to the next is a matter of its data set.
 *
 *   READ  -> file: runs (detectors/sequential.ts)  -> stream: jumps (detectors/stride.ts) -> who prefetches
 */

import { WHOLE_FILE_BYTES } from '../prefetch/order.ts';
import type { Readers } from './data-set-readers.ts';
import { type Run, Runs } from './detectors/sequential.ts';
import { FilePasses } from './file-passes.ts';
import { fileKindOf } from './labels.ts';
import type { AccessedFile, AccessedHandle } from './observer.ts';
import type { StreamSnapshot } from './snapshot.ts';
import { LOOKED, type ReadPattern, Stream } from './stream.ts';

/** Of more files or streams, those that rested longest are forgotten. */
const FILES_MOST = 256;
const STREAMS_MOST = 16;
const SNAPSHOTS_MOST = 32;
const DIRECTORIES_MOST = 1024;

/** Who prefetches from what is seen; called in the turn of a READ. */
export interface StreamListener {
  /** A READ; `jumped`: it went on with no run. */
  read(stream: Stream, run: Run, jumped: boolean, offset: number, size: number): void;
  /** A run became a part of the one that the next READ to be told is of: somebody reads on there. */
  joined(part: Run): void;
  /** A process begins to read a file, by one of its threads. */
  began(file: AccessedFile, process: number, thread: number): void;
  /** Nothing more is known of how this file is read. */
  forgotten(file: AccessedFile): void;
}

/** How one file is read. */
export class FileStreams {
  readonly file: AccessedFile;
  readonly runs: Runs = new Runs();
  readonly streams: Stream[] = [];
  readonly passes: FilePasses;
  /** When it was read last, as the number of that READ. */
  usedAt = 0;

  constructor(file: AccessedFile) {
    this.file = file;
    this.passes = new FilePasses(file.attributes.size);
  }
}

export class Streams {
  readonly #readers: Readers;
  readonly #filesMost: number;
  readonly #files = new Map<AccessedFile, FileStreams>();
  #last: FileStreams | undefined;
  /** By directory, how the file was read of which that was found out last. The one found last is the last. */
  readonly #directories = new Map<string, ReadPattern>();
  #reads = 0;
  /** Who prefetches; undefined: nobody. */
  listener: StreamListener | undefined = undefined;

  constructor(readers: Readers, filesMost: number = FILES_MOST) {
    this.#readers = readers;
    this.#filesMost = filesMost;
  }

  reading(handle: AccessedHandle, thread: number, offset: number, size: number, nowMs: number): void {
    const { inode } = handle;
    if (inode.attributes.size <= WHOLE_FILE_BYTES || size <= 0) return;
    const file = this.#last?.file === inode ? this.#last : this.#use(inode);
    const reader = this.#readers.of(thread, nowMs);
    const process = this.#readers.identity(reader).pid ?? thread;
    const stream = this.#streamOf(file, handle.id, process);
    if (stream.reads === 0) this.listener?.began(inode, process, thread);
    stream.usedAt = ++this.#reads;
    file.usedAt = this.#reads;
    file.passes.read(offset, size);
    const run = file.runs.came(offset, size);
    const jumped = stream.came(run, offset, size);
    for (const part of file.runs.joined) this.listener?.joined(part);
    if (stream.reads === LOOKED) this.#learn(stream);
    this.listener?.read(stream, run, jumped, offset, size);
  }

  /** A file is opened whose READs the kernel serves by itself: to open it is to begin it. */
  opened({ inode }: AccessedHandle, thread: number, nowMs: number): void {
    if (this.listener === undefined || inode.attributes.size <= WHOLE_FILE_BYTES) return;
    const process = this.#readers.identity(this.#readers.of(thread, nowMs)).pid ?? thread;
    this.listener.began(inode, process, thread);
  }

  /** How a file is going to be read, most likely: as others of its directory were; before there were any, by what it is. */
  expects(file: AccessedFile): ReadPattern {
    return (
      this.#directories.get(directoryOf(file)) ?? (fileKindOf(file.path()) === 'shards' ? 'sequential' : 'unknown')
    );
  }

  #learn({ file, pattern }: Stream): void {
    const directory = directoryOf(file);
    this.#directories.delete(directory);
    this.#directories.set(directory, pattern);
    if (this.#directories.size <= DIRECTORIES_MOST) return;
    for (const oldest of this.#directories.keys()) {
      this.#directories.delete(oldest);
      break;
    }
  }

  #use(inode: AccessedFile): FileStreams {
    let file = this.#files.get(inode);
    if (file === undefined) {
      file = new FileStreams(inode);
      if (this.#files.size >= this.#filesMost) this.#forgetOldest();
      this.#files.set(inode, file);
    }
    this.#last = file;
    return file;
  }

  #forgetOldest(): void {
    let oldest: FileStreams | undefined;
    for (const file of this.#files.values())
      if (file.usedAt < (oldest?.usedAt ?? Number.POSITIVE_INFINITY)) oldest = file;
    if (oldest === undefined) return;
    this.#files.delete(oldest.file);
    this.listener?.forgotten(oldest.file);
  }

  #streamOf({ file, streams }: FileStreams, handle: number, process: number): Stream {
    let rested = 0;
    for (let at = 0; at < streams.length; at++) {
      const stream = streams[at]!;
      if (stream.handle === handle && stream.process === process) return stream;
      if (stream.usedAt < streams[rested]!.usedAt) rested = at;
    }
    const stream = new Stream(file, handle, process);
    if (streams.length < STREAMS_MOST) streams.push(stream);
    else streams[rested] = stream;
    return stream;
  }

  /** Passes over a file; undefined: it was forgotten. */
  passesOf(file: AccessedFile): FilePasses | undefined {
    return this.#files.get(file)?.passes;
  }

  /** Those used last, first. */
  snapshot(): StreamSnapshot[] {
    const all = [...this.#files.values()].flatMap(({ streams, passes }) =>
      streams.map((stream) => ({ stream, passes })),
    );
    all.sort((a, b) => b.stream.usedAt - a.stream.usedAt);
    return all.slice(0, SNAPSHOTS_MOST).map(({ stream, passes }) => ({
      path: Buffer.from(stream.file.path(), 'latin1').toString('utf8'),
      process: stream.process,
      pattern: stream.pattern,
      stepBytes: stream.strides.period > 0 ? stream.strides.stepBytes : null,
      reads: stream.reads,
      bytes: stream.bytes,
      epoch: passes.epoch,
      epochDone: passes.epochDone,
    }));
  }
}

function directoryOf(file: AccessedFile): string {
  const path = file.path();
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
