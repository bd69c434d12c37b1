/** What the source says of its space: how often it is asked, and how old an answer may be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Space } from '../../src/overlay/space.ts';
import type { Store, StoreStatistics } from '../../src/store/store.ts';
import { Errno, type Outcome } from '../../src/sys/errno.ts';

class Stage {
  nowMs = 1000;
  ttlMs = 600_000;
  asked = 0;
  answer: Outcome<StoreStatistics> | undefined;
  readonly #space: Space;

  constructor({ readOnly = true, speed = 'pooled' as Store['speed'] }) {
    const statistics = (): unknown => {
      const asked = ++this.asked;
      const said = this.answer ?? ({ blocksFree: asked } as StoreStatistics);
      return speed === 'pooled' ? Promise.resolve(said) : said;
    };
    const store = { speed, statistics } as unknown as Store;
    this.#space = new Space(store, { nowMs: () => this.nowMs, ttlMs: () => this.ttlMs, readOnly });
  }

  /** Which answer is told. */
  async told(): Promise<number> {
    const said = await this.#space.reply();
    return typeof said === 'number' ? said : said.blocksFree;
  }
}

test('S5.5 one answer serves for a while, and a new one is fetched behind it', async () => {
  const stage = new Stage({});
  assert.deepEqual(await Promise.all([stage.told(), stage.told(), stage.told()]), [1, 1, 1]);
  assert.equal(stage.asked, 1, 'who asks together is answered together');
  stage.nowMs += 4000;
  assert.equal(await stage.told(), 1);
  assert.equal(stage.asked, 1);
  stage.nowMs += 4000;
  assert.equal(await stage.told(), 1, 'nobody waits');
  assert.equal(stage.asked, 2);
  assert.equal(await stage.told(), 2);
  stage.nowMs += 61_000;
  assert.equal(await stage.told(), 3, 'too old to be told');
});

test('S5.5 the lease holds, and where writers use the space up a second', async () => {
  const leased = new Stage({});
  leased.ttlMs = 0;
  assert.deepEqual([await leased.told(), await leased.told()], [1, 2]);
  const writable = new Stage({ readOnly: false });
  assert.deepEqual([await writable.told(), await writable.told()], [1, 1]);
  writable.nowMs += 1001;
  assert.equal(await writable.told(), 2);
});

test('an error is told and not kept, and a local source is always asked', async () => {
  const stage = new Stage({});
  stage.answer = -Errno.EIO;
  assert.equal(await stage.told(), -Errno.EIO);
  stage.answer = undefined;
  assert.equal(await stage.told(), 2);
  const local = new Stage({ speed: 'inline' });
  assert.deepEqual([await local.told(), await local.told()], [1, 2]);
});
