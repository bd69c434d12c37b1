import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RepeatFilter } from '../../src/telemetry/repeats.ts';

function recorder() {
  const lines: string[] = [];
  const note = (level: string) => (fields: object, message: string) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  return { lines, log: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') } };
}

test('the same error within the time is counted, and the count is logged once', async () => {
  const { lines, log } = recorder();
  const filter = new RepeatFilter(log, 50);
  for (let i = 0; i < 1000; i++) filter.error({ errno: 5, file: i }, 'cannot read');
  filter.error({ errno: 28, file: 0 }, 'cannot read');
  assert.deepEqual(lines, ['error cannot read {"errno":5,"file":0}', 'error cannot read {"errno":28,"file":0}']);
  await sleep(120);
  assert.deepEqual(lines.slice(2), ['error cannot read {"errno":5,"file":999,"repeated":999}']);
  filter.error({ errno: 5 }, 'cannot read');
  assert.equal(lines.length, 4, 'a new storm starts with a line');
  assert.equal(filter.counts.error, 1002);
});

test('information is never held back; what is pending is said at the end', () => {
  const { lines, log } = recorder();
  const filter = new RepeatFilter(log);
  for (let i = 0; i < 3; i++) filter.info({}, 'hello');
  for (let i = 0; i < 3; i++) filter.warn({}, 'odd');
  assert.equal(lines.length, 4);
  filter.flush();
  assert.equal(lines.at(-1), 'warn odd {"repeated":2}');
});

test('storms remembered are bounded', () => {
  const { lines, log } = recorder();
  const filter = new RepeatFilter(log);
  for (let i = 0; i < 2000; i++) filter.warn({}, `message ${i}`);
  assert.equal(lines.length, 2000);
  filter.flush();
});
