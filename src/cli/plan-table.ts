/** How plans are shown: by `plan --list`, and on the page of `stats`. */
import type { PlanStats } from '../telemetry/stats.ts';
import { type Column, clean, size, whole } from './stats-text.ts';

export const planColumns: readonly Column<PlanStats>[] = [
  { title: 'plan', text: ({ name }) => clean(name), left: true, flexible: 'end' },
  { title: 'items', text: ({ items }) => whole(items) },
  { title: 'to give', text: ({ pending }) => whole(pending) },
  { title: 'used', text: ({ used }) => whole(used) },
  { title: 'too late', text: ({ late }) => whole(late) },
  { title: 'passed', text: ({ passed }) => whole(passed) },
  { title: 'missing', text: ({ missing }) => whole(missing) },
  { title: 'failed', text: ({ failed }) => whole(failed) },
  { title: 'brought', text: ({ broughtBytes }) => size(broughtBytes) },
  { title: 'idle s', text: ({ idleSeconds }) => whole(idleSeconds) },
];
