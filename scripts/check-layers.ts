/**
 * The house rules that a compiler does not check: which folder of src/ may import which, which file may import which
 * package, and how long a file may be. Prints each violation as file:line; exits 1 when there is one.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const LINES_MOST = 500;
/** Files that are one table and may be longer. */
const TABLES: readonly string[] = ['src/config/schema.ts', 'src/fuse/layouts.ts', 'src/errors.ts'];

/** Leaves import only each other's types and nothing else of ours. Anyone may import them. */
const LEAVES = ['sys', 'packed', 'errors', 'telemetry', 'config'];

/** What each folder (or file directly in src/) may import besides itself and the leaves. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  main: ['cli'],
  cli: ['control', 'fuse', 'fuse-native', 'overlay', 'cache', 'store', 'access', 'prefetch', 'learn', 'recipes'],
  control: [],
  fuse: ['overlay'],
  'fuse-native': ['overlay', 'fuse'],
  overlay: ['cache', 'store', 'access', 'prefetch'],
  access: ['prefetch'],
  prefetch: [],
  cache: [],
  store: [],
  learn: ['access', 'prefetch', 'cache'],
  recipes: ['access', 'prefetch', 'cache'],
  sys: [],
  packed: [],
  errors: ['sys'],
  telemetry: ['sys', 'errors'],
  config: ['sys', 'errors'],
};

/** A folder inside a layer that may import nothing of ours at all. */
const ALONE: readonly string[] = ['src/learn/nets/'];

/** Modules of types that another layer may name (`import type`) without depending on the layer behind them. */
const CONTRACTS: Readonly<Record<string, readonly string[]>> = {
  'src/store/store.ts': ['fuse', 'fuse-native', 'control'],
  'src/access/snapshot.ts': ['telemetry'],
  'src/access/hidden.ts': ['telemetry'],
};

/** Modules of constants and predicates about what an inode says; nothing behind them. */
const VOCABULARY: Readonly<Record<string, readonly string[]>> = {
  'src/store/attributes.ts': ['fuse', 'fuse-native', 'control'],
};

/** Each dependency behind its file or files (a trailing slash: a folder). Node's own modules are free. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  koffi: ['src/sys/libc.ts', 'src/sys/libuv.ts'],
  zod: ['src/config/'],
  yaml: ['src/config/'],
  commander: ['src/cli/', 'src/main.ts'],
  pino: ['src/cli/logging.ts'],
  'lru-cache': ['src/store/posix/', 'src/overlay/', 'src/prefetch/'],
  'fuse-native': ['src/fuse-native/'],
  piscina: ['src/prefetch/'],
  'p-queue': ['src/prefetch/'],
  undici: ['src/store/seaweedfs/'],
};

interface Import {
  from: string;
  line: number;
  typeOnly: boolean;
}

function importsOf(text: string): Import[] {
  const found: Import[] = [];
  // `import … from '…'`, `export … from '…'`, `import '…'`, and `import('…')` with a literal
  const pattern =
    /^[ \t]*(import|export)\b(\s+type\b)?[^;'"`]*?from\s+['"]([^'"]+)['"]|^[ \t]*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;
  for (const match of text.matchAll(pattern)) {
    const from = match[3] ?? match[4] ?? match[5];
    if (from === undefined) continue;
    const clause = match[0];
    const inner = /\{([^}]*)\}/.exec(clause)?.[1];
    const allTypes =
      inner !== undefined &&
      /^\s*(import|export)\s*\{/.test(clause) &&
      inner
        .split(',')
        .filter((name) => name.trim() !== '')
        .every((name) => /^\s*type\s/.test(name));
    const line = text.slice(0, match.index + clause.length).split('\n').length;
    found.push({ from, line, typeOnly: match[2] !== undefined || allTypes });
  }
  return found;
}

/** "src/overlay/read.ts" -> "overlay"; "src/errors.ts" -> "errors". */
function layerOf(file: string): string {
  const [, first = ''] = file.split('/');
  return first.replace(/\.ts$/, '');
}

const violations: string[] = [];

function checkFile(file: string): void {
  const text = readFileSync(join(root, file), 'utf8');
  const lines = text.split('\n').length - 1;
  if (lines > LINES_MOST && !TABLES.includes(file)) {
    violations.push(`${file}:${LINES_MOST + 1}: ${lines} lines; no file of src/ has more than ${LINES_MOST}`);
  }
  const layer = layerOf(file);
  const allowed = MAY_IMPORT[layer];
  if (allowed === undefined) violations.push(`${file}:1: "${layer}" is no layer that scripts/check-layers.ts knows`);
  for (const { from, line, typeOnly } of importsOf(text)) {
    const complain = (what: string) => violations.push(`${file}:${line}: ${what}`);
    if (from.startsWith('node:')) continue;
    if (!from.startsWith('.')) {
      const name = from.startsWith('@') ? from.split('/').slice(0, 2).join('/') : (from.split('/')[0] ?? from);
      const homes = PACKAGES[name];
      if (homes === undefined)
        complain(`"${name}" has no home: say in scripts/check-layers.ts which file may import it`);
      else if (!homes.some((home) => (home.endsWith('/') ? file.startsWith(home) : file === home))) {
        complain(`only ${homes.join(', ')} may import "${name}"`);
      }
      continue;
    }
    const target = normalize(join(dirname(file), from));
    if (!target.startsWith('src/')) {
      complain(`src/ imports ${target}, which is not part of the program`);
      continue;
    }
    const alone = ALONE.find((folder) => file.startsWith(folder));
    if (alone !== undefined && !target.startsWith(alone)) complain(`${alone} imports nothing of ours, but ${target}`);
    const to = layerOf(target);
    if (to === layer || allowed?.includes(to)) continue;
    if (LEAVES.includes(to) && !LEAVES.includes(layer)) continue;
    if (VOCABULARY[target]?.includes(layer) || (typeOnly && CONTRACTS[target]?.includes(layer))) continue;
    complain(`${layer}/ may not import ${to}/ (${target})`);
  }
}

for (const file of globSync('src/**/*.ts', { cwd: root }).sort()) checkFile(file);
for (const violation of violations) console.log(violation);
console.log(violations.length === 0 ? 'layers: ok' : `layers: ${violations.length} violations`);
process.exitCode = violations.length === 0 ? 0 : 1;
