/** Whether a figure that is sampled over time grows. */
import { median } from '../support/table.ts';

export interface Point {
  seconds: number;
  value: number;
}

export interface Trend {
  perSecond: number;
  /** Standard error of `perSecond`; NaN with fewer than three points. */
  error: number;
}

/** Least squares. */
export function trendOf(points: readonly Point[]): Trend {
  const n = points.length;
  const meanX = points.reduce((sum, { seconds }) => sum + seconds, 0) / n;
  const meanY = points.reduce((sum, { value }) => sum + value, 0) / n;
  let xx = 0;
  let xy = 0;
  for (const { seconds, value } of points) {
    xx += (seconds - meanX) ** 2;
    xy += (seconds - meanX) * (value - meanY);
  }
  if (n < 2 || xx === 0) return { perSecond: Number.NaN, error: Number.NaN };
  const perSecond = xy / xx;
  const rest = points.reduce((sum, { seconds, value }) => {
    return sum + (value - meanY - perSecond * (seconds - meanX)) ** 2;
  }, 0);
  return { perSecond, error: Math.sqrt(rest / (n - 2) / xx) };
}

/**
 * The smallest value of each of `windows` equal stretches of time, at the middle of its stretch. For memory: what a collection of
 * garbage leaves is what is held; how much garbage lies on top of it is the collector's choice.
 */
export function floors(points: readonly Point[], windows: number): Point[] {
  const first = points[0]?.seconds ?? 0;
  const length = ((points.at(-1)?.seconds ?? first) - first) / windows;
  return Array.from({ length: windows }, (_, window) => {
    const from = first + window * length;
    const inside = points.filter(({ seconds }) => seconds >= from && seconds <= from + length);
    return { seconds: from + length / 2, value: Math.min(...inside.map(({ value }) => value)) };
  }).filter(({ value }) => Number.isFinite(value));
}

/** How much the median of the last third is above that of the first. */
export function rise(points: readonly Point[]): number {
  const third = Math.max(1, Math.floor(points.length / 3));
  const of = (part: readonly Point[]): number => median(part.map(({ value }) => value));
  return of(points.slice(-third)) - of(points.slice(0, third));
}
