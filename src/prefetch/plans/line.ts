/** One line of an announcement: a path (or a number of a listing's line), or that with TAB offset TAB length. */

/** Filled by `readLine`, and reused: announcements have a million lines. */
export interface Line {
  path: string;
  /** Bytes; 0 and Infinity: the whole file. */
  offset: number;
  length: number;
}

/** Longer paths are not taken: as long as the packed texts are. */
export const PATH_BYTES_MOST = 1014;
const NUMBER = /^\d{1,16}$/;
/** A name that is empty, "." or "..". */
const ODD_NAME = /(?:^|\/)\.{0,2}(?:\/|$)/;

/** 0, or why the line cannot be understood. `mountpoint`: paths below it may be given whole. Byte strings (latin1). */
export function readLine(text: string, percent: boolean, mountpoint: string, into: Line): 0 | string {
  const tab = text.indexOf('\t');
  into.offset = 0;
  into.length = Number.POSITIVE_INFINITY;
  if (tab >= 0) {
    const [offset = '', length = '', more] = text.slice(tab + 1).split('\t');
    if (!NUMBER.test(offset) || !NUMBER.test(length) || more !== undefined) {
      return 'after a TAB comes the offset, a TAB and the length, in bytes';
    }
    into.offset = Number(offset);
    into.length = Number(length);
    if (!Number.isSafeInteger(into.offset + into.length)) return 'the range ends beyond all files';
  }
  const path = tab < 0 ? text : text.slice(0, tab);
  const below = pathBelow(percent ? decoded(path) : path, mountpoint);
  if (below === undefined) return 'the path is none below the mount';
  if (below.length > PATH_BYTES_MOST) return `the path is longer than ${PATH_BYTES_MOST} bytes`;
  into.path = below;
  return 0;
}

/** As the overlay names it; undefined: it leads out of the mount, or to its root. */
function pathBelow(path: string, mountpoint: string): string | undefined {
  if (!ODD_NAME.test(path)) return path.includes('\0') ? undefined : path;
  const inside = path.startsWith(`${mountpoint}/`) ? path.slice(mountpoint.length + 1) : path;
  if (inside.startsWith('/') || inside.includes('\0')) return undefined;
  const names = inside.split('/').filter((name) => name !== '' && name !== '.');
  return names.length === 0 || names.includes('..') ? undefined : names.join('/');
}

/** A % that is followed by no two digits stands for itself. */
function decoded(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
