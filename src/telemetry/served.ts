/** Where the bytes of READs came from, and how long READs took. */
const FROM_STORE = 0;

export class ServedReads {
  storeCount = 0;
  storeBytes = 0;
  cacheCount = 0;
  cacheBytes = 0;

  /** `from`: 0 is the store, anything else a tier. `count`: bytes, or a negated errno, which is not counted here. */
  read(from: number, count: number): void {
    if (count < 0) return;
    if (from === FROM_STORE) {
      this.storeCount++;
      this.storeBytes += count;
    } else {
      this.cacheCount++;
      this.cacheBytes += count;
    }
  }
}
