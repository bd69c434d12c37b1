/** A control group with a memory limit, of either version. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const V1 = '/sys/fs/cgroup/memory';
const V2 = '/sys/fs/cgroup';

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

function ownPath(controller: string): string {
  const line = readOr('/proc/self/cgroup', '')
    .split('\n')
    .find((each) => (controller === '' ? each.startsWith('0::') : each.split(':')[1]?.split(',').includes(controller)));
  return line?.split(':').slice(2).join(':') ?? '/';
}

export class MemoryLimit {
  readonly #directory: string;
  readonly #v2: boolean;

  /** Throws where no group can be made. */
  constructor(bytes: number) {
    this.#v2 = existsSync(join(V2, 'cgroup.controllers'));
    // Beside our own group, not in it: one with processes has no children with limits in version 2.
    const parent = this.#v2 ? join(V2, ownPath(''), '..') : join(V1, ownPath('memory'));
    this.#directory = join(parent, `mlo-test-${process.pid}`);
    mkdirSync(this.#directory);
    try {
      writeFileSync(join(this.#directory, this.#v2 ? 'memory.max' : 'memory.limit_in_bytes'), String(bytes));
    } catch (error) {
      rmdirSync(this.#directory);
      throw error;
    }
  }

  /** The words of a shell that runs a program in it. */
  get shell(): readonly string[] {
    return ['-c', `echo $$ > ${join(this.#directory, 'cgroup.procs')} && exec "$@"`, 'sh'];
  }

  pids(): number[] {
    return readFileSync(join(this.#directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  }

  /** How often the kernel killed for memory there. */
  get kills(): number {
    const text = readOr(join(this.#directory, this.#v2 ? 'memory.events' : 'memory.oom_control'), '');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1]);
  }

  get peakBytes(): number {
    return Number(readOr(join(this.#directory, this.#v2 ? 'memory.peak' : 'memory.max_usage_in_bytes'), 'NaN'));
  }

  remove(): void {
    rmdirSync(this.#directory);
  }
}

/** Why none can be made, or false. */
export function noMemoryLimit(): string | false {
  try {
    new MemoryLimit(1 << 30).remove();
    return false;
  } catch (error) {
    return `no control group with a memory limit can be made: ${(error as Error).message}`;
  }
}
