/**
 * Look-ups ahead of a reader: those of the directory read last go first, as walks go deeper before they go on; as many at
 * once as the window allows, and no further ahead than what was used has earned.
 */

import { AheadWindow } from '../prefetch/window.ts';
import { performance } from '../sys/clock.ts';
import type { Listing } from './metadata-listing.ts';

/** How many more look-ups each that was asked for by the kernel earns. */
const EARNS = 32;

export interface AheadWork {
  /** Begins to look entry `at` up; undefined: it cannot be any more. */
  lookUp(listing: Listing, at: number): Promise<unknown> | undefined;
  /** Whether entry `at` is not known, nor being asked for. */
  wanted(listing: Listing, at: number): boolean;
  /** There is no room for more. */
  full(listing: Listing): boolean;
}

export class Ahead {
  readonly #work: AheadWork;
  readonly #window = new AheadWindow();
  /** Listings with entries left to look up, the one to go on with at the end. */
  readonly #waiting: Listing[] = [];
  #underWay = 0;
  /** Look-ups made ahead since the beginning. */
  requests = 0;

  constructor(work: AheadWork) {
    this.#work = work;
  }

  /** Goes on with a listing, before all others. */
  go(listing: Listing): void {
    if (listing.round.left === 0) return;
    const { length } = this.#waiting;
    if (this.#waiting[length - 1] !== listing) {
      const at = this.#waiting.indexOf(listing);
      if (at >= 0) this.#waiting.splice(at, 1);
      this.#waiting.push(listing);
    }
    this.#pump();
  }

  /** Goes on with a listing when there is nothing else to do: its reader has not come yet. */
  later(listing: Listing): void {
    this.#waiting.unshift(listing);
    this.#pump();
  }

  #pump(): void {
    while (this.#underWay < this.#window.size) {
      const listing = this.#waiting[this.#waiting.length - 1];
      if (listing === undefined) return;
      const at = this.#next(listing);
      const answer = at === undefined ? undefined : this.#work.lookUp(listing, at);
      if (answer === undefined) {
        this.#waiting.pop(); // it comes again when there is more to do
        continue;
      }
      listing.round.asked++;
      this.requests++;
      this.#underWay++;
      const sinceMs = performance.now();
      const ended = (): void => {
        this.#window.answered(performance.now() - sinceMs, this.#underWay--);
        this.#pump();
      };
      answer.then(ended, ended);
    }
  }

  /** The entry to look up next; undefined: none, or none yet. */
  #next(listing: Listing): number | undefined {
    const { round, entries } = listing;
    const earned = round.credit + round.told + EARNS * (round.hits + round.missed);
    if (round.asked >= earned || this.#work.full(listing)) return undefined;
    while (round.left > 0) {
      const at = round.next % entries.length;
      round.next = at + 1;
      round.left--;
      if (this.#work.wanted(listing, at)) return at;
    }
    return undefined;
  }
}
