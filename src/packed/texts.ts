/** Short byte strings (latin1) outside the JavaScript heap, each in a record of the smallest size that holds it. */
import { Records } from './records.ts';

/** Sizes are multiples of 8 bytes, the first two being the length. */
const SIZES = 128;
const LENGTH_BYTES = 2;
export const LONGEST_TEXT: number = (SIZES - 1) * 8 - LENGTH_BYTES;

// biome-ignore lint/suspicious/noControlCharactersInRegex: what a byte string consists of
const BYTES = /^[\x00-\xff]*$/;

export class Texts {
  readonly #bySize: (Records | undefined)[] = new Array(SIZES).fill(undefined);

  /** Memory taken, in bytes. */
  get bytes(): number {
    return this.#bySize.reduce((sum, records) => sum + (records?.bytes ?? 0), 0);
  }

  /** A number for the text, of 32 bits; undefined: it is too long, or no byte string. */
  put(text: string): number | undefined {
    if (text.length > LONGEST_TEXT || !BYTES.test(text)) return undefined;
    const size = (text.length + LENGTH_BYTES + 7) >> 3;
    const records = this.#of(size);
    const record = records.take();
    const { bytes } = records.page(record);
    const at = records.at(record) * 8;
    bytes[at] = text.length & 0xff;
    bytes[at + 1] = text.length >> 8;
    bytes.write(text, at + LENGTH_BYTES, 'latin1');
    return record * SIZES + size;
  }

  get(number: number): string {
    const records = this.#of(number % SIZES);
    const record = Math.floor(number / SIZES);
    const { bytes } = records.page(record);
    const at = records.at(record) * 8;
    const length = bytes[at]! + (bytes[at + 1]! << 8);
    return bytes.toString('latin1', at + LENGTH_BYTES, at + LENGTH_BYTES + length);
  }

  remove(number: number): void {
    this.#of(number % SIZES).give(Math.floor(number / SIZES));
  }

  #of(size: number): Records {
    this.#bySize[size] ??= new Records(size);
    return this.#bySize[size];
  }
}
