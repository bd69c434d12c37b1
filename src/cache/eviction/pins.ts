/**
 * What is pinned: paths, from one mount to the next (`warmup --pin`; a directory stands for all below it), and the globs of the
 * mount. A pin has a number that never comes again, and an object the number of its pin, with its row in the index. So it is
 * known of rows, which know no path, whether they are pinned; and a pin that is taken back is taken from all it kept at once,
 * because its number means nothing any more.
 *
 * A path that is pinned again gets a second number, until all below it was gone through: then the first is gone, and with it the
 * pin of what is at the source no longer.
 */
import { Errno, type Failure, failed, type Outcome } from '../../sys/errno.ts';

/** The number of what is not pinned. */
export const NO_PIN = 0;

/** Each is looked for at every open, and all are written when one comes. */
const PATHS_MOST = 4096;

export interface Pin {
  /** By the command, and a path below the source with a character a byte; or by an option of the mount, and a glob. */
  readonly by: 'command' | 'option';
  readonly text: string;
  /** The last is the one that objects get; there are two at most. */
  numbers: number[];
}

/** Where pins are kept for the next mount. */
export interface PinPlace {
  load(): Pin[];
  /** Resolves when they are safe. */
  save(pins: readonly Pin[]): Promise<Outcome<0>>;
}

export interface PinnedShare {
  files: number;
  bytes: number;
}

export interface PinSnapshot extends PinnedShare {
  by: Pin['by'];
  text: string;
}

/** How much has which pin. */
export class PinTally {
  readonly #shares = new Map<number, PinnedShare>();

  add(pin: number, files: number, bytes: number): void {
    if (pin === NO_PIN) return;
    const share = this.#shares.get(pin) ?? { files: 0, bytes: 0 };
    this.#shares.set(pin, share);
    share.files += files;
    share.bytes += bytes;
    if (share.files === 0) this.#shares.delete(pin);
  }

  get size(): number {
    return this.#shares.size;
  }

  get(pin: number): PinnedShare | undefined {
    return this.#shares.get(pin);
  }

  clear(): void {
    this.#shares.clear();
  }
}

export class Pins {
  #place: PinPlace | undefined;
  readonly #paths = new Map<string, Pin>();
  readonly #globs = new Map<string, Pin>();
  readonly #byNumber = new Map<number, Pin>();
  readonly #listeners: (() => void)[] = [];
  #lastNumber = 0;
  #saving: Promise<Outcome<0>> = Promise.resolve(0);
  #saveNext: Promise<Outcome<0>> | undefined;

  /** They end with the process, unless they are kept somewhere. */
  constructor(globs: readonly string[]) {
    for (const glob of globs) this.#put({ by: 'option', text: glob, numbers: [this.#newNumber()] });
  }

  /** Takes over what is kept there, before anything has a pin; globs that are not asked for any more are forgotten. */
  keepIn(place: PinPlace): void {
    this.#place = place;
    const kept = place.load();
    for (const pin of kept) {
      this.#lastNumber = Math.max(this.#lastNumber, ...pin.numbers);
      const before = this.#globs.get(pin.text);
      if (pin.by === 'option' && before === undefined) continue;
      if (pin.by === 'option') for (const number of before!.numbers) this.#byNumber.delete(number);
      this.#put(pin);
    }
    const now = this.#all();
    if (now.length !== kept.length || now.some((pin) => !kept.includes(pin))) void this.save();
  }

  /** They are kept for the next run. */
  get kept(): boolean {
    return this.#place !== undefined;
  }

  #put(pin: Pin): void {
    (pin.by === 'command' ? this.#paths : this.#globs).set(pin.text, pin);
    for (const number of pin.numbers) this.#byNumber.set(number, pin);
  }

