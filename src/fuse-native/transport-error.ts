/** Why this transport cannot be had or cannot mount, and what to do about it. */
export type TransportErrorCode =
  | 'MLO_LIBFUSE_MISSING'
  | 'MLO_LIBFUSE_UNSUPPORTED'
  | 'MLO_LIBFUSE_MOUNT'
  | 'MLO_LIBFUSE_UNMOUNT';

export class TransportError extends Error {
  readonly code: TransportErrorCode;
  readonly remedy: string;

  constructor(code: TransportErrorCode, what: string, remedy: string) {
    super(what);
    this.name = 'TransportError';
    this.code = code;
    this.remedy = remedy;
  }
}
