/** What a figure has to reach. */
export interface Bound {
  /** "small files, served / bindfs". */
  what: string;
  value: number | undefined;
  /** Reads "at least" or "at most". */
  atLeast?: number;
  atMost?: number;
  unit?: string;
}

export function holds({ value, atLeast, atMost }: Bound): boolean | undefined {
  if (value === undefined) return undefined;
  return (atLeast === undefined || value >= atLeast) && (atMost === undefined || value <= atMost);
}

export function boundRow(bound: Bound): string[] {
  const { value, atLeast, atMost, unit = 'x' } = bound;
  const required = [
    ...(atLeast === undefined ? [] : [`>= ${atLeast} ${unit}`]),
    ...(atMost === undefined ? [] : [`<= ${atMost} ${unit}`]),
  ].join(', ');
  const reached = holds(bound);
  const figure = value === undefined ? '-' : `${value.toFixed(value < 100 ? 2 : 0)} ${unit}`;
  return [bound.what, figure, required, reached === undefined ? 'not measured' : reached ? 'ok' : 'MISSED'];
}
