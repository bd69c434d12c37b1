/** Files and handles as the overlay would tell of them, and traces of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { AccessedFile, AccessedHandle, Way } from '../../src/access/observer.ts';
import type { TraceEvent } from '../../src/access/trace-format.ts';
import { TraceReader } from '../../src/access/trace-reader.ts';

export const O_RDONLY = 0;
export const O_RDWR = 2;

let nodes = 1;
let handles = 1;

export class FakeFile implements AccessedFile {
  readonly nodeId: number;
  readonly fileKey: string;
  readonly attributes: { size: number };
  readonly version: string;
  observed: object | undefined = undefined;
  /** How often it was asked for. */
  asked = 0;
  readonly #path: string;

  constructor(path: string, size = 1000, version = `v of ${path}`) {
    this.nodeId = ++nodes;
    this.fileKey = path;
    this.attributes = { size };
    this.version = version;
    this.#path = path;
  }

  path(): string {
    this.asked++;
    return this.#path;
  }

  /** As the kernel does: the file comes back as another inode. */
  forgotten(): FakeFile {
    return new FakeFile(this.#path, this.attributes.size, this.version);
  }
}

export function handleOf(inode: AccessedFile, way: Way = 'source', flags = O_RDONLY): AccessedHandle {
  return { id: ++handles, inode, flags, way, observed: undefined };
}

const directory = mkdtempSync(join(tmpdir(), 'mlo-trace-'));
after(() => rmSync(directory, { recursive: true, force: true }));
let files = 0;

export function traceFile(): string {
  return join(directory, `${++files}.trace`);
}

export interface Read {
  events: TraceEvent[];
  damage: string[];
  reader: TraceReader;
}

export function readAll(path: string): Read {
  using reader = new TraceReader(path);
  const events = [...reader.events()];
  return { events, damage: reader.damage.map(({ message }) => message), reader };
}
