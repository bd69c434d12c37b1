/**
 * How large the chunks of a file are: what is fetched and kept as one. Smaller ones bring less that nobody reads to who reads
 * here and there; each costs a checksum in memory and in the index.
 */

/** A file up to this size is fetched whole at its first miss: a trip costs more than its bytes. */
export const WHOLE_FILE_BYTES: number = 1024 * 1024;
/** Of such a file. */
const WHOLE_BYTES = 256 * 1024;
/** Of a larger one: as small as this, as long as there are no more of them than a quarter of a MiB of checksums is for. */
const LEAST_BYTES = 64 * 1024;
const CHUNKS_MOST = 65_536;
const MOST_BYTES = 256 * 1024;

/** `set`: as it was configured; undefined: by the size of the file, in bytes. */
export function chunkBytesOf(size: number, set: number | undefined): number {
  if (set !== undefined) return set;
  if (size <= WHOLE_FILE_BYTES) return WHOLE_BYTES;
  let bytes = LEAST_BYTES;
  while (bytes < MOST_BYTES && size > bytes * CHUNKS_MOST) bytes *= 2;
  return bytes;
}
