/** Prints an error as `MLO_CODE: what happened: what to do`; returns the exit status. */
import { asMloError, MloError } from '../errors.ts';

export function showError(error: unknown): number {
  const shown = isBadUsage(error) ? new MloError('MLO_USAGE', error.message) : asMloError(error);
  process.stderr.write(`${shown.toString()}\n`);
  return shown.exit;
}

/** node:util's parseArgs refuses. */
function isBadUsage(error: unknown): error is Error {
  return error instanceof TypeError && String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS');
}
