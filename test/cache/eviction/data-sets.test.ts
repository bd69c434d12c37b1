/** Data sets that turn out to be shares of a larger one. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { DataSets } from '../../../src/cache/eviction/data-sets.ts';
import { Item } from '../../../src/cache/eviction/policy.ts';
import { Pool } from '../../../src/cache/eviction/pool.ts';

function keep(sets: DataSets, directory: string, count: number): Item[] {
  return Array.from({ length: count }, (_, id) => {
    const item = new Item(id, 10, directory);
    item.extension = 'bin';
    item.bytes = 10;
    sets.add(item, 0);
    return item;
  });
}

test('where siblings become one set, the large one is not moved', () => {
  for (const directories of [
    ['r/a', 'r/b', 'r/c'],
    ['r/b', 'r/a', 'r/c'],
    ['r/a', 'r/c', 'r/b'],
  ]) {
    const sets = new DataSets();
    const items = directories.slice(0, 2).flatMap((name) => keep(sets, name, name === 'r/b' ? 20_000 : 10));
    const { add } = Pool.prototype;
    const adds = mock.method(Pool.prototype, 'add', add).mock;
    items.push(...keep(sets, directories[2]!, 1));
    adds.restore();
    assert.ok(adds.callCount() < 100, `${directories}: ${adds.callCount()}`);
    const set = sets.of(items[0]!, 0);
    assert.ok(items.every((item) => sets.of(item, 0) === set));
    assert.deepEqual([set.pool.size, set.pool.bytes, sets.active], [items.length, items.length * 10, [set]]);
    const more = keep(sets, 'r/d', 1)[0]!;
    assert.equal(sets.of(more, 0), set, 'and so does the next');
    for (const item of [...items, more]) sets.remove(item);
    assert.deepEqual([set.pool.size, set.pool.bytes, sets.active], [0, 0, []]);
  }
});
