/** Which lines count as code, and which of them as covered. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Coverage, codeLines } from '../../scripts/coverage.ts';

const SOURCE = `/**
 * A comment.
 */
import type { Buffer } from 'node:buffer';

export interface Shape {
  side: number;
}
// another
export function size(shape: Shape): number {
  /* and
   * another */
  if (shape.side < 0) {
    return -1;
  }
  return shape.side ** 2;
}

export const never = (_: Buffer): number => {
  return 7;
};
`;

const root = mkdtempSync(join(tmpdir(), 'mlo-coverage-'));
after(() => rmSync(root, { recursive: true, force: true }));

test('lines of code are those that hold something when types and comments are gone', () => {
  assert.deepEqual(
    codeLines(SOURCE).map(({ number }) => number),
    [10, 13, 14, 15, 16, 17, 19, 20, 21],
  );
});

test('a line is covered when any process ran code of it', () => {
  mkdirSync(join(root, 'src'));
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
  writeFileSync(join(root, 'src/shape.ts'), SOURCE);
  writeFileSync(join(root, 'src/unused.ts'), 'export const one = 1;\n');
  const coverage = new Coverage(root);
  const run = (program: string): void => {
    const directory = coverage.directory();
    const code = `import { size } from '${join(root, 'src/shape.ts')}'; ${program}`;
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      encoding: 'utf8',
      env: { ...process.env, NODE_V8_COVERAGE: directory },
    });
    assert.equal(ran.status, 0, ran.stderr);
    writeFileSync(join(directory, 'torn.json'), '{"result": [');
    coverage.take(directory);
    assert.equal(existsSync(directory), false);
  };
  assert.equal(coverage.percent, 0);
  run('size({ side: 2 });');
  assert.match(coverage.report(), /src\/shape\.ts +67 % +3 +14-15, 20$/m);
  run('size({ side: -2 });');
  assert.match(coverage.report(), /src\/shape\.ts +89 % +1 +20$/m);
  assert.match(coverage.report(), /src\/unused\.ts +0 % +1 +1$/m);
  assert.match(coverage.report(), /of 10 lines in 2 files ran, in 2 processes \(goal 90 %: MISSED\)$/);
});
