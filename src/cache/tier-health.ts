/**
 * Whether a tier can be used. One whose disk fails, or that has gone, is set aside: nothing new is kept in it, and every few
 * seconds it is tried again. One whose disk is full is left as it is until others have made space. Each is said once in the
 * log, with what to do, and for as long as it lasts in the health that `status` shows.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Errno, errnoName, failureOf } from '../sys/errno.ts';
import type { Log } from '../telemetry/log.ts';
import { makeObjectsDirectory, objectsDirectory } from './objects-directory.ts';

const RETRY_MS = 5000;
/** A write that found no space is not tried again sooner, whatever the file system says is free (quotas do not show there). */
const FULL_MS = 10_000;

export interface Remedies {
  failing: string;
  full: string;
}

/** Of a tier on a disk. */
export function diskRemedies(name: string): Remedies {
  return {
    failing: `see that ${name} is there, can be written and has no errors`,
    full: `make space on the disk of ${name}, or give the cache less (ml-overlay set MOUNTPOINT cache=DIR:SIZE)`,
  };
}

export interface TierHealthParts {
  directory: string;
  /** As the user named it. */
  name: string;
  /** What to do when it cannot be written, and when it is full. */
  remedies: Remedies;
  log: Log;
  /** Called when what had vanished is there again, empty; may throw, and is then tried again. */
  onReset: () => void;
}

export class TierHealth {
  readonly #parts: TierHealthParts;
  /** The file system it lay on when it was opened; undefined: it could not be asked. */
  readonly #device: number | undefined;
  #trouble: string | undefined;
  #full: string | undefined;
  #fullAtMs = 0;
  /** A full disk was reported, and no write has succeeded since. */
  #saidFull = false;
  /** Its directory was not there, and what depends on it was not made anew yet. */
  #vanished = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: TierHealthParts) {
    this.#parts = parts;
    this.#device = deviceOf(parts.directory);
  }

  /** 'ok', or what is wrong, since when, and what to do. */
  get text(): string {
    return this.#trouble ?? this.#full ?? 'ok';
  }

  /** It is not set aside. */
  get usable(): boolean {
    return this.#trouble === undefined;
  }

  get takesMore(): boolean {
    return this.#trouble === undefined && this.#full === undefined;
  }

  /** Takes note of a failure and hands it on. */
  failed(failure: number, doing: string): number {
    if (failure === -Errno.ENOSPC || failure === -Errno.EDQUOT) this.#isFull(errnoName(failure));
    else if (this.#trouble === undefined) this.#setAside(`${doing}: ${errnoName(failure)}`, failure);
    return failure;
  }

  wrote(): void {
    if (!this.#saidFull || this.#full !== undefined) return;
    this.#saidFull = false;
    this.#parts.log.info({ tier: this.#parts.name }, 'the cache disk has space again');
  }

  /** What the file system has free, and what of it is to be left alone; in bytes. Asked every few seconds. */
  space(availableBytes: number, reserveBytes: number): void {
    // The tier itself stops at the reserve: when half of that is gone, others took it. Without one a write finds out.
    if (reserveBytes > 0 && availableBytes <= reserveBytes / 2) this.#isFull('no space is left on its disk');
    else if (availableBytes > reserveBytes && performance.now() - this.#fullAtMs > FULL_MS) this.#full = undefined;
  }

  #isFull(what: string): void {
    this.#fullAtMs = performance.now();
    if (this.#full !== undefined) return;
    const remedy = this.#parts.remedies.full;
    this.#full = `full: ${what} since ${now()}; nothing new is kept: ${remedy}`;
    if (!this.#saidFull) {
      this.#parts.log.warn({ tier: this.#parts.name, remedy }, 'the cache disk is full; nothing new is kept');
    }
    this.#saidFull = true;
  }

  #setAside(what: string, failure: number): void {
    const { name, log, remedies } = this.#parts;
    const remedy = `${remedies.failing}; it is tried again every ${RETRY_MS / 1000} s`;
    this.#trouble = `${what} since ${now()}; set aside, reads go on without it: ${remedy}`;
    log.error({ tier: name, what, errno: errnoName(failure), remedy }, 'the cache tier is set aside');
    this.#retryLater();
  }

  #retryLater(): void {
    if (!this.#closed) this.#retryTimer = setTimeout(() => this.#retry(), RETRY_MS).unref();
  }

  #retry(): void {
    const { directory, name, log, onReset } = this.#parts;
    const objects = objectsDirectory(directory);
    try {
      if (this.#device !== undefined && deviceOf(nearest(objects)) !== this.#device) {
        // What lies there now is another file system's: filling that is not what was asked for.
        const remedy = 'mount it again; else unmount this overlay, and mount it with another --cache';
        this.#trouble = `its disk is not mounted at ${name} any more; set aside, reads go on without it: ${remedy}`;
        this.#retryLater();
        return;
      }
      if (!fs.existsSync(objects)) this.#vanished = true;
      makeObjectsDirectory(directory);
      const probe = path.join(directory, 'probe');
      fs.writeFileSync(probe, 'x');
      fs.unlinkSync(probe);
      if (this.#vanished) onReset();
      this.#vanished = false;
    } catch (error) {
      log.debug(
        { tier: name, error: String(error), errno: errnoName(failureOf(error)) },
        'the cache tier is not back yet',
      );
      this.#retryLater();
      return;
    }
    this.#trouble = undefined;
    log.info({ tier: name }, 'the cache tier is in use again');
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
  }
}

function now(): string {
  return new Date().toISOString();
}

function deviceOf(directory: string): number | undefined {
  try {
    return fs.statSync(directory).dev;
  } catch {
    return undefined;
  }
}

/** The path itself or the nearest above it that is there. */
function nearest(file: string): string {
  let at = file;
  while (!fs.existsSync(at) && path.dirname(at) !== at) at = path.dirname(at);
  return at;
}
