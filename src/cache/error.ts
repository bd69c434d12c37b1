/** Why a cache could not be opened. The command line maps it to an MLO_CACHE error. */
export class CacheError extends Error {
  readonly code: 'busy' | 'directory' | 'too-small' | 'memory';
  readonly remedy: string;

  constructor(code: CacheError['code'], message: string, remedy: string) {
    super(message);
    this.name = 'CacheError';
    this.code = code;
    this.remedy = remedy;
  }
}
