/**
 * The list of pins (eviction/pins.ts), beside the index and not in it: an index that is lost is begun anew of what is fetched, and
 * what was pinned is pinned still.
 *
 * A line that says what it is, with a checksum of the other, which is JSON. It is replaced as a whole: after kill -9 or a machine
 * stop there is the old one or the new one.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { crc32 } from 'node:zlib';
import { failureOf, type Outcome } from '../sys/errno.ts';
import type { Log } from '../telemetry/log.ts';
import type { Pin, PinPlace } from './eviction/pins.ts';
import { moveAside } from './index-db.ts';

const VERSION = 1;
/** More than so many bytes no list of ours has. */
const LONGEST = 64 * 1024 * 1024;

export const PIN_FILE = 'pins';

export class PinFile implements PinPlace {
  readonly #path: string;
  readonly #log: Log;
  #failing = false;

  /** `directory`: that of one store's cache, locked by whoever makes this. */
  constructor(directory: string, log: Log) {
    this.#path = path.join(directory, PIN_FILE);
    this.#log = log;
  }

  /** What was pinned; a list that cannot be used is moved aside. */
  load(): Pin[] {
    try {
      return readPins(this.#path);
    } catch (error) {
      const fields = { pins: this.#path, reason: (error as Error).message };
      this.#log.warn(fields, 'the list of what is pinned was unusable and is begun anew: pin it again');
      try {
        moveAside(this.#path);
      } catch {
        // it is written over
      }
      return [];
    }
  }

  async save(pins: readonly Pin[]): Promise<Outcome<0>> {
    const made = `${this.#path}.new`;
    try {
      await writeSynced(made, textOf(pins));
      await fs.promises.rename(made, this.#path);
      await syncDirectory(path.dirname(this.#path));
      this.#failing = false;
      return 0;
    } catch (error) {
      if (!this.#failing) {
        const fields = { pins: this.#path, error: (error as Error).message };
        this.#log.error(fields, 'what is pinned cannot be written down: the next mount does not know of it');
      }
      this.#failing = true;
      return failureOf(error);
    }
  }
}

/** The list in a file; none when there is no such file. Throws when it cannot be used. */
export function readPins(file: string): Pin[] {
  const text = readPlain(file);
  if (text === undefined) return [];
  const end = text.indexOf('\n');
  const head = JSON.parse(text.slice(0, Math.max(0, end))) as { version?: unknown; sum?: unknown };
  if (head.version !== VERSION) throw new Error(`it has version ${String(head.version)}`);
  const body = text.slice(end + 1);
  if (crc32(body) !== head.sum) throw new Error('it is not what was written');
  const pins: unknown = JSON.parse(body);
  if (!Array.isArray(pins) || !pins.every(isPin)) throw new Error('it makes no sense');
  return pins;
}

function isPin(value: unknown): value is Pin {
  const { by, text, numbers } = (value ?? {}) as Partial<Pin>;
  const wellNamed = (by === 'command' || by === 'option') && typeof text === 'string';
  return (
    wellNamed && Array.isArray(numbers) && numbers.length > 0 && numbers.every((n) => Number.isSafeInteger(n) && n > 0)
  );
}

function textOf(pins: readonly Pin[]): string {
  const body = JSON.stringify(pins);
  return `${JSON.stringify({ version: VERSION, sum: crc32(body) })}\n${body}`;
}

/** Of a regular file only. */
function readPlain(file: string): string | undefined {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!stat.isFile() || stat.size > LONGEST) throw new Error('it is no list of ours');
  return fs.readFileSync(file, 'utf8');
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await fs.promises.open(file, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await fs.promises.open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
