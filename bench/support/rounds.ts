/** Measures taken round after round, each in its turn, and what their figures came to. */
import type { Figure } from '../cache/measure.ts';
import { type Bound, boundRow } from './bounds.ts';
import type { Scope } from './scope.ts';
import { median, percent, spread, table } from './table.ts';

export interface Taken extends Bound {
  values: number[];
  spread: number;
}

export async function takeRounds(
  scope: Scope,
  rounds: number,
  measures: readonly { run(round: number): Promise<Figure[]> }[],
): Promise<Taken[]> {
  const taken = new Map<string, { figure: Figure; values: number[] }>();
  for (let round = 1; round <= rounds; round++) {
    for (const measure of measures) {
      if (scope.closing) throw new Error('interrupted');
      for (const figure of await measure.run(round)) {
        console.log(`  round ${round}, ${figure.what}: ${figure.value.toFixed(3)} ${figure.unit ?? 'x'}`);
        const before = taken.get(figure.what);
        if (before === undefined) taken.set(figure.what, { figure, values: [figure.value] });
        else before.values.push(figure.value);
      }
    }
  }
  return [...taken.values()].map(({ figure, values }) => {
    return { ...figure, value: median(values), values, spread: spread(values) };
  });
}

export function takenTable(taken: readonly Taken[]): string {
  return table(['', 'measured', 'required', '', 'spread'], taken.map(row));
}

function row(bound: Taken): string[] {
  const bounded = bound.atLeast !== undefined || bound.atMost !== undefined;
  const [what, measured, required, reached] = boundRow(bound) as [string, string, string, string];
  return [what, measured, bounded ? required : '-', bounded ? reached : '', percent(Math.abs(bound.spread))];
}
