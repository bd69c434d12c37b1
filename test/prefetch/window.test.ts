/** How many requests are under way: found for sources of every kind, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AheadLimits, AheadWindow } from '../../src/prefetch/window.ts';

const LIMITS: AheadLimits = { first: 16, least: 2, most: 96, grow: 4, shrink: 12 };

interface Source {
  latencyMs: number;
  /** Of the link, for each answer, one after the other. */
  itemMs: number;
  /** How much longer than that the latency is on the average, exponentially distributed, in latencies. */
  noise: number;
}

/** Requests for so many seconds: the share of the link that was in use in the second half, and how long answers waited for it. */
function run(
  { latencyMs, itemMs, noise }: Source,
  seconds: number,
  limits = LIMITS,
): { share: number; waitedMs: number; size: number } {
  const window = new AheadWindow(limits);
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const underWay: { arrivesMs: number; begunMs: number }[] = [];
  let [nowMs, linkFreeMs, answers, waitedMs] = [0, 0, 0, 0];
  while (nowMs < seconds * 1000) {
    while (underWay.length < window.size) {
      underWay.push({ arrivesMs: nowMs + latencyMs * (1 - noise * Math.log(1 - random())), begunMs: nowMs });
    }
    underWay.sort((a, b) => a.arrivesMs - b.arrivesMs);
    const { arrivesMs, begunMs } = underWay.shift()!;
    const waits = Math.max(0, linkFreeMs - arrivesMs);
    linkFreeMs = Math.max(arrivesMs, linkFreeMs) + itemMs;
    nowMs = linkFreeMs;
    window.answered(nowMs - begunMs, underWay.length + 1);
    if (nowMs < seconds * 500) continue;
    answers++;
    waitedMs += waits;
  }
  return { share: (answers * itemMs) / (seconds * 500), waitedMs: waitedMs / answers, size: window.size };
}

test('a link is kept busy, whatever its latency', () => {
  for (const [latencyMs, itemMs] of [
    [15, 0.56],
    [3, 0.11],
    [60, 2.2],
  ] as const) {
    const { share } = run({ latencyMs, itemMs, noise: 0.1 }, 20);
    assert.ok(share > 0.95, `${latencyMs} ms: ${share}`);
  }
});

test('answers some of which are late, of themselves, are no queue', () => {
  for (const noise of [0.3, 1, 2]) {
    const { share } = run({ latencyMs: 15, itemMs: 0.56, noise }, 20);
    assert.ok(share > 0.9, `noise ${noise}: ${share}`);
  }
});

test('a narrow link is not asked for more than a few at once', () => {
  const { share, waitedMs, size } = run({ latencyMs: 15, itemMs: 10, noise: 0.1 }, 60);
  assert.ok(share > 0.95, `${share}`);
  assert.ok(size <= 24 && waitedMs < 240, `${size} under way, ${waitedMs} ms in the queue`);
});

test('answers that all take a half longer, as beside a busy processor, do not narrow it', () => {
  const window = new AheadWindow(LIMITS);
  const round = (tookMs: number): void => {
    for (let i = window.size; i > 0; i--) window.answered(tookMs, window.size);
  };
  for (let i = 0; i < 3; i++) round(15);
  assert.equal(window.size, 96, 'it doubles while nothing waits');
  for (let i = 0; i < 20; i++) round(15 * 1.5);
  assert.equal(window.size, 96);
  for (let i = 0; i < 40; i++) round(15 * 4);
  assert.ok(window.size < 48, `${window.size}`);
});

test('what was not tried is not known: with few under way it does not grow', () => {
  const window = new AheadWindow(LIMITS);
  for (let i = 0; i < 1000; i++) window.answered(15, 10);
  assert.equal(window.size, 32, 'of 16 more than half are in use, of 32 they are not');
});

test('what an answer takes is known from the first one on: the shortest, until a round has ended', () => {
  const window = new AheadWindow({ first: 16, least: 16, most: 96, grow: 4, shrink: 4, careful: true });
  assert.equal(window.presentMs, 0);
  for (const [tookMs, presentMs] of [
    [40, 40],
    [15, 15],
    [20, 15],
  ] as const) {
    window.answered(tookMs, 4);
    assert.equal(window.presentMs, presentMs);
  }
  for (let i = 3; i < 16; i++) window.answered(20, 4);
  assert.equal(window.presentMs, 20, 'that of the round');
  window.answered(5, 4);
  assert.equal(window.presentMs, 20);
});

test('what a doubling puts into the queue leaves it at once', () => {
  const window = new AheadWindow(LIMITS);
  const round = (tookMs: number): void => {
    for (let i = window.size; i > 0; i--) window.answered(tookMs, window.size);
  };
  round(15);
  round(15);
  assert.equal(window.size, 64);
  round(15 * 4);
  assert.ok(window.size >= 48 && window.size <= 50, `${window.size}: 48 of 64 waited, of which 32 are borne`);
  round(15 * 4);
  assert.ok(window.size >= 44 && window.size <= 48, `${window.size}: later it goes down slowly`);
});

test('one that bears little has readers wait little, and most of the link in use', () => {
  const careful = { first: 16, least: 16, most: 120, grow: 4, shrink: 4, careful: true };
  for (const [latencyMs, itemMs] of [
    [15, 0.56],
    [150, 2.24],
  ] as const) {
    const [few, many] = [careful, LIMITS].map((limits) => run({ latencyMs, itemMs, noise: 0.1 }, 60, limits));
    assert.ok(few!.share > 0.75, `${latencyMs} ms: ${few!.share} of the link`);
    assert.ok(few!.waitedMs < latencyMs / 3, `${latencyMs} ms: ${few!.waitedMs} ms in the queue`);
    assert.ok(few!.waitedMs < many!.waitedMs / 2, `${few!.waitedMs} and ${many!.waitedMs} ms`);
  }
});
