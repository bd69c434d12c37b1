/** What the overlay counts. Plain numbers, incremented in place; `snapshot` of the overlay copies them. */
export class OverlayCounters {
  lookups = 0;
  /** Files opened; the kernel's second attempt after ESTALE counts, the first does not. */
  opens = 0;
  /** Handles by the way that serves them. */
  opensSource = 0;
  opensSourcePassthrough = 0;
  opensTier = 0;
  opensTierPassthrough = 0;
  opensKeptPages = 0;
  /** Opens whose bytes were pushed; each is a read as well. */
  opensPushed = 0;
  opensForWriting = 0;
  /** Opens answered ESTALE so that the kernel looks the name up again. */
  opensStale = 0;
  superseded = 0;
  /** Files asked of the store at OPEN because the lease had ended. */
  validations = 0;
  reads = 0;
  readBytes = 0;
  /** Reads answered at once, and those that had to wait for the pool. */
  readsInline = 0;
  /** Of those answered at once: their bytes were carried from a file to the kernel past this process. */
  readsCarried = 0;
  readsLate = 0;
  readErrors = 0;
  writes = 0;
  writeBytes = 0;
  passthroughRefused = 0;
  idleBackings = 0;
}
