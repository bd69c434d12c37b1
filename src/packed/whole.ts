/**
 * Whole numbers from halves of 64 bits and from floating-point memory, in the form in which the engine keeps them in the object
 * itself. V8 gives a field that once held the result of a floating-point operation a box of 16 bytes in every object, also
 * where the number is small; attributes have seven such fields.
 */
const HIGH = 2 ** 32;

/** `high` signed or not, `low` unsigned; right as far as a double is: 2^53. */
export function joined(high: number, low: number): number {
  return high === 0 ? low : high * HIGH + low;
}

/** The same number. */
export function unboxed(value: number): number {
  const small = value | 0;
  return small === value ? small : value;
}
