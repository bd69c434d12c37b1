/**
 * Reaching a node by the names it was seen under, the newest first.
 *
 * On a pooled store a rename of ours has moved the file some time before its names are noted here. So a name that leads
 * elsewhere proves nothing while such a move is under way, or when one has ended since: then the names are tried anew.
 */
import { Errno, failed } from '../../sys/errno.ts';
import type { Location, PosixNode } from './node.ts';
import type { Steps } from './trips.ts';

/** Somebody who renames a file without end must not hold up those who read it. */
const ROUNDS = 16;

/** The name leads nowhere, or to something else than it did. */
export function gone(failure: number): boolean {
  return (
    failure === -Errno.ENOENT ||
    failure === -Errno.ESTALE ||
    failure === -Errno.ENOTDIR ||
    failure === -Errno.ELOOP ||
    failure === -Errno.EISDIR ||
    failure === -Errno.ENXIO
  );
}

/**
 * The first name by which `attempt` succeeds. Else a failure that was not for want of the name (a source that cannot be
 * reached is not the same as a name that is gone), else ESTALE.
 */
export function byName<T>(node: PosixNode, attempt: (at: Location) => Steps<T>): Steps<T> {
  return untilSettled(node, function* (): Steps<T> {
    let failure: number = -Errno.ESTALE;
    for (const at of [...node.locations].reverse()) {
      const outcome = yield* attempt(at);
      if (!failed(outcome)) return outcome;
      if (!gone(outcome)) failure = outcome;
    }
    return failure;
  });
}

/** Runs steps again whose outcome is that a name is gone, when a move of the node can be why. */
export function* untilSettled<T>(node: PosixNode, steps: () => Steps<T>): Steps<T> {
  for (let round = 1; ; round++) {
    const { moves } = node;
    const outcome = yield* steps();
    if (!failed(outcome) || !gone(outcome) || round === ROUNDS) return outcome;
    if (node.moving !== undefined) yield node.moving;
    else if (node.moves === moves) return outcome;
  }
}

/** Runs steps that take names from nodes or give them others. */
export function* whileMoving<T>(nodes: readonly (PosixNode | undefined)[], steps: Steps<T>): Steps<T> {
  for (const node of nodes) node?.moveBegins();
  try {
    return yield* steps;
  } finally {
    for (const node of nodes) node?.moveEnds();
  }
}
