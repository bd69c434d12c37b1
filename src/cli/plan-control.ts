/**
 * What the daemon does with POST /plan:
 *
 *   {"action": "announce", "lines": TEXT}   whole lines as in docs/PLAN.md, the header first; a character a byte (latin1)
 *   {"action": "withdraw", "name": NAME}    {"action": "list"}
 *
 * Each answer has the plans there are. `taken`: how many bytes of the lines; the others are to be sent again, after a while
 * when it is 0: the plans have no room for more until the job has read on.
 */
import { MloError } from '../errors.ts';
import type { Plans, PlansSnapshot } from '../prefetch/plans/plans.ts';
import { Errno, failed } from '../sys/errno.ts';
import type { DaemonParts } from './control-handlers.ts';

export interface PlanAnswer extends PlansSnapshot {
  taken?: number;
}

export async function planControl(parts: DaemonParts, wanted: Record<string, unknown>): Promise<PlanAnswer> {
  const plans = plansOf(parts);
  switch (wanted.action) {
    case 'announce': {
      if (typeof wanted.lines !== 'string') throw new MloError('MLO_USAGE', 'lines is a text');
      const taken = announce(plans, Buffer.from(wanted.lines, 'latin1'));
      return { taken, ...plans.snapshot() };
    }
    case 'withdraw':
      if (typeof wanted.name !== 'string' || !plans.withdraw(wanted.name)) {
        throw new MloError(
          'MLO_PLAN',
          `there is no plan ${String(wanted.name)}`,
          'see ml-overlay plan MOUNTPOINT --list',
        );
      }
      return plans.snapshot();
    case 'list':
      return plans.snapshot();
    default:
      throw new MloError('MLO_USAGE', 'a plan is announced or withdrawn, or plans are listed');
  }
}

function announce(plans: Plans, lines: Uint8Array): number {
  const { taken, trouble } = plans.announce(lines);
  if (!failed(taken)) return taken;
  if (taken === -Errno.ENOSPC) return 0;
  throw new MloError('MLO_PLAN', trouble ?? 'it cannot be taken');
}

function plansOf({ assembly, request }: DaemonParts): Plans {
  const { plans } = assembly.overlay.prefetch ?? {};
  if (plans !== undefined) return plans;
  const { settings, mountpoint } = request;
  const why =
    assembly.cache === undefined
      ? 'it has no cache'
      : assembly.store.speed === 'inline'
        ? 'its source is local'
        : 'prefetch is off';
  const remedy =
    assembly.cache === undefined
      ? 'mount it with --cache DIR:SIZE'
      : settings.prefetch
        ? 'it needs no plan; -o store-speed=pooled says that the source is slow'
        : 'mount it without -o prefetch=off';
  throw new MloError('MLO_PLAN', `nothing is brought ahead of the readers of ${mountpoint}: ${why}`, remedy);
}
