/**
 * How long to look for the next request before going to sleep: a client that asks one thing after the other sends its next
 * request some microseconds after the last answer, and sleeping and being woken costs more than that.
 *
 * The window adapts as KVM's does (linux/Documentation/virt/kvm/halt-polling.rst): it grows when a sleep turns out to have
 * been so short that looking would have met its end, and goes when it was not. An idle session never looks; nor does one
 * whose clients ask a few things in a row and then compute: they need the processor more than it does.
 */

const FIRST_MS = 0.02;
/** Longer gaps are a client that does something else in between; a core has better to do than to wait for it. */
const MOST_MS = 0.08;
const GROWTH = 2;
/** So many short sleeps in a row are a client that does nothing but ask. */
const IN_A_ROW = 32;

export class BusyPolling {
  /** For how long to look, in milliseconds; 0: not at all. */
  windowMs = 0;
  #inARow = 0;

  /** A request came `ms` after the device was empty, and had to be slept for. */
  slept(ms: number): void {
    if (ms > MOST_MS) this.lost();
    else if (++this.#inARow >= IN_A_ROW) this.windowMs = Math.min(MOST_MS, Math.max(FIRST_MS, this.windowMs * GROWTH));
  }

  /** Nothing came for long. */
  lost(): void {
    this.windowMs = 0;
    this.#inARow = 0;
  }
}
