/** Takes out of what is handed to others what is nobody's business. Pure. */
import { createHash } from 'node:crypto';

const HIDDEN = '***';
const SECRET_KEY = /pass(word|phrase)?|secret|token|credential|authorization|cookie|(api|access|private)[-_]?key/i;

type Json = unknown;

/** The same document with every text replaced by what `change` makes of it; `key`: the member it stands in, '' for none. */
function mapTexts(value: Json, change: (text: string, key: string) => string, key = ''): Json {
  if (typeof value === 'string') return change(value, key);
  if (Array.isArray(value)) return value.map((each) => mapTexts(each, change, key));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, each]) => [name, mapTexts(each, change, name)]);
  return Object.fromEntries(members);
}

/** Without what members called password and the like say, credentials in addresses, and KEY=VALUE of such keys in texts. */
export function withoutSecrets(document: Json): Json {
  return mapTexts(document, (text, key) => (SECRET_KEY.test(key) ? HIDDEN : secretsHidden(text)));
}

function secretsHidden(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi, `$1${HIDDEN}@`)
    .replace(/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${HIDDEN}`)
    .replace(
      /([\w-]*(?:pass(?:word|phrase)?|secret|token|credential|(?:api|access|private)[-_]?key)[\w-]*["']?\s*[=:]\s*["']?)[^\s"',;&]+/gi,
      `$1${HIDDEN}`,
    );
}

/** What every system has, and what tells nothing of whoever uses it. */
const PUBLIC = new Set(
  (
    'bin boot cache dev etc fuse home lib lib64 log media mnt ml-overlay node_modules opt proc root run sbin self share src srv ' +
    'sys tmp user usr var local fs connections systemd journal mountinfo status'
  ).split(' '),
);
/** Members whose whole text is a path, relative ones too. */
const PATH_KEY = /^(path|file|directory|source|mountpoint|target|cwd|tree)$/;
const EXTENSION = /\.[a-z][a-z0-9]{0,7}$/i;

/**
 * Without names of files and directories: the same name becomes the same token throughout one document, so that it can still
 * be followed, and `salt` keeps tokens from being looked up. Endings (.jpg, .tar) stay: they tell what kind of data it is.
 */
export function withoutPaths(document: Json, salt: string): Json {
  const known = new Map<string, string>();
  const made = new Set<string>();
  const token = (name: string): string => {
    if (name === '' || name === '.' || name === '..' || PUBLIC.has(name) || made.has(name)) return name;
    const found = known.get(name);
    if (found !== undefined) return found;
    const fresh = `${createHash('sha256').update(`${salt}\0${name}`).digest('hex').slice(0, 8)}${EXTENSION.exec(name)?.[0] ?? ''}`;
    known.set(name, fresh);
    made.add(fresh);
    return fresh;
  };
  const path = (text: string): string => text.split('/').map(token).join('/');
  // A path within a text begins with a slash that no word stands before, and ends where paths in messages do.
  const absolute = (text: string): string => text.replace(/(?<![\w/.:])\/[^\s"'`,;:()<>|]+/g, path);
  // Relative ones, and those with spaces, are known from the members that name them.
  const named = new Set<string>();
  mapTexts(document, (text, key) => {
    if (PATH_KEY.test(key) && text.length >= SHORTEST && !PUBLIC.has(text)) named.add(text);
    return text;
  });
  const longestFirst = [...named].sort((a, b) => b.length - a.length);
  const within = (text: string): string =>
    absolute(longestFirst.reduce((all, each) => all.replaceAll(each, () => path(each)), text));
  return mapTexts(document, (text, key) => (PATH_KEY.test(key) ? path(text) : within(text)));
}

/** A shorter name would be found in the midst of words. */
const SHORTEST = 3;
