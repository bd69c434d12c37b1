/**
 * Paths as the addon hands them over. It decodes them as UTF-8, and what is no UTF-8 becomes U+FFFD: the name it stood
 * for is lost, and another file may have the replaced one. So U+FFFD in a path is refused; nothing is ever done to a file
 * that was not meant.
 */
const REPLACEMENT = '\uFFFD';

/** EILSEQ: "invalid or incomplete multibyte character". Not among the errors of sys/errno.ts, which the overlay never gives. */
export const EILSEQ = 84;

/** "/a/b" -> the names as byte strings (latin1); undefined where a name cannot be told. */
export function namesOf(path: string): string[] | undefined {
  if (path.includes(REPLACEMENT)) return undefined;
  return bytesOf(path)
    .split('/')
    .filter((name) => name !== '');
}

/** A string of the addon's as a byte string. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** A byte string for the addon; bytes that are no UTF-8 become U+FFFD, under which nothing can be opened. */
export function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Text that the addon can hand on unchanged; undefined for bytes that are no UTF-8. */
export function exactText(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  return text.includes(REPLACEMENT) ? undefined : text;
}

/** "/a/b" for names; how this transport names a place in its tables. */
export function placeOf(names: readonly string[]): string {
  return names.length === 0 ? '' : `/${names.join('/')}`;
}

/** True for `place` itself and everything beneath it. */
export function isWithin(candidate: string, place: string): boolean {
  return candidate.startsWith(place) && (candidate.length === place.length || candidate[place.length] === '/');
}
