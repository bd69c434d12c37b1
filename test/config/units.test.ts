import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration, formatSize, parseDuration, parseSize, parseSwitch } from '../../src/config/units.ts';

test('sizes: letters are binary, B alone behind them is decimal, a number is bytes', () => {
  const sizes: [string, number][] = [
    ['0', 0],
    ['4096', 4096],
    ['17B', 17],
    ['500M', 500 * 2 ** 20],
    ['4GiB', 4 * 2 ** 30],
    ['200MB', 200e6],
    ['1.5g', 1.5 * 2 ** 30],
    ['2 TiB', 2 * 2 ** 40],
    ['1kb', 1000],
  ];
  for (const [text, bytes] of sizes) assert.equal(parseSize(text), bytes, text);
});

test('what is no size is refused', () => {
  for (const text of ['', 'M', '5Q', '-1', '1e3', '1 2', 'NaN', '0x10', '9000P', '5MBs']) {
    assert.throws(() => parseSize(text), /a size/, text);
  }
});

test('durations are seconds unless they say otherwise', () => {
  assert.equal(parseDuration('60'), 60_000);
  assert.equal(parseDuration('0.5'), 500);
  assert.equal(parseDuration('250ms'), 250);
  assert.equal(parseDuration('5m'), 300_000);
  assert.equal(parseDuration('1d'), 86_400_000);
  for (const text of ['', 's', '-1', '1 week', 'auto']) assert.throws(() => parseDuration(text), /a duration/, text);
});

test('a switch without a value is on', () => {
  for (const text of ['', 'on', 'YES', 'true', '1']) assert.equal(parseSwitch(text), true);
  for (const text of ['off', 'no', 'False', '0']) assert.equal(parseSwitch(text), false);
  assert.throws(() => parseSwitch('maybe'), /on or off/);
});

test('sizes and durations are shown short', () => {
  assert.equal(formatSize(0), '0 B');
  assert.equal(formatSize(1536), '1.5 KiB');
  assert.equal(formatSize(500 * 2 ** 30), '500 GiB');
  assert.equal(formatDuration(250), '250 ms');
  assert.equal(formatDuration(60_000), '60 s');
});
