/**
 * How far the kernel reads ahead in files of a mount: a number of the mount's, which each file takes over when it is opened
 * (after the reply to its OPEN). Only root may change it, and INIT sets its own.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

export class ReadaheadKnob {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Of the mount with this device ("major:minor"); undefined: it cannot be changed. */
  static of(device: string | undefined): ReadaheadKnob | undefined {
    if (device === undefined) return undefined;
    try {
      return new ReadaheadKnob(openSync(`/sys/class/bdi/${device}/read_ahead_kb`, 'r+'));
    } catch {
      return undefined;
    }
  }

  /** False when it was not taken. Takes some microseconds, and waits for nothing. */
  set(bytes: number): boolean {
    try {
      writeSync(this.#fd, String(Math.floor(bytes / 1024)), 0);
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
