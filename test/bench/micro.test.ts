/** The microbenchmarks: that they run, and that a comparison sees a slowdown, and only one. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { checkOut } from '../../bench/micro/against.ts';
import { micros } from '../../bench/micro/benches/index.ts';
import { type MicroOptions, microSuite } from '../../bench/micro/suite.ts';
import { Scope } from '../../bench/support/scope.ts';

const root = resolve(import.meta.dirname, '../..');
const noGit = spawnSync('git', ['--version']).status === 0 ? false : 'no git';
const workspace = mkdtempSync(join(tmpdir(), 'mlo-micro-'));
after(() => rmSync(workspace, { recursive: true, force: true }));
let serial = 0;
const scopes: Scope[] = [];
afterEach(async () => {
  for (const scope of scopes.splice(0)) await scope.close();
});

function openScope(): Scope {
  const scope = new Scope();
  scopes.push(scope);
  return scope;
}

function git(repository: string, ...args: string[]): string {
  const identity = [
    '-c',
    'user.name=t',
    '-c',
    'user.email=t@t',
    '-c',
    'init.defaultBranch=main',
    '-c',
    'commit.gpgsign=false',
  ];
  return execFileSync('git', [...identity, '-C', repository, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
}

/** A repository with one commit: a src/ of one file. */
function repository(): string {
  const path = join(workspace, String(serial++));
  mkdirSync(join(path, 'src'), { recursive: true });
  writeFileSync(join(path, 'package.json'), '{"type":"module"}');
  git(path, 'init', '--quiet');
  commit(path, 'first');
  return path;
}

function commit(path: string, text: string): string {
  writeFileSync(join(path, 'src/text'), text);
  git(path, 'add', '.');
  git(path, 'commit', '--quiet', '-m', text);
  return git(path, 'rev-parse', 'HEAD');
}

/** What is compared with, told by the text its src/ holds; or why nothing is. */
function base(path: string, ref = 'merge-base'): string {
  const against = checkOut(openScope(), path, ref);
  return 'reason' in against ? `not: ${against.reason}` : readFileSync(join(against.root, 'src/text'), 'utf8');
}

test('every microbenchmark gives a figure', { timeout: 240_000 }, () => {
  const directory = mkdtempSync(join(workspace, 'run-'));
  const worker = join(root, 'bench/micro/worker.ts');
  const names = micros.map(({ name }) => name);
  const ran = spawnSync(process.execPath, [worker, root, directory, '2', ...names], { encoding: 'utf8' });
  const taken = ran.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; ns?: number; reason?: string });
  assert.deepEqual(
    taken.map(({ name }) => name),
    names,
    ran.stderr,
  );
  for (const { name, ns, reason } of taken) assert.ok(ns !== undefined && ns > 0, `${name}: ${reason}`);
});

describe('what is compared with', { skip: noGit }, () => {
  test('is where a branch left the trunk', () => {
    const path = repository();
    git(path, 'switch', '--quiet', '-c', 'change');
    commit(path, 'second');
    commit(path, 'third');
    assert.equal(base(path), 'first');
    assert.equal(base(path, 'HEAD~1'), 'second');
  });

  test('on the trunk is the commit before, or the present one when src/ has changes', () => {
    const path = repository();
    commit(path, 'second');
    assert.equal(base(path), 'first');
    writeFileSync(join(path, 'src/text'), 'changed');
    assert.equal(base(path), 'second');
  });

  test('is missing, with a reason, without history or a checkout', () => {
    const path = repository();
    assert.equal(base(path), 'not: there is no earlier commit');
    assert.equal(base(path, 'v1.0'), 'not: v1.0 is not here');
    commit(path, 'second');
    const shallow = join(workspace, 'shallow');
    git(workspace, 'clone', '--quiet', '--depth', '1', `file://${path}`, shallow);
    assert.equal(base(shallow), 'not: the clone is shallow');
    const plain = mkdtempSync(join(workspace, 'plain-'));
    assert.equal(base(plain), 'not: this is no git checkout');
  });
});

describe('a comparison', { skip: noGit }, () => {
  const options: MicroOptions = {
    quick: true,
    rounds: 1,
    only: 'chunk map',
    directory: undefined,
    against: 'merge-base',
  };

  /** This src/ in a repository of its own; `change` makes the next version of the chunk map. */
  function changed(change: (text: string) => string | undefined): string {
    const path = join(workspace, String(serial++));
    cpSync(join(root, 'src'), join(path, 'src'), { recursive: true });
    cpSync(join(root, 'package.json'), join(path, 'package.json'));
    symlinkSync(join(root, 'node_modules'), join(path, 'node_modules'));
    const file = join(path, 'src/cache/chunk-map.ts');
    const ours = readFileSync(file, 'utf8');
    const before = change(ours);
    if (before === undefined) rmSync(file);
    else writeFileSync(file, before);
    writeFileSync(join(path, '.gitignore'), 'node_modules\n');
    git(path, 'init', '--quiet');
    git(path, 'add', '.');
    git(path, 'commit', '--quiet', '-m', 'before');
    writeFileSync(file, ours);
    return path;
  }

  /** What failed of our tree against the other. */
  async function failed(path: string, rounds = 1): Promise<{ failed: string[]; skipped: string[] }> {
    const { failed, results } = await microSuite(openScope(), { ...options, rounds }, path);
    process.exitCode = 0; // it is for the command to fail, not for this test
    return { failed, skipped: results.filter(({ ratio }) => ratio === undefined).map(({ name }) => name) };
  }

  test('fails what has become more than twice as slow', async () => {
    // `covers` used to look at one chunk of its range, and now looks at all eight.
    const path = changed((text) => {
      const before = text.replace(
        'for (let chunk = first; chunk <= last; chunk++) if (!this.has(chunk))',
        'if (!this.has(first))',
      );
      assert.notEqual(before, text);
      return before;
    });
    assert.deepEqual((await failed(path, 3)).failed, ['chunk map: covers 8 chunks']); // the best of three counts
  });

  test('passes what is as it was, and skips what was not there', async () => {
    const path = changed((text) => `${text}\n`);
    assert.deepEqual(await failed(path), { failed: [], skipped: [] });
    const without = changed(() => undefined);
    const { failed: none, skipped } = await failed(without);
    assert.deepEqual(none, []);
    assert.deepEqual(skipped, ['chunk map: covers 8 chunks', 'chunk map: set']);
  });
});
