/** The daemon is small because of what it does not load. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { test } from 'node:test';

const start = resolve(import.meta.dirname, '../../src/cli/daemon.ts');

/** Packages that a module loads when it is loaded; `import type` and import() do not count. */
function packagesOf(file: string, seen = new Set<string>()): Set<string> {
  const found = new Set<string>();
  if (seen.has(file)) return found;
  seen.add(file);
  const text = readFileSync(file, 'utf8');
  for (const [, clause = '', from = ''] of text.matchAll(/^(?:import|export)\s([^;'"]*?)from\s+'([^']+)'/gms)) {
    if (/^type\s/.test(clause) || from.startsWith('node:')) continue;
    const names =
      /\{([^}]*)\}/
        .exec(clause)?.[1]
        ?.split(',')
        .map((name) => name.trim()) ?? [];
    const onlyTypes = clause.trim().startsWith('{') && names.every((name) => name === '' || name.startsWith('type '));
    if (onlyTypes && from.startsWith('.') === false) continue;
    if (from.startsWith('.')) for (const name of packagesOf(resolve(dirname(file), from), seen)) found.add(name);
    else found.add(from);
  }
  return found;
}

test('the daemon loads neither the parser of the command line nor the schema nor YAML', () => {
  const packages = packagesOf(start);
  assert.ok(packages.has('koffi') && packages.has('pino'), [...packages].join(' '));
  for (const heavy of ['commander', 'yaml', 'zod', 'fuse-native']) assert.ok(!packages.has(heavy), heavy);
});
