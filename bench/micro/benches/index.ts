import type { Micro } from '../bench.ts';
import { cache } from './cache.ts';
import { codec } from './codec.ts';
import { overlay } from './overlay.ts';
import { telemetry } from './telemetry.ts';

export const micros: readonly Micro[] = [...codec, ...overlay, ...cache, ...telemetry];
