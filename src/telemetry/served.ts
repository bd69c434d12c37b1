/** Where the bytes of READs came from, and how long READs took. */
export class ServedReads {
  storeCount = 0;
  storeBytes = 0;
  cacheCount = 0;
  cacheBytes = 0;

  /** `count`: bytes, or a negated errno, which is not counted here. */
  read(fromStore: boolean, count: number): void {
    if (count < 0) return;
    if (fromStore) {
      this.storeCount++;
      this.storeBytes += count;
    } else {
      this.cacheCount++;
      this.cacheBytes += count;
    }
  }
}
