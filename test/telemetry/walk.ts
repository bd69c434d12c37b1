/** Which keys of a document are declared in the table of metrics. */
import { metrics } from '../../src/telemetry/metrics.ts';

const declared = metrics.flatMap(({ key }) => (key === undefined ? [] : [key.split('.')]));

/** Paths of all leaves, list elements as `[]`. Null counts as a leaf. */
export function leaves(value: unknown, path: readonly string[] = []): string[][] {
  if (Array.isArray(value)) {
    const last = `${path.at(-1) ?? ''}[]`;
    return value.flatMap((element) => leaves(element, [...path.slice(0, -1), last]));
  }
  if (typeof value !== 'object' || value === null) return [[...path]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}

function covers(key: readonly string[], path: readonly string[]): boolean {
  return key.length === path.length && key.every((step, i) => step === '*' || step === path[i]);
}

/** `null` in the place of an object stands for all that is below it. */
function isPrefix(path: readonly string[], key: readonly string[]): boolean {
  return path.length < key.length && path.every((step, i) => step === key[i]);
}

export function undeclared(document: object): string[] {
  const unknown = leaves(document).filter((path) => {
    if (declared.some((key) => covers(key, path))) return false;
    const value = path.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document);
    return !(value === null && declared.some((key) => isPrefix(path, key)));
  });
  return [...new Set(unknown.map((path) => path.join('.')))];
}

/** Declared keys that a full document lacks. */
export function missing(document: object): string[] {
  const found = leaves(document);
  return declared.filter((key) => !found.some((path) => covers(key, path))).map((key) => key.join('.'));
}
