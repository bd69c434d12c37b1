/** Why a store cannot be opened, and what to do about it. Operations never throw; only opening a store does. */
export class StoreError extends Error {
  readonly errno: number;
  readonly remedy: string;

  constructor(errno: number, message: string, remedy: string) {
    super(message);
    this.name = 'StoreError';
    this.errno = errno;
    this.remedy = remedy;
  }
}
