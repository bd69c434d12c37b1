/**
 * Text that comes in pieces, and becomes a plan or a listing line by line. One announcement is what is written to `.mlo/plan`
 * between open and close, or one request to the control socket.
 */
import { Errno, type Outcome } from '../../sys/errno.ts';
import { type Header, MAGIC, NO_HEADER, parseHeader } from './header.ts';
import { type Line, PATH_BYTES_MOST, readLine } from './line.ts';

/** Where the lines go. */
export interface Target {
  /** No more can be taken now. */
  readonly full: boolean;
  /** 0, or why the line says nothing. */
  take(line: Line): 0 | string;
  malformed(why: string): void;
  /** Lines were taken. */
  wake(): void;
}

/** Taken at once, in bytes: some milliseconds of the thread that serves the mount. The writer comes again with the rest. */
export const TAKEN_MOST = 32 * 1024;
/** A line that is longer says nothing, however it goes on: with a range, and every byte as %HH. */
const LINE_MOST = 3 * PATH_BYTES_MOST + 64;

const line: Line = { path: '', offset: 0, length: 0 };

export class Announcement {
  readonly #begin: (header: Header) => Target | string;
  readonly #mountpoint: string;
  #target: Target | undefined;
  #percent = false;
  /** The beginning of a line whose end has not come. */
  #rest = '';
  /** The line that has begun is too long: it is skipped. */
  #skipping = false;
  /** Lines that were dealt with, beside the header. */
  lines = 0;
  /** Of the header: nothing more is taken. */
  trouble: string | undefined;

  /** `begin`: where an announcement with that header goes, or why it cannot. */
  constructor(begin: (header: Header) => Target | string, mountpoint: string) {
    this.#begin = begin;
    this.#mountpoint = mountpoint;
  }

  /** How many of the bytes were taken. EINVAL: the header cannot be understood (`trouble`); ENOSPC: no room for more. */
  write(data: Uint8Array): Outcome<number> {
    if (this.trouble !== undefined) return -Errno.EINVAL;
    if (this.#target?.full) return -Errno.ENOSPC;
    const { buffer, byteOffset, length } = data;
    const text = Buffer.from(buffer, byteOffset, Math.min(length, TAKEN_MOST)).toString('latin1');
    let at = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      if (this.#target?.full) break;
      this.#line(text.slice(at, end));
      if (this.trouble !== undefined) return -Errno.EINVAL;
      at = end + 1;
    }
    if (!this.#target?.full) {
      this.#keep(text.slice(at));
      at = text.length;
    }
    this.#target?.wake();
    return at === 0 && length > 0 ? -Errno.ENOSPC : at;
  }

  /** No more comes: a last line counts without its end, too. */
  end(): void {
    if (this.#rest === '' || this.trouble !== undefined) return;
    this.#line('');
    this.#target?.wake();
  }

  #keep(text: string): void {
    if (this.#skipping) return;
    this.#rest += text;
    if (this.#rest.length <= LINE_MOST) return;
    this.#rest = '';
    this.#skipping = true;
    this.#malformed('the line is too long');
  }

  #line(end: string): void {
    const text = this.#rest + end;
    this.#rest = '';
    if (this.#skipping) this.#skipping = false;
    else if (this.#target === undefined && text.startsWith(MAGIC)) this.#header(text);
    else if (text !== '' && !text.startsWith('#')) this.#item(text);
  }

  #header(text: string): void {
    const header = parseHeader(text);
    if (typeof header === 'string') this.trouble = header;
    else this.#beginWith(header);
  }

  #beginWith(header: Header): Target | undefined {
    const target = this.#begin(header);
    if (typeof target === 'string') {
      this.trouble = target;
      return undefined;
    }
    this.#target = target;
    this.#percent = header.percent;
    return target;
  }

  #item(text: string): void {
    this.lines++;
    const target = this.#target ?? this.#beginWith(NO_HEADER);
    if (target === undefined) return;
    const why = readLine(text, this.#percent, this.#mountpoint, line) || target.take(line);
    if (why !== 0) target.malformed(why);
  }

  #malformed(why: string): void {
    this.lines++;
    (this.#target ?? this.#beginWith(NO_HEADER))?.malformed(why);
  }
}
