/** A doubly linked list through its items: in and out at both ends and in the middle without allocating. */
import { HELD_MOST, type Item } from './policy.ts';

export class List {
  first: Item | undefined = undefined;
  last: Item | undefined = undefined;
  bytes = 0;

  unshift(item: Item): void {
    item.list = this;
    item.previous = undefined;
    item.next = this.first;
    if (this.first === undefined) this.last = item;
    else this.first.previous = item;
    this.first = item;
    this.bytes += item.bytes;
  }

  push(item: Item): void {
    item.list = this;
    item.previous = this.last;
    item.next = undefined;
    if (this.last === undefined) this.first = item;
    else this.last.next = item;
    this.last = item;
    this.bytes += item.bytes;
  }

  remove(item: Item): void {
    if (item.previous === undefined) this.first = item.next;
    else item.previous.next = item.next;
    if (item.next === undefined) this.last = item.previous;
    else item.next.previous = item.previous;
    item.previous = undefined;
    item.next = undefined;
    item.list = undefined;
    this.bytes -= item.bytes;
  }

  /** The nearest to the end that may go. */
  lastFree(candidate: Item | undefined): Item | undefined {
    let item = this.last;
    for (let tries = 0; item !== undefined && tries < HELD_MOST; tries++, item = item.previous) {
      if (item !== candidate && !item.held) return item;
    }
    return undefined;
  }
}
