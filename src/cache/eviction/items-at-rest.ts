/**
 * Items whose objects are but rows of the index (object-table.ts): what a policy goes by, each in a record of 72 bytes outside
 * the JavaScript heap, where object and item took a thousand. In the places of a policy the number of the record stands for the
 * item (`Entry`), so that what goes first is what would have gone first.
 *
 * Who wants to look at one gets a copy, whose `record` says so; it becomes an item again when its object is one.
 */
import { hashOf, hashOfNumber } from '../../packed/hash.ts';
import { RecordIndex } from '../../packed/record-index.ts';
import { Records } from '../../packed/records.ts';
import { unboxed } from '../../packed/whole.ts';
import type { DataSet } from './data-sets.ts';
import { ObjectItem } from './object-item.ts';
import { NO_PIN } from './pins.ts';
import type { Item } from './policy.ts';

// Places in a record, as doubles ...
const OBJECT = 0;
const LAST_MS = 1;
const RANK = 2;
const USES = 3;
// ... and as words of 32 bits, from there on.
const WORDS = 8;
const ID = WORDS;
const FILE = WORDS + 1;
const SIZE = WORDS + 2;
const TICK = WORDS + 3;
const CLOCK = WORDS + 4;
const SET = WORDS + 5;
const DIRECTORY = WORDS + 6;
const FLAGS = WORDS + 7;
const FIRST_PLACE = WORDS + 8;
const SECOND_PLACE = WORDS + 9;
const LONGS = (WORDS + 10) / 2;

const NONE = 0xffff_ffff;
const PLACES = { at: FIRST_PLACE, atSet: SECOND_PLACE } as const;
export type Place = keyof typeof PLACES;

const AHEAD = 1;
const TRUSTED = 2;
/** Above them in the same word, where it is pinned, the number of its pin among `#pins`, from 1 on. */
const PIN_SHIFT = 2;

/** Of what lies in more directories it is not remembered where. */
const DIRECTORIES_MOST = 65_536;
export const LARGEST_AT_REST: number = NONE;

export class ItemsAtRest {
  readonly #records = new Records(LONGS);
  readonly #byObject = new RecordIndex((record) => hashOfNumber(this.objectId(record)));
  readonly #byFile = new RecordIndex((record) => this.#word(record, FILE));
  readonly #sets = new Numbered<DataSet>();
  readonly #pins = new Numbered<number>();
  /** Directories and the extension of a name in them, as one text. */
  readonly #directories = new Numbered<string>();

  get size(): number {
    return this.#records.size;
  }

  /** A record of a resident item that is kept as a whole; `trusted`: this daemon has seen that its bytes are right. */
  take(item: Item, objectId: number, file: string, trusted: boolean, pin: number = NO_PIN): number {
    const record = this.#records.take();
    const { doubles, words } = this.#records.page(record);
    const at = this.#records.at(record);
    const word = at * 2;
    const fileHash = hashOf(file);
    doubles[at + OBJECT] = objectId;
    doubles[at + LAST_MS] = item.lastMs;
    doubles[at + RANK] = item.rank;
    doubles[at + USES] = item.uses;
    words[word + ID] = item.id;
    words[word + FILE] = fileHash;
    words[word + SIZE] = item.size;
    words[word + TICK] = item.tick;
    words[word + CLOCK] = item.clock;
    words[word + SET] = item.set === undefined ? NONE : this.#sets.numberOf(item.set);
    words[word + DIRECTORY] = this.#directoryOf(item);
    words[word + FLAGS] = (item.ahead ? AHEAD : 0) | (trusted ? TRUSTED : 0) | (this.#numberOf(pin) << PIN_SHIFT);
    words[word + FIRST_PLACE] = item.at;
    words[word + SECOND_PLACE] = item.atSet;
    this.#byObject.add(hashOfNumber(objectId), record);
    this.#byFile.add(fileHash, record);
    return record;
  }

  #numberOf(pin: number): number {
    return pin === NO_PIN ? 0 : this.#pins.numberOf(pin) + 1;
  }

