/** What goes back to whoever asked the daemon something. */
import { MloError } from '../errors.ts';

export interface Answer {
  status: number;
  type: string;
  body: string;
}

export const JSON_TYPE = 'application/json';

export function json(value: object, status = 200): Answer {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

/** A request that cannot be answered by anyone. */
export class Refused extends MloError {
  readonly status: number;

  constructor(status: number, what: string) {
    super('MLO_USAGE', what);
    this.status = status;
  }
}

export function refusal(error: unknown): Answer {
  if (error instanceof MloError) {
    const { code, message, remedy } = error;
    return json({ code, message, remedy }, error instanceof Refused ? error.status : code === 'MLO_USAGE' ? 400 : 409);
  }
  const message = String((error as Error)?.stack ?? error);
  return json({ code: 'MLO_DEFECT', message, remedy: 'report it' }, 500);
}
