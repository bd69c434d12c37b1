/** Hashes of 32 bits, unsigned. */

/** Of a string (FNV-1a, with a step of MurmurHash3). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mixed(hash);
}

/** Of a whole number up to 2^53. */
export function hashOfNumber(number: number): number {
  return mixed(Math.imul(Math.floor(number / 2 ** 32), 0x9e3779b1) ^ (number | 0));
}

function mixed(hash: number): number {
  const half = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (half ^ (half >>> 13)) >>> 0;
}
