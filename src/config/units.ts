/** Sizes, durations and switches as people write them. Each parser throws an Error whose message says what it takes. */

const KIB = 1024;
const binary: Readonly<Record<string, number>> = { k: KIB, m: KIB ** 2, g: KIB ** 3, t: KIB ** 4, p: KIB ** 5 };
const decimal: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9, t: 1e12, p: 1e15 };

/** `500M` and `4GiB` are binary, `200MB` is decimal, a plain number is bytes. */
export function parseSize(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(?:([kmgtp])(i?b)?|b)?\s*$/i.exec(text);
  const [, digits, prefix, suffix] = match ?? [];
  if (digits === undefined) throw new Error('a size: bytes, or 500M (binary), 4GiB, 200MB (decimal)');
  const units = suffix?.toLowerCase() === 'b' ? decimal : binary;
  const bytes = Math.round(Number(digits) * (prefix === undefined ? 1 : (units[prefix.toLowerCase()] ?? 1)));
  if (!Number.isSafeInteger(bytes)) throw new Error('a size below 8 PiB');
  return bytes;
}

const durations: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Seconds, or a number with ms, s, m, h or d; returns milliseconds. */
export function parseDuration(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$/i.exec(text);
  const [, digits, unit = 's'] = match ?? [];
  if (digits === undefined) throw new Error('a duration: seconds, or 500ms, 30s, 5m, 1h');
  return Number(digits) * (durations[unit.toLowerCase()] ?? 1000);
}

const switches: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  '1': true,
  '': true,
  false: false,
  no: false,
  off: false,
  '0': false,
};

/** An option without a value is on. */
export function parseSwitch(text: string): boolean {
  const value = switches[text.trim().toLowerCase()];
  if (value === undefined) throw new Error('on or off');
  return value;
}

const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** "1.5 GiB"; at most one decimal. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let at = 0;
  while (value >= KIB && at < names.length - 1) {
    value /= KIB;
    at++;
  }
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${names[at]}`;
}

export function formatDuration(ms: number): string {
  return ms < 1000 && ms > 0 ? `${ms} ms` : `${Number((ms / 1000).toFixed(1))} s`;
}
