/** Whether others read from the disk that a directory is on: from the kernel's counters of its block device. */
import * as fs from 'node:fs';

const SECTOR = 512;
/** Of /sys/dev/block/MAJOR:MINOR/stat (Documentation/block/stat.rst). */
const SECTORS_READ = 2;

export class DiskActivity {
  readonly #path: string | undefined;
  #readBytes = 0;

  constructor(directory: string) {
    try {
      const { dev } = fs.statSync(directory);
      const major = (dev >> 8) & 0xfff;
      const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
      this.#path = `/sys/dev/block/${major}:${minor}/stat`;
      this.#readBytes = this.#read();
    } catch {
      this.#path = undefined; // no disk of its own: tmpfs, btrfs, overlayfs
    }
  }

  #read(): number {
    const fields = fs.readFileSync(this.#path!, 'latin1').trim().split(/\s+/);
    return Number(fields[SECTORS_READ]) * SECTOR;
  }

  /** Bytes read from the disk since the last call; 0 where that cannot be known. */
  readSince(): number {
    if (this.#path === undefined) return 0;
    try {
      const now = this.#read();
      const since = now - this.#readBytes;
      this.#readBytes = now;
      return since;
    } catch {
      return 0; // the disk has gone
    }
  }
}
