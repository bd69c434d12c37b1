/** What the parts of Access know of a file, in the slot its inode keeps for them: one object for all, so that it stays small. */
import type { Directory } from './data-set-tree.ts';
import type { AccessedFile } from './observer.ts';

/** How far the first reading of a file has come: DONE when its reader has closed it. */
export const Read = { NO: 0, ONCE: 1, DONE: 2 } as const;
export type Read = (typeof Read)[keyof typeof Read];

export class ObservedFile {
  /** The directory it was found in when it was first opened; undefined: it was not asked for yet. */
  directory: Directory | undefined = undefined;
  /** Its number among the files of the data sets; -1: none. */
  known = -1;
  /** Its size as the data sets count it; -1: not yet. */
  sizeBytes = -1;
  /** The recording that has its name; 0: none. */
  recording = 0;
  /** When it was opened last, as a number of that open; 0: never. */
  openedLast = 0;
  read: Read = Read.NO;
}

export function observed(file: AccessedFile): ObservedFile {
  const known = file.observed as ObservedFile | undefined;
  if (known !== undefined) return known;
  const fresh = new ObservedFile();
  file.observed = fresh;
  return fresh;
}