  /** They go up for ever, by the clock: where the list was lost, none comes again that an object still has. */
  #newNumber(): number {
    this.#lastNumber = Math.max(this.#lastNumber + 1, Date.now());
    return this.#lastNumber;
  }

  #all(): Pin[] {
    return [...this.#globs.values(), ...this.#paths.values()];
  }

  get anyPaths(): boolean {
    return this.#paths.size > 0;
  }

  /** Whether a number is that of a pin. */
  has(number: number): boolean {
    return this.#byNumber.has(number);
  }

  ofGlob(glob: string): number {
    return this.#globs.get(glob)?.numbers.at(-1) ?? NO_PIN;
  }

  /** The number for what lies at a path. */
  of(path: string): number {
    return this.covering(path)?.numbers.at(-1) ?? NO_PIN;
  }

  /** The outermost pin of a path or of a directory above it. */
  covering(path: string): Pin | undefined {
    if (this.#paths.size === 0) return undefined;
    const root = this.#paths.get('');
    if (root !== undefined) return root;
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      const above = this.#paths.get(path.slice(0, end));
      if (above !== undefined) return above;
    }
    return this.#paths.get(path);
  }

  /** The pin that has a number. */
  named(number: number): Pin | undefined {
    return this.#byNumber.get(number);
  }

  get globs(): string[] {
    return [...this.#globs.keys()];
  }

  /**
   * Pins a path: its number; `NO_PIN`: a directory above it is pinned. E2BIG: there are too many; else why it could not be written
   * down.
   */
  async add(path: string): Promise<Outcome<number>> {
    const above = this.covering(path);
    if (above !== undefined && above.text !== path) return NO_PIN;
    const again = this.#paths.get(path);
    if (again === undefined && this.#paths.size >= PATHS_MOST) return -Errno.E2BIG;
    const pin = again ?? { by: 'command', text: path, numbers: [] };
    if (pin.numbers.length < 2) pin.numbers.push(this.#newNumber());
    this.#put(pin);
    const number = pin.numbers.at(-1)!;
    const saved = await this.save();
    if (failed(saved) && again === undefined && this.#paths.get(path) === pin) this.#take(pin);
    return failed(saved) ? saved : number;
  }

  /** Everything below a pinned path was gone through since it got a number, and has that or a later one. */
  async settle(path: string, number: number): Promise<void> {
    const pin = this.#paths.get(path);
    const before = pin?.numbers.filter((each) => each < number) ?? [];
    if (pin === undefined || before.length === 0) return;
    pin.numbers = pin.numbers.filter((each) => each >= number);
    for (const each of before) this.#byNumber.delete(each);
    this.#gone();
    await this.save();
  }

  /** Takes back the pins of a path and of all below it: those there were; a failure: the next mount has them again. */
  async remove(path: string): Promise<{ removed: Pin[]; failure: Failure | 0 }> {
    const removed = [...this.#paths.values()].filter(
      ({ text }) => path === '' || text === path || text.startsWith(`${path}/`),
    );
    for (const pin of removed) this.#forget(pin);
    if (removed.length === 0) return { removed, failure: 0 };
    this.#gone();
    const saved = await this.save();
    return { removed, failure: failed(saved) ? saved : 0 };
  }

  #take(pin: Pin): void {
    this.#forget(pin);
    this.#gone();
  }

  #forget({ text, numbers }: Pin): void {
    this.#paths.delete(text);
    for (const number of numbers) this.#byNumber.delete(number);
  }

  /** Called when some are gone. */
  onGone(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #gone(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Resolves when what is pinned now is written down; who asks while it is being written shares the next time. */
  save(): Promise<Outcome<0>> {
    if (this.#place === undefined) return Promise.resolve(0);
    const place = this.#place;
    this.#saveNext ??= this.#saving.then(() => {
      this.#saveNext = undefined;
      this.#saving = place.save(this.#all());
      return this.#saving;
    });
    return this.#saveNext;
  }

  /** Of several tallies together. */
  snapshot(tallies: readonly PinTally[]): PinSnapshot[] {
    return this.#all().map(({ by, text, numbers }) => ({ by, text, ...shareOf(numbers, tallies) }));
  }

  /** All of what is pinned. */
  total(tallies: readonly PinTally[]): PinnedShare {
    return tallies.every(({ size }) => size === 0)
      ? { files: 0, bytes: 0 }
      : shareOf([...this.#byNumber.keys()], tallies);
  }
}

export function shareOf(numbers: readonly number[], tallies: readonly PinTally[]): PinnedShare {
  const sum = { files: 0, bytes: 0 };
  for (const tally of tallies) {
    for (const number of numbers) {
      const share = tally.get(number);
      if (share === undefined) continue;
      sum.files += share.files;
      sum.bytes += share.bytes;
    }
  }
  return sum;
}
