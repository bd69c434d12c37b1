/** Asks a daemon through its control socket. */
import { request } from 'node:http';
import { type ErrorCode, errorTable, MloError } from '../errors.ts';

export interface CallOptions {
  body?: object;
  timeoutMs?: number;
  /** A status other than 200 whose answer is no error: 503 of /ready. */
  accept?: number;
}

const TIMEOUT_MS = 5000;
/** Far above the largest answer of a daemon: whoever listens there sends something else. */
const LONGEST_ANSWER = 64 * 1024 * 1024;

export function callDaemon(socketPath: string, method: 'GET' | 'POST', path: string, options: CallOptions = {}) {
  return new Promise<Record<string, unknown>>((resolve, reject) => {
    const unreachable = (what: string): void => reject(new MloError('MLO_UNREACHABLE', `${socketPath}: ${what}`));
    const call = request({ socketPath, method, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.length > LONGEST_ANSWER) call.destroy(new Error('the answer is too long'));
      });
      response.on('end', () => {
        try {
          const value = JSON.parse(text) as Record<string, unknown>;
          if (response.statusCode === 200 || response.statusCode === options.accept) resolve(value);
          else reject(errorOf(value));
        } catch {
          unreachable('the answer is no JSON');
        }
      });
      response.on('error', (error) => unreachable(error.message));
    });
    call.setTimeout(options.timeoutMs ?? TIMEOUT_MS, () => call.destroy(new Error('no answer in time')));
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES') reject(new MloError('MLO_PERMISSION', `${socketPath} belongs to another user`));
      else unreachable(error.message);
    });
    call.end(options.body === undefined ? undefined : JSON.stringify(options.body));
  });
}

function errorOf({ code, message, remedy }: Record<string, unknown>): MloError {
  const known = typeof code === 'string' && code in errorTable ? (code as ErrorCode) : 'MLO_DEFECT';
  return new MloError(known, String(message), typeof remedy === 'string' ? remedy : undefined);
}
