/** Bounds that only a real regression crosses: the overlay against the bare source in the same run. */
import type { Bound } from '../support/bounds.ts';
import { timesAsFast } from './report.ts';
import type { Result } from './result.ts';

/** Resident memory in any work: several times what it is. */
const RESIDENT_MOST_MIB = 600;

export function boundsOf(result: Result): Bound[] {
  const bounds: Bound[] = result.works.flatMap((work) =>
    work.figures.flatMap((figure) =>
      figure.least === undefined || !wasTaken(result, work.name, figure.name)
        ? []
        : [
            {
              what: `${work.name}, ${figure.name}: overlay / source`,
              value: timesAsFast(result, work.name, 'overlay', figure, 'source') ?? Number.NaN,
              atLeast: figure.least,
            },
          ],
    ),
  );
  const ours = result.cells.filter(({ system }) => system === 'overlay');
  const failed = ours.filter(({ failed }) => failed !== undefined).length;
  const peak = Math.max(0, ...ours.map(({ peakBytes }) => peakBytes)) / 2 ** 20;
  return [
    ...bounds,
    { what: 'overlay: cells that failed', value: failed, atMost: 0, unit: '' },
    { what: 'overlay: resident memory', value: peak, atMost: RESIDENT_MOST_MIB, unit: 'MiB' },
  ];
}

/** Without root nothing is dropped, and such a figure is absent everywhere. */
function wasTaken(result: Result, work: string, figure: string): boolean {
  return result.cells.some((cell) => cell.work === work && cell.figures[figure] !== undefined);
}
