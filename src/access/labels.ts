/** What files are, by their names, and what a process does with them: labels, each with how sure they are. */

/** What a file is for. */
export const FILE_KINDS = [
  'images',
  'text',
  'shards',
  'records',
  'tables',
  'archives',
  'tensors',
  'audio',
  'other',
] as const;
export type FileKind = (typeof FILE_KINDS)[number];

const EXTENSIONS: Readonly<Record<Exclude<FileKind, 'other'>, string>> = {
  images: 'jpg jpeg png bmp gif webp tif tiff ppm dng exr dcm',
  text: 'txt json jsonl csv tsv xml html md yaml yml',
  shards: 'tar tgz wds',
  records: 'tfrecord tfrecords rec recordio beton mds idx lmdb mdb h5 hdf5 nc zarr',
  tables: 'parquet arrow feather orc avro lance',
  archives: 'zip npz gz bz2 xz zst 7z',
  tensors: 'safetensors pt pth ckpt bin gguf ggml onnx npy distcp model pkl index',
  audio: 'wav flac mp3 ogg opus m4a mp4 avi mkv webm',
};

const kinds = new Map<string, FileKind>();
for (const kind of FILE_KINDS) {
  if (kind !== 'other') for (const extension of EXTENSIONS[kind].split(' ')) kinds.set(extension, kind);
}

/** By the name of a file; endings of a compression (`.tar.gz`) and numbers of shards (`.tfrecord-00001-of-00128`) are looked through. */
export function fileKindOf(path: string): FileKind {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const parts = name.split('.').slice(1).reverse();
  let compressed: FileKind | undefined;
  for (const part of parts) {
    const kind = kinds.get(part.replace(/-\d+(-of-\d+)?$/, ''));
    if (kind === undefined) continue;
    if (kind !== 'archives') return kind;
    compressed ??= kind;
  }
  return compressed ?? 'other';
}

export const JOB_KINDS = ['training', 'inference', 'checkpointing', 'unknown'] as const;
export type JobKind = (typeof JOB_KINDS)[number];

/** Of one process, in bytes. */
export interface KindTotals {
  read: Partial<Record<FileKind, number>>;
  written: Partial<Record<FileKind, number>>;
}

const DATA: readonly FileKind[] = ['images', 'text', 'shards', 'records', 'tables', 'archives', 'audio'];

/** What most of its bytes are for, and their share of all: writing tensors, reading tensors, or reading data. */
export function jobOf({ read, written }: KindTotals): { job: JobKind; confidence: number } {
  const sum = (of: KindTotals['read'], only: readonly FileKind[] = FILE_KINDS): number =>
    only.reduce((bytes, kind) => bytes + (of[kind] ?? 0), 0);
  const all = sum(read) + sum(written);
  const shares: [JobKind, number][] = [
    ['checkpointing', sum(written, ['tensors', 'archives', 'other'])],
    ['inference', sum(read, ['tensors'])],
    ['training', sum(read, DATA)],
  ];
  const [job, bytes] = shares.reduce((most, one) => (one[1] > most[1] ? one : most));
  return all === 0 || bytes === 0 ? { job: 'unknown', confidence: 0 } : { job, confidence: bytes / all };
}
