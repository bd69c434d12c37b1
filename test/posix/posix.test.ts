/**
 * The POSIX checks of checks/*.py on a plain directory, and then on mounts: every way a file can be served, as root and
 * as an ordinary user. A check that fails on the plain directory says something about that directory's file system (or
 * about the check), not about the mount, and is skipped there.
 */
// time limit: 900 s
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isRoot, mountOverlay, noMounts, noUserMounts, ORDINARY_USER, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

interface Outcome {
  check: string;
  result: 'ok' | 'not ok' | 'skip';
  message: string;
}

/** A tenth of it on a machine that does nothing else. */
const SUITE_SECONDS = 500;
const program = resolve(import.meta.dirname, 'run.py');
const python = process.env.MLO_TEST_PYTHON ?? '/usr/bin/python3';

interface Who {
  name: string;
  uid: number | undefined;
  /** Why this user cannot mount here. */
  skip: string | false;
}

const users: Who[] = [
  { name: 'root', uid: undefined, skip: noMounts },
  { name: 'an ordinary user', uid: ORDINARY_USER, skip: noUserMounts },
];

/** `CACHE` stands for a directory of this mount's own. */
const ways: { name: string; options: string[] }[] = [
  { name: 'with passthrough', options: ['--cache', 'CACHE'] },
  { name: 'without passthrough', options: ['--cache', 'CACHE', '-o', 'disable=passthrough'] },
  { name: 'without a cache', options: ['--cache', 'none'] },
  { name: 'of a source that may be slow', options: ['--cache', 'CACHE', '-o', 'store-speed=pooled'] },
];

async function runSuite(path: string, who: Who, flags: string[] = []): Promise<Outcome[]> {
  const words = [program, path, '--json', ...flags];
  if (who.uid !== undefined) words.push('--user', String(who.uid));
  const result = await run(python, words, { seconds: SUITE_SECONDS });
  const outcomes = result.stdout
    .split('\n')
    .filter((line) => line.startsWith('{"check"'))
    .map((line) => JSON.parse(line) as Outcome);
  assert.ok(result.status <= 1 && outcomes.length > 0, `the suite broke: ${result.stderr}${result.stdout.slice(-500)}`);
  return outcomes;
}

function options(way: { options: string[] }, owner: number | undefined): string[] {
  return way.options.map((word) => (word === 'CACHE' ? temporaryDirectory('cache', owner) : word));
}

/** What each check says on a plain directory. */
const plain = new Map<string, Map<string, Outcome>>();

/** One test a check. What the plain directory can do and the mount says it cannot is a failure as well. */
async function report(t: TestContext, outcomes: Outcome[], onPlain: ReadonlyMap<string, Outcome>): Promise<void> {
  for (const { check, result, message } of outcomes) {
    const before = onPlain.get(check);
    const skip =
      before?.result === 'not ok'
        ? `fails on a plain directory: ${before.message}`
        : result === 'skip' && before?.result !== 'ok'
          ? message
          : false;
    await t.test(check, { skip }, () => assert.equal(result, 'ok', message));
  }
}

test('the checks run on a plain directory', { skip: isRoot ? false : noMounts }, async (t) => {
  const results = await Promise.all(users.map((who) => runSuite(temporaryDirectory('plain', who.uid), who)));
  for (const [i, who] of users.entries()) {
    const outcomes = results[i]!;
    plain.set(who.name, new Map(outcomes.map((outcome) => [outcome.check, outcome])));
    for (const { check, result, message } of outcomes) {
      if (result === 'not ok') t.diagnostic(`${check} fails on a plain directory for ${who.name}: ${message}`);
    }
    assert.ok(outcomes.filter((outcome) => outcome.result === 'ok').length > 200, 'most checks work here');
  }
});

for (const way of ways) {
  test(`a mount ${way.name}`, { skip: noMounts }, async (t) => {
    // Both at a time: there are two processors, and one mount does not know of the other.
    const results = await Promise.all(users.map((who) => (who.skip ? undefined : onMount(way, who))));
    for (const [i, who] of users.entries()) {
      await t.test(`for ${who.name}`, { skip: who.skip }, (inner) =>
        report(inner, results[i] ?? [], plain.get(who.name) ?? new Map()),
      );
    }
  });
}

async function onMount(way: { options: string[] }, who: Who): Promise<Outcome[]> {
  const request = { source: temporaryDirectory('source', who.uid), options: options(way, who.uid) };
  const mount = await mountOverlay(who.uid === undefined ? request : { ...request, user: who.uid });
  const outcomes = await withWatchdog(mount, SUITE_SECONDS + 10, () => runSuite(mount.mountpoint, who));
  await mount.unmount();
  return outcomes;
}

test('a read-only mount refuses every change', { skip: noMounts }, async (t) => {
  const source = temporaryDirectory('source');
  mkdirSync(join(source, 'dir'));
  writeFileSync(join(source, 'dir/file'), 'content');
  const mount = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'ro'] });
  const outcomes = await withWatchdog(mount, 60, () => runSuite(mount.mountpoint, users[0]!, ['--readonly']));
  await report(t, outcomes, new Map());
  await mount.unmount();
});
