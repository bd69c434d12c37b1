import { checkpoint } from './checkpoint.ts';
import { create } from './create.ts';
import { epochs } from './epochs.ts';
import { halfCached } from './half-cached.ts';
import { importing } from './import.ts';
import { mappedModel } from './mapped-model.ts';
import { mappedTable } from './mapped-table.ts';
import { random } from './random.ts';
import { readers } from './readers.ts';
import { sequential } from './sequential.ts';
import { shards } from './shards.ts';
import { strided } from './strided.ts';
import { walk } from './walk.ts';
import type { Work } from './work.ts';

export const works: readonly Work[] = [
  sequential,
  strided,
  random,
  epochs,
  halfCached,
  shards,
  mappedTable,
  mappedModel,
  checkpoint,
  walk,
  importing,
  create,
  readers,
];

export type * from './work.ts';
