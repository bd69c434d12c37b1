/** Each sentence of docs/SEMANTICS.md is named by a test, and each sentence that a test names is there. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
/** Whole numbers only: S2.10 does not name S2.1. */
const NUMBER = /\bS\d+\.\d+\b/g;

function sentences(): string[] {
  const document = readFileSync(join(root, 'docs/SEMANTICS.md'), 'utf8');
  return [...document.matchAll(/^- (S\d+\.\d+) /gm)].map(([, number]) => number!);
}

/** What tests name: number -> files. */
function named(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const entry of readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(test\.ts|py)$/.test(entry.name)) continue;
    const file = join(entry.parentPath, entry.name);
    if (file === import.meta.filename) continue;
    for (const number of new Set(readFileSync(file, 'utf8').match(NUMBER))) {
      found.set(number, [...(found.get(number) ?? []), file.slice(root.length + 1)]);
    }
  }
  return found;
}

test('sentences have numbers of their own, in order', () => {
  const numbers = sentences();
  assert.ok(numbers.length > 50, `${numbers.length} sentences`);
  let [chapter, last] = [0, 0];
  for (const number of numbers) {
    const [major = 0, minor = 0] = number.slice(1).split('.').map(Number);
    const next = major === chapter ? [chapter, last + 1] : [chapter + 1, 1];
    assert.deepEqual([major, minor], next, `${number} follows S${chapter}.${last}`);
    [chapter, last] = [major, minor];
  }
});

test('every sentence is named by a test', () => {
  const names = named();
  const unproven = sentences().filter((number) => !names.has(number));
  assert.deepEqual(unproven, [], 'docs/SEMANTICS.md promises what no test names');
});

test('every sentence that a test names is in the document', () => {
  const known = new Set(sentences());
  const unknown = [...named()].filter(([number]) => !known.has(number));
  assert.deepEqual(unknown, [], 'tests name sentences that docs/SEMANTICS.md does not have');
});

test('what the document itself refers to is in it', () => {
  const known = new Set(sentences());
  const referred = readFileSync(join(root, 'docs/SEMANTICS.md'), 'utf8').match(NUMBER) ?? [];
  assert.deepEqual(
    referred.filter((number) => !known.has(number)),
    [],
  );
});
