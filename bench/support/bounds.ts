/** What a figure has to reach. */
export interface Bound {
  /** "small files, served / bindfs". */
  what: string;
  value: number | undefined;
  /** Where the value may lie, as far as was measured: a bound inside of it is neither kept nor missed. */
  between?: readonly [low: number, high: number];
  /** Reads "at least" or "at most". */
  atLeast?: number;
  atMost?: number;
  unit?: string;
}

/** Undefined: it was not measured, or not well enough to tell. */
export function holds({ value, between, atLeast, atMost }: Bound): boolean | undefined {
  if (value === undefined) return undefined;
  const reaches = (figure: number): boolean =>
    (atLeast === undefined || figure >= atLeast) && (atMost === undefined || figure <= atMost);
  const [low, high] = between ?? [value, value];
  return reaches(low) === reaches(high) ? reaches(value) : undefined;
}

export function boundRow(bound: Bound): string[] {
  const { value, between, atLeast, atMost, unit = 'x' } = bound;
  const required = [
    ...(atLeast === undefined ? [] : [`>= ${atLeast} ${unit}`]),
    ...(atMost === undefined ? [] : [`<= ${atMost} ${unit}`]),
  ].join(', ');
  const digits = (figure: number): string => figure.toFixed(figure < 100 ? 2 : 0);
  const range = between === undefined ? '' : ` (${digits(between[0])} to ${digits(between[1])})`;
  const figure = value === undefined ? '-' : `${digits(value)}${range} ${unit}`;
  return [bound.what, figure, required, verdict(bound)];
}

function verdict(bound: Bound): string {
  if (bound.value === undefined) return 'not measured';
  const reached = holds(bound);
  return reached === undefined ? 'cannot tell' : reached ? 'ok' : 'MISSED';
}
