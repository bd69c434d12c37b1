/** The data of the benchmarks: JPEGs like a training set's, or plain random bytes of the same sizes. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scripts } from './loader.ts';
import { must } from './processes.ts';

/** Makes `files` images in ten folders; returns their bytes. */
export async function makeImages(
  python: string,
  directory: string,
  files: number,
  progress: (done: number) => void,
): Promise<number> {
  let bytes = 0;
  const onLine = (line: string): void => {
    const [done, total] = line.split(' ').map(Number);
    bytes = total ?? 0;
    progress(done ?? 0);
  };
  await must(python, [scripts.makeImages, directory, String(files)], { onLine, timeoutSeconds: 1800 });
  return bytes;
}

/** Files of about 110 KiB without meaning, quickly: "folder-NN/file-NNNNNN". Returns their bytes. */
export function makeFiles(directory: string, files: number, folders: number, meanBytes = 110 * 1024): number {
  const noise = randomBytes(4 << 20);
  let bytes = 0;
  for (let folder = 0; folder < folders; folder++) {
    mkdirSync(join(directory, `folder-${String(folder).padStart(2, '0')}`), { recursive: true });
  }
  for (let number = 0; number < files; number++) {
    // 60 % to 140 % of the mean, spread by a multiplicative hash; contents start at different places of the noise
    const spread = ((number * 2654435761) >>> 0) / 2 ** 32;
    const size = Math.round(meanBytes * (0.6 + 0.8 * spread));
    const from = (number * 7919) % (noise.length - 2 * meanBytes);
    const folder = `folder-${String(number % folders).padStart(2, '0')}`;
    writeFileSync(
      join(directory, folder, `file-${String(number).padStart(6, '0')}`),
      noise.subarray(from, from + size),
    );
    bytes += size;
  }
  return bytes;
}
