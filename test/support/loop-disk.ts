/** A disk of its own in a file, whose machine can be stopped: what was not written to it by then is lost. */
import { execFileSync } from 'node:child_process';
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRoot, temporaryDirectory } from './mounts.ts';
import { detach, mountedAt } from './watchdog.ts';

const MKFS = '/usr/sbin/mkfs.ext4';

/** Why there can be none, or false. */
export const noLoopDisk: string | false = !isRoot
  ? 'a disk in a file needs root'
  : !existsSync('/dev/loop-control')
    ? 'no loop devices'
    : !existsSync(MKFS)
      ? 'no mkfs.ext4'
      : false;

/** EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH: what xfstests simulates the loss of power with. */
const SHUTDOWN = `
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))
`;

export class LoopDisk {
  readonly directory = temporaryDirectory('disk');
  readonly #image = join(temporaryDirectory('image'), 'disk');

  constructor(sizeBytes: number) {
    writeFileSync(this.#image, '');
    truncateSync(this.#image, sizeBytes);
    execFileSync(MKFS, ['-q', '-F', this.#image]);
    this.#mount();
    process.on('exit', () => this.remove());
  }

  #mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.directory]);
  }

  /** From now on nothing reaches it, and what is only in memory never will. */
  stop(): void {
    execFileSync('python3', ['-c', SHUTDOWN, this.directory]);
  }

  /** After `stop`, when nobody has a file of it open: what a machine finds that starts again. */
  async start(): Promise<void> {
    for (let tries = 0; mountedAt(this.directory) !== undefined; tries++) {
      try {
        execFileSync('umount', [this.directory], { stdio: 'pipe' });
      } catch (error) {
        if (tries === 100) throw error;
        await sleep(100); // files of a mount that is gone are closed by and by
      }
    }
    this.#mount();
  }

  remove(): void {
    detach(this.directory);
  }
}
