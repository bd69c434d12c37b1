/** What a measure of this suite is given, and what it says. */
import type { Needs as Made } from '../cache/measure.ts';
import type { StagedMeasure } from '../support/staged.ts';
import type { Site } from './site.ts';

export type { Figure } from '../cache/measure.ts';

/** Data made before the first round. */
export type Needs = Made | 'strided';

/** With mounts of its own, which it unmounts; figures of every round have the same names. */
export type Measure = StagedMeasure<Site, Needs>;

/** Batches of the DataLoader, and its workers, in every measure. */
export const BATCH = 32;
export const WORKERS = 2;
