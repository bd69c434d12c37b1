/** Decodes the records of one block of a trace. */
import {
  Flag,
  Kind,
  More,
  PAGE,
  PATH_MOST,
  type TracedFile,
  type TracedThread,
  type TraceEvent,
  WAYS,
} from './trace-format.ts';

/** What blocks told so far. */
export class Names {
  readonly files = new Map<number, TracedFile>();
  readonly threads = new Map<number, TracedThread>();
  /** Of handles that are open. */
  readonly handles = new Map<number, TracedFile | undefined>();
}

/** A block whose checksum is right and whose content is not. */
export class Malformed extends Error {}

const COMMAND_MOST = 4096;

export class BlockDecoder {
  readonly #bytes: Buffer;
  readonly #names: Names;
  #at = 0;
  #nowUs: number;
  #thread = -1;
  #handle = 0;
  #node = 0;
  readonly #path = Buffer.alloc(PATH_MOST);
  #pathLength = 0;
  #movedHandle = -1;
  #movedEnd = -1;

  constructor(payload: Buffer, timeUs: number, names: Names) {
    this.#bytes = payload;
    this.#nowUs = timeUs;
    this.#names = names;
  }

  get position(): number {
    return this.#at;
  }

  next(): TraceEvent | undefined {
    while (this.#at < this.#bytes.length) {
      const first = this.#byte();
      switch (first & 7) {
        case Kind.FILE:
          this.#file();
          break;
        case Kind.THREAD:
          this.#threadName();
          break;
        case Kind.OPEN:
          return this.#open(first);
        case Kind.READ:
          return this.#transfer('read', first);
        case Kind.WRITE:
          return this.#transfer('write', first);
        case Kind.RELEASE:
          return this.#release();
        case Kind.LOST:
          this.#time();
          return { kind: 'lost', atUs: this.#nowUs, count: this.#number() };
        default:
          throw new Malformed(`a record of kind ${first & 7}`);
      }
    }
    return undefined;
  }

  #file(): void {
    const node = this.#number();
    const content = this.#take(4).readUInt32LE(0);
    const shared = this.#number();
    const rest = this.#take(this.#number());
    const length = shared + rest.length;
    if (shared > this.#pathLength || length > PATH_MOST) throw new Malformed('a path that is too long');
    rest.copy(this.#path, shared);
    this.#pathLength = length;
    this.#names.files.set(node, { node, content, path: this.#path.toString('latin1', 0, length) });
  }

  #threadName(): void {
    const index = this.#number();
    const thread = this.#number();
    const pid = this.#number();
    const length = this.#number();
    if (length > COMMAND_MOST) throw new Malformed('a name that is too long');
    const command = this.#take(length).toString('latin1');
    this.#names.threads.set(index, { thread, pid: pid === 0 ? null : pid, command });
  }

  #open(first: number): TraceEvent {
    this.#asked(first);
    const more = (first & Flag.MORE) === 0 ? 0 : this.#byte();
    this.#handle += this.#signed();
    this.#node += this.#signed();
    const size = this.#number();
    const waitUs = this.#number();
    const file = this.#names.files.get(this.#node);
    this.#names.handles.set(this.#handle, file);
    return {
      kind: 'open',
      atUs: this.#nowUs,
      waitUs,
      by: this.#names.threads.get(this.#thread),
      handle: this.#handle,
      file,
      size,
      way: WAYS[(first >> Flag.WAY_SHIFT) & 3]!,
      keptPages: (first & Flag.KEPT_PAGES) !== 0,
      writes: (more & More.WRITES) !== 0,
      before: (more & More.BEFORE) !== 0,
    };
  }

  #transfer(kind: 'read' | 'write', first: number): TraceEvent {
    this.#asked(first);
    if ((first & Flag.FOLLOWS) === 0) {
      this.#movedHandle = this.#handle - this.#signed();
      const offset = this.#number();
      this.#movedEnd = (first & Flag.PAGES) === 0 ? offset : offset * PAGE;
    }
    const offset = this.#movedEnd;
    const outcome = this.#number();
    const failed = (first & Flag.FAILED) !== 0;
    const count = failed ? 0 : outcome;
    this.#movedEnd += count;
    return {
      kind,
      atUs: this.#nowUs,
      waitUs: this.#number(),
      by: this.#names.threads.get(this.#thread),
      handle: this.#movedHandle,
      file: this.#names.handles.get(this.#movedHandle),
      offset,
      count,
      from: (first & Flag.FROM_TIER) === 0 ? 'store' : 'tier',
      errno: failed ? outcome : 0,
    };
  }

  #release(): TraceEvent {
    this.#time();
    const handle = this.#handle - this.#signed();
    const file = this.#names.handles.get(handle);
    this.#names.handles.delete(handle);
    return { kind: 'release', atUs: this.#nowUs, handle, file };
  }

  #asked(first: number): void {
    this.#time();
    if ((first & Flag.SAME_THREAD) === 0) this.#thread = this.#number();
  }

  #time(): void {
    this.#nowUs += this.#number();
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Malformed('it ends within a record');
    return byte;
  }

  #number(): number {
    let value = 0;
    let factor = 1;
    for (let digits = 0; digits < 8; digits++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw new Malformed('a number that is too large');
  }

  #signed(): number {
    const value = this.#number();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new Malformed('it ends within a record');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
