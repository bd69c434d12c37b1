/**
 * Which files were read before, and when a job begins to read them anew (an epoch). Bounded: of very many files some are
 * forgotten, and then count as new.
 */

const SLOTS_FIRST = 1 << 10;
const SLOTS_MOST = 1 << 19;
/** Files that are opened again, from far back, before that is a new epoch; or an eighth of all, if that is less. */
const AGAIN_MOST = 64;
const AGAIN_LEAST = 4;

const Read = { NO: 0, ONCE: 1, DONE: 2 } as const;

export class FilesSeen {
  /** A hash table without chains: a file that falls on another's place takes it. */
  #nodes: Float64Array = new Float64Array(SLOTS_FIRST);
  #ordinals: Float64Array = new Float64Array(SLOTS_FIRST);
  #reads: Uint8Array = new Uint8Array(SLOTS_FIRST);
  #used = 0;
  /** Opens of files so far. */
  #ordinal = 0;
  #epochFirst = 1;
  #distinct = 0;
  #again = 0;
  #between = 0;

  /** How many files were opened again; at the first of them a new epoch may have begun. */
  get again(): number {
    return this.#again;
  }

  /** Files opened in this epoch. */
  get distinct(): number {
    return this.#distinct;
  }

  /**
   * A file is opened. 'again': it was in this epoch, and long ago: perhaps a new epoch has begun with it. 'epoch': so it is,
   * and it began with the first of these.
   */
  opened(node: number): 'new' | 'again' | 'epoch' {
    const slot = this.#slot(node);
    const before = this.#ordinals[slot]!;
    this.#ordinals[slot] = ++this.#ordinal;
    if (before < this.#epochFirst) {
      this.#distinct++;
      return this.#notAgain();
    }
    // The same file over and over, or the two of a pair: no epoch.
    if (this.#ordinal - before < Math.max(AGAIN_LEAST, this.#distinct / 8)) return this.#notAgain();
    this.#between = 0;
    this.#again++;
    if (this.#again < Math.max(AGAIN_LEAST, Math.min(AGAIN_MOST, this.#distinct / 8))) return 'again';
    this.#distinct = this.#again;
    this.#epochFirst = this.#ordinal - this.#again + 1;
    this.#again = 0;
    return 'epoch';
  }

  /** Single files that are read again in the middle of an epoch (an index, the labels) begin no new one. */
  #notAgain(): 'new' {
    if (this.#again > 0 && ++this.#between > this.#again + AGAIN_LEAST) this.#again = 0;
    return 'new';
  }

  forgetEpoch(): void {
    this.#epochFirst = this.#ordinal + 1;
    this.#distinct = 0;
    this.#again = 0;
  }

  /** Whether its reading now is its first. */
  isFirst(node: number): boolean {
    return this.#reads[this.#slot(node)]! !== Read.DONE;
  }

  wasRead(node: number): void {
    const slot = this.#slot(node);
    if (this.#reads[slot] === Read.NO) this.#reads[slot] = Read.ONCE;
  }

  released(node: number): void {
    const slot = this.#slot(node);
    if (this.#reads[slot] === Read.ONCE) this.#reads[slot] = Read.DONE;
  }

  #slot(node: number): number {
    const slot = place(node, this.#nodes.length);
    if (this.#nodes[slot] === node) return slot;
    if (this.#nodes[slot] === 0 && ++this.#used * 2 > this.#nodes.length && this.#nodes.length < SLOTS_MOST) {
      this.#grow();
      return this.#slot(node);
    }
    this.#nodes[slot] = node;
    this.#ordinals[slot] = 0;
    this.#reads[slot] = Read.NO;
    return slot;
  }

  #grow(): void {
    const [nodes, ordinals, reads] = [this.#nodes, this.#ordinals, this.#reads];
    const slots = nodes.length * 4;
    this.#nodes = new Float64Array(slots);
    this.#ordinals = new Float64Array(slots);
    this.#reads = new Uint8Array(slots);
    this.#used = 0;
    for (let i = 0; i < nodes.length; i++) {
      if (nodes[i] === 0) continue;
      const slot = place(nodes[i]!, slots);
      if (this.#nodes[slot] === 0) this.#used++;
      this.#nodes[slot] = nodes[i]!;
      this.#ordinals[slot] = ordinals[i]!;
      this.#reads[slot] = reads[i]!;
    }
  }
}

/** Nodeids are given one after the other: their low bits spread them perfectly. */
function place(node: number, slots: number): number {
  return node % slots;
}