  #directoryOf({ directory, extension }: Item): number {
    if (directory === undefined) return NONE;
    const text = `${directory}\0${extension}`;
    return this.#directories.size < DIRECTORIES_MOST || this.#directories.has(text)
      ? this.#directories.numberOf(text)
      : NONE;
  }

  /** A copy of the item; it has the places that the record has. */
  item(record: number): ObjectItem {
    const { doubles, words } = this.#records.page(record);
    const at = this.#records.at(record);
    const word = at * 2;
    const [directory, extension = ''] = this.#directories.of(words[word + DIRECTORY]!)?.split('\0') ?? [];
    const item = new ObjectItem(words[word + ID]!, words[word + SIZE]!, directory);
    item.extension = extension;
    item.bytes = item.size;
    item.resident = true;
    item.ahead = (words[word + FLAGS]! & AHEAD) !== 0;
    item.pin = this.pinOf(record);
    item.lastMs = doubles[at + LAST_MS]!;
    item.rank = doubles[at + RANK]!;
    item.uses = unboxed(doubles[at + USES]!);
    item.tick = words[word + TICK]!;
    item.clock = words[word + CLOCK]!;
    item.set = this.#sets.of(words[word + SET]!);
    while (item.set?.into !== undefined) item.set = item.set.into;
    item.at = words[word + FIRST_PLACE]! | 0;
    item.atSet = words[word + SECOND_PLACE]! | 0;
    item.record = record;
    return item;
  }

  remove(record: number): void {
    this.#byObject.remove(hashOfNumber(this.objectId(record)), record);
    this.#byFile.remove(this.#word(record, FILE), record);
    this.#records.give(record);
  }

  /** The record of an object; -1: it is not at rest. */
  of(objectId: number): number {
    return this.#byObject.find(hashOfNumber(objectId), (record) => this.objectId(record) === objectId);
  }

  /** Asks of each object at rest that may be of a file whether it is. */
  find(file: string, is: (objectId: number) => boolean): void {
    if (this.size > 0) this.#byFile.find(hashOf(file), (record) => is(this.objectId(record)));
  }

  objectId(record: number): number {
    return this.#records.page(record).doubles[this.#records.at(record) + OBJECT]!;
  }

  trusted(record: number): boolean {
    return (this.#word(record, FLAGS) & TRUSTED) !== 0;
  }

  pinOf(record: number): number {
    const pin = this.#word(record, FLAGS) >>> PIN_SHIFT;
    return pin === 0 ? NO_PIN : this.#pins.of(pin - 1)!;
  }

  rank(record: number): number {
    return this.#records.page(record).doubles[this.#records.at(record) + RANK]!;
  }

  bytes(record: number): number {
    return this.#word(record, SIZE);
  }

  place(record: number, place: Place): number {
    return this.#word(record, PLACES[place]) | 0;
  }

  setPlace(record: number, place: Place, at: number): void {
    this.#records.page(record).words[this.#records.at(record) * 2 + PLACES[place]] = at;
  }

  records(): number[] {
    return this.#byObject.records();
  }

  #word(record: number, place: number): number {
    return this.#records.page(record).words[this.#records.at(record) * 2 + place]!;
  }
}

/** Numbers for what many records share. */
class Numbered<T> {
  readonly #all: T[] = [];
  readonly #numbers = new Map<T, number>();

  get size(): number {
    return this.#all.length;
  }

  has(one: T): boolean {
    return this.#numbers.has(one);
  }

  numberOf(one: T): number {
    let number = this.#numbers.get(one);
    if (number === undefined) {
      number = this.#all.push(one) - 1;
      this.#numbers.set(one, number);
    }
    return number;
  }

  of(number: number): T | undefined {
    return this.#all[number];
  }
}
