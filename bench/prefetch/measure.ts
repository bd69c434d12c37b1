/** What a measure of this suite is given, and what it says. */
import type { Figure, Needs } from '../cache/measure.ts';
import type { Site } from './site.ts';

export type { Figure } from '../cache/measure.ts';

export interface Measure {
  name: string;
  needs: readonly (Needs | 'strided')[];
  run(site: Site, round: number): Promise<Figure[]>;
}

/** Batches of the DataLoader, and its workers, in every measure. */
export const BATCH = 32;
export const WORKERS = 2;
