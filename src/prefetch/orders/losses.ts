/**
 * What orders inside the files of a directory have brought in vain: their reader went elsewhere. As long as that has not happened
 * they may bring as far ahead as they find right; from then on all that is lost, with what may be, stays a small share of
 * what is read there. So whoever changes his ways just when they were understood pays for it once.
 */

/** In vain, of what was read; and so much in any case, in bytes. */
const LOST_SHARE = 1 / 16;
const LOST_BYTES = 1024 * 1024;
/** After so much was read, what was before counts half. */
const FADE_BYTES = 1024 * 1024 * 1024;

export class Losses {
  #readBytes = 0;
  #lostBytes = 0;

  read(bytes: number): void {
    this.#readBytes += bytes;
    if (this.#readBytes < FADE_BYTES) return;
    this.#readBytes /= 2;
    this.#lostBytes /= 2;
    if (this.#lostBytes < 1) this.#lostBytes = 0;
  }

  lose(bytes: number): void {
    this.#lostBytes += bytes;
  }

  /** What may be ahead of a reader; Infinity: nothing was lost. */
  get allowedBytes(): number {
    if (this.#lostBytes === 0) return Number.POSITIVE_INFINITY;
    return Math.max(0, LOST_BYTES + LOST_SHARE * this.#readBytes - this.#lostBytes);
  }
}

/** What was brought ahead of one reader, who has not come to it yet. */
export class Ahead {
  readonly #losses: Losses;
  readonly #pieces: { at: number; bytes: number }[] = [];
  /** Where the reader is. */
  #passed = 0;
  #ended = false;

  constructor(losses: Losses) {
    this.#losses = losses;
  }

  /** `bytes` have come; they are used when the reader has `passed` this `at`. */
  brought(at: number, bytes: number): void {
    if (at <= this.#passed) return; // he waited for it
    if (this.#ended) this.#losses.lose(bytes);
    else if (bytes > 0) this.#pieces.push({ at, bytes });
  }

  passed(at: number): void {
    this.#passed = at;
    const { length } = this.#pieces;
    let kept = 0;
    for (const piece of this.#pieces) if (piece.at > at) this.#pieces[kept++] = piece;
    if (kept < length) this.#pieces.length = kept;
  }

  /** The reader is somewhere else. */
  left(): void {
    for (const { bytes } of this.#pieces) this.#losses.lose(bytes);
    this.#pieces.length = 0;
  }

  /** As `left`; and what is still on its way is lost too. */
  end(): void {
    this.left();
    this.#ended = true;
  }
}
