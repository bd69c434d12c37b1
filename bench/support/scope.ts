/**
 * Clearing up in reverse order, however a run ends: done, failed, or interrupted. What a run makes (a directory, a mount, a
 * process) it registers here at once.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forceUnmount, mounts } from './mounts.ts';
import { killRunning } from './processes.ts';

export class Scope {
  readonly #steps: { what: string; undo: () => Promise<unknown> | unknown }[] = [];
  #closing: Promise<void> | undefined;

  get closing(): boolean {
    return this.#closing !== undefined;
  }

  defer(what: string, undo: () => Promise<unknown> | unknown): void {
    this.#steps.push({ what, undo });
  }

  /** A fresh directory; at the end whatever is still mounted in it is unmounted, then it is removed. */
  directory(parent: string | undefined, prefix: string): string {
    const path = mkdtempSync(join(parent ?? tmpdir(), prefix));
    this.defer(path, async () => {
      const inside = () => mounts().filter((mount) => mount.mountpoint.startsWith(`${path}/`));
      for (const mount of inside().reverse()) await forceUnmount(mount.mountpoint);
      // never through a mount: that would empty what is mounted
      if (inside().length > 0) throw new Error(`something is still mounted under ${path}`);
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    });
    return path;
  }

  /** Undoes everything, newest first; a step that fails does not keep the others from being done. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      killRunning();
      this.#closing = this.#undo();
    }
    return this.#closing;
  }

  async #undo(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        process.exitCode = 1;
        console.error(`clearing up ${step.what}: ${(error as Error).message}`);
      }
    }
  }
}

/** Runs `work` and clears up after it; on SIGINT, SIGTERM and SIGHUP too. A failure is printed and sets the exit code. */
export async function scoped(work: (scope: Scope) => Promise<void>): Promise<void> {
  const scope = new Scope();
  const interrupted = (signal: NodeJS.Signals): void => {
    if (scope.closing) return;
    console.error(`\n${signal}: clearing up`);
    void scope.close().then(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, interrupted);
  try {
    await work(scope);
  } catch (error) {
    if (!scope.closing) {
      console.error((error as Error).message);
      process.exitCode = 1;
    }
  } finally {
    await scope.close();
    for (const signal of signals) process.off(signal, interrupted);
  }
}
