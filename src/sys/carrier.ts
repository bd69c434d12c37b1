/**
 * Takes bytes from a file to where they are wanted without bringing them into this process: one copy, from page to page,
 * where read(2) and write(2) make two.
 */
export interface Carrier {
  /** It takes no more bytes at once, from any place in a file. */
  readonly mostBytes: number;
  /**
   * Takes `length` bytes of a file at `offset`, all of them in memory: nothing may wait for a disk. False when the file
   * has more or fewer in its next `asked` bytes, or when they cannot be carried; nothing has happened then.
   */
  take(fd: number, offset: number, length: number, asked: number): boolean;
}

/** Fewer bytes are copied twice in less time than the system calls of carrying them take. */
export const CARRIED_LEAST_BYTES = 32 * 1024;
