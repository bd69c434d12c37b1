/** A pin as it is shown. */
import type { PinSnapshot } from '../cache/eviction/pins.ts';
import type { PinStats } from '../telemetry/stats.ts';
import { utf8 } from './path-text.ts';

export function pinStats({ by, text, files, bytes }: PinSnapshot): PinStats {
  const byCommand = by === 'command';
  const name = byCommand ? utf8(text) : text;
  return { path: byCommand ? name : null, glob: byCommand ? null : name, files, bytes };
}
