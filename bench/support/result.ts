/** How a suite ends: its bounds are shown, what disturbed it is said, and a bound that is missed fails the run. */
import { type Bound, boundRow, holds } from './bounds.ts';
import { fileSystemOf, machine } from './machine.ts';
import { table } from './table.ts';

export interface Ending {
  suite: string;
  python: string | undefined;
  /** Where the data lie. */
  directory: string;
  bounds: readonly Bound[];
  /** Of `watchInterference`. Undefined: the run goes on for so long that others disturb it in any case. */
  interference?: () => string[];
}

export function boundsTable(bounds: readonly Bound[]): string {
  return table(['', 'measured', 'required', ''], bounds.map(boundRow));
}

export function anyMissed(bounds: readonly Bound[]): boolean {
  return bounds.some((bound) => holds(bound) === false);
}

/** The result for `--json`: what was measured, on what, and whether the bounds hold. */
export function concluded(ending: Ending, measured: object): object {
  const { suite, python, directory, bounds, interference } = ending;
  const disturbed = interference?.();
  for (const warning of disturbed ?? []) console.log(`Note: ${warning}.`);
  if (anyMissed(bounds)) process.exitCode = 1;
  return {
    suite,
    machine: machine(python),
    disturbed,
    fileSystem: fileSystemOf(directory),
    ...measured,
    bounds: bounds.map((bound) => ({ ...bound, holds: holds(bound) })),
  };
}
