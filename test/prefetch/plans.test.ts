/** Plans: what is announced becomes an order, which follows the job that reads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Order, Orders, ReadFile, Wanted } from '../../src/prefetch/order.ts';
import { headerLine, parseHeader } from '../../src/prefetch/plans/header.ts';
import { type Line, readLine } from '../../src/prefetch/plans/line.ts';
import { PLANS_MOST, type PlanSnapshot, Plans, type PlansOptions } from '../../src/prefetch/plans/plans.ts';
import { Spent } from '../../src/prefetch/spent.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';

const MIB = 1024 * 1024;

/** Asks as the scheduler does, and settles at once. */
class Asked implements Orders {
  readonly unnoticed = 16;
  roomBytes = Number.POSITIVE_INFINITY;
  /** Undefined: all of the room. */
  free: number | undefined;

  get freeBytes(): number {
    return this.free ?? this.roomBytes;
  }

  readonly orders = new Set<Order>();
  wakes = 0;
  /** Of each item, what bringing it comes to. */
  outcome: (wanted: Wanted) => number = () => 1000;

  add(order: Order): void {
    this.orders.add(order);
  }

  remove(order: Order): void {
    this.orders.delete(order);
  }

  wake(): void {
    this.wakes++;
  }

  get only(): Order {
    const [order] = this.orders;
    assert.ok(order !== undefined && this.orders.size === 1, `${this.orders.size} orders`);
    return order;
  }

  /** What is given and brought until there is no more, or so many. */
  bring(most = Number.POSITIVE_INFINITY, order = this.only): string[] {
    const brought: string[] = [];
    for (let wanted: Wanted | undefined; brought.length < most; ) {
      wanted = order.next();
      if (wanted === undefined) break;
      brought.push(wanted.file as string);
      order.settled(wanted, this.outcome(wanted));
    }
    return brought;
  }
}

function setUp(options: Partial<PlansOptions> = {}) {
  const asked = new Asked();
  const clock = { ms: 0 };
  const spent = new Spent();
  const host = { nowMs: () => clock.ms, keeps: () => true };
  const plans = new Plans({ orders: asked, spent, host }, { log: silentLog, mountpoint: '/mnt/ml', ...options });
  const announce = (text: string): number => {
    const all = Buffer.from(text, 'latin1');
    const announcement = plans.announcement();
    for (let at = 0; at < all.length; ) {
      const taken = announcement.write(all.subarray(at));
      if (taken < 0) return taken;
      at += taken;
    }
    announcement.end();
    return all.length;
  };
  const open = (path: string): void => plans.opened(fileAt(path), true);
  const of = (name: string): PlanSnapshot => plans.snapshot().plans.find((plan) => plan.name === name)!;
  return { asked, plans, announce, open, of, spent, clock };
}

function fileAt(path: string): ReadFile {
  return { nodeId: path.length, fileKey: path, attributes: { size: 1000 }, path: () => path };
}

const names = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => `train/${from + i}.jpg`);
const lines = (paths: readonly string[]): string => paths.map((path) => `${path}\n`).join('');

test('gives what is announced in its order, and goes on when more is', () => {
  const { asked, plans, announce } = setUp();
  announce(`#ml-overlay-plan 1 name=job\n${lines(names(3))}`);
  assert.equal(asked.only.about, 'job');
  assert.deepEqual(asked.bring(), names(3));
  announce(`#ml-overlay-plan 1 name=job\n${lines(names(2, 3))}`);
  assert.deepEqual(asked.bring(), names(2, 3));
  plans.stop();
});

test('skips what the job has opened already, and counts who was quicker', () => {
  const { asked, plans, announce, open, of } = setUp();
  announce(`#ml-overlay-plan 1 name=job\n${lines(names(10))}`);
  assert.deepEqual(asked.bring(2), names(2));
  for (const path of names(4)) open(path);
  assert.deepEqual(asked.bring(), names(6, 4));
  const { items, given, used, late, broughtBytes, usedBytes } = of('job');
  assert.deepEqual({ items, given, used, late }, { items: 10, given: 8, used: 2, late: 2 });
  assert.deepEqual([broughtBytes, usedBytes], [8000, 2000]);
  plans.stop();
});

test('a file that is announced twice is given twice, and an open counts for the first of them', () => {
  const { asked, plans, announce, open } = setUp();
  announce(lines(['a', 'b', 'a', 'a']));
  open('a');
  assert.deepEqual(asked.bring(), ['b', 'a', 'a']);
  for (const path of ['b', 'a', 'a', 'a']) open(path);
  const [{ used, late } = { used: 0, late: 0 }] = plans.snapshot().plans;
  assert.deepEqual([used, late], [3, 1]);
  plans.stop();
});

test('runs no further ahead than there is room, and goes on when something was used', () => {
  const { asked, plans, announce, open } = setUp();
  announce(lines(names(100)));
  asked.roomBytes = 5500;
  asked.outcome = () => {
    if (asked.roomBytes < 1000) return -Errno.ENOSPC;
    asked.roomBytes -= 1000;
    return 1000;
  };
  const first = asked.bring();
  assert.equal(first.length, 6, 'the last is refused');
  assert.deepEqual(asked.bring(), []);
  const { wakes } = asked;
  open(first[0]!);
  asked.roomBytes += 1001;
  assert.ok(asked.wakes > wakes, 'the scheduler is woken');
  assert.deepEqual(asked.bring(), ['train/5.jpg', 'train/6.jpg'], 'one, and one that is refused again');
  plans.stop();
});

test('what the cache refused is given again when there is more room', () => {
  const { asked, plans, announce, of } = setUp();
  announce(lines(names(3)));
  asked.roomBytes = 1500;
  asked.outcome = ({ file }) => (file === 'train/1.jpg' && asked.roomBytes < 6000 ? -Errno.ENOSPC : 1000);
  assert.deepEqual(asked.bring(), names(2));
  assert.deepEqual(asked.bring(), [], 'no more room than when it was refused');
  asked.roomBytes = 7000;
  assert.deepEqual(asked.bring(), names(2, 1));
  assert.equal(of('plan-1').failed, 0);
  plans.stop();
});

test('what finds no room while all that could go is in use is given up for good only when there is room', () => {
  const { asked, plans, announce, of } = setUp();
  announce(lines(names(100)));
  asked.outcome = () => -Errno.EDQUOT;
  for (const [roomBytes, free] of [
    [0, 0],
    [1_000_000, 0],
    [1_500_000, 100_000],
  ] as const) {
    asked.roomBytes = roomBytes;
    asked.free = free;
    assert.equal(asked.bring(50).length, 1, `${roomBytes} bytes of room, ${free} of them free`);
  }
  assert.equal(of('plan-1').failed, 0);
  asked.outcome = () => 1000;
  asked.roomBytes = 3_000_000;
  assert.deepEqual(asked.bring(), names(100));
  plans.stop();
});

test('what some rule keeps out of the cache holds up nothing', () => {
  const { asked, plans, announce, of } = setUp();
  announce(lines(names(200)));
  asked.roomBytes = 1_000_000;
  asked.outcome = ({ file }) => (/[05]\.jpg$/.test(file as string) ? -Errno.EDQUOT : 1000);
  const brought = asked.bring();
  assert.equal(new Set(brought).size, 200);
  assert.equal(brought.length, 160 + 3 * 40, 'three times each, and no more');
  assert.equal(of('plan-1').failed, 40);
  plans.stop();
});

test('one that nobody reads brings little, however much there is room; one that is read gets credit', () => {
  const { asked, plans, announce, open } = setUp();
  announce(lines(names(50_000)));
  const first = asked.bring();
  assert.equal(first.length, 1024);
  for (const path of first.slice(0, 512)) open(path);
  assert.ok(asked.bring().length > 5000);
  plans.stop();
  const large = setUp();
  large.asked.outcome = () => 100 * MIB;
  large.announce(lines(names(100)));
  assert.equal(large.asked.bring().length, 3, 'some 256 MiB');
  large.plans.stop();
});

test('a job that has enough for a while has fewer items under way, and gets as many as it can have when that runs out', () => {
  const { asked, plans, announce, open, clock } = setUp();
  announce(lines(names(50_000)));
  const order = asked.only;
  const taken: Wanted[] = [];
  const take = (): number => {
    while (taken.length < 1000) {
      const wanted = order.next();
      if (wanted === undefined) break;
      taken.push(wanted);
    }
    return taken.length;
  };
  const settle = (): void => {
    for (const wanted of taken.splice(0)) order.settled(wanted, 1000);
  };
  const go = (from: number, to: number): void => {
    for (const path of names(to - from, from)) {
      clock.ms++;
      open(path);
    }
  };
  assert.equal(take(), 1000, 'nobody reads yet: as much as there is credit for');
  settle();
  go(0, 600);
  assert.equal(take(), 113, 'enough for 0.4 of 1.06 s: 16 by the square of that');
  settle();
  asked.bring(1200);
  assert.equal(take(), asked.unnoticed, 'enough for more than a second');
  const { wakes } = asked;
  settle();
  assert.ok(asked.wakes > wakes, 'it goes on then');
  go(600, 2300);
  assert.equal(take(), 1000, 'it has caught up');
  settle();
  asked.bring(1500);
  for (const at of [2300, 2301]) {
    clock.ms += 60_000;
    go(at, at + 1);
  }
  assert.equal(take(), asked.unnoticed, 'it has paused');
  plans.stop();
});

test('follows a job that begins in the middle, and does not bring what it has gone past', () => {
  const { asked, plans, announce, open, of } = setUp();
  announce(lines(names(100_000)));
  for (const path of names(50, 50_000)) open(path);
  const [next] = asked.bring(1);
  assert.ok(Number(/\d+/.exec(next!)) > 50_049 - 4200, String(next));
  for (const path of names(20_000, 50_050)) open(path); // to 70,049: 65,536 behind is 4,513
  assert.ok(of('plan-1').passed > 0, 'what is far behind is forgotten');
  plans.stop();
});

test('one file far ahead is no reason to go on from there', () => {
  const { asked, plans, announce, open } = setUp();
  announce(lines(names(50_000)));
  for (const at of [40_000, 10_000, 49_000, 20_000]) open(`train/${at}.jpg`);
  assert.deepEqual(asked.bring(2), names(2));
  plans.stop();
});

test('workers may be far apart: each reads its batch', () => {
  const { asked, plans, announce, open, of } = setUp();
  const [workers, batch] = [16, 512];
  announce(lines(names(workers * batch * 4)));
  const brought = new Set<string>();
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < batch; i++) {
      for (let worker = 0; worker < workers; worker++) {
        for (const path of asked.bring(1)) brought.add(path);
        open(`train/${(round * workers + worker) * batch + i}.jpg`);
      }
    }
  }
  const { passed, used, late } = of('plan-1');
  assert.equal(passed, 0);
  assert.equal(used + late, workers * batch * 4);
  plans.stop();
});

test('what is named with a range is followed by its reads', () => {
  const { asked, plans, announce, of } = setUp();
  const records = Array.from({ length: 100 }, (_, i) => `shard.tar\t${i * 10_000 + 7}\t10000`);
  announce(`#ml-overlay-plan 1 name=job\n${lines(records)}`);
  const first = asked.only.next()!;
  assert.deepEqual([first.file, first.offset, first.length], ['shard.tar', 7, 10_000]);
  asked.only.settled(first, 10_000);
  plans.read(fileAt('shard.tar'), 0, 45_056); // five of them begin in there
  const next = asked.only.next()!;
  assert.equal(next.offset, 50_007);
  asked.only.settled(next, 10_000);
  assert.deepEqual([of('job').used, of('job').late], [1, 4]);
  plans.opened(fileAt('shard.tar'), false);
  assert.equal(of('job').used, 1, 'to open it says nothing of its parts');
  plans.opened(fileAt('shard.tar'), true);
  assert.equal(of('job').used, 2, 'but where its reads are hidden');
  plans.stop();
});

test('where the kernel opens files by itself, the first read stands for it', () => {
  const { asked, plans, announce, of } = setUp({ withoutOpen: true });
  announce(lines(names(3)));
  asked.bring(1);
  plans.read(fileAt('train/0.jpg'), 0, 1000);
  assert.equal(of('plan-1').used, 1);
  plans.stop();
});

test('numbers name the lines of a listing, which stays for the next epoch', () => {
  const { asked, plans, announce, of, open } = setUp();
  announce(`#ml-overlay-listing 1 name=set\n${lines(names(5))}`);
  announce('#ml-overlay-plan 1 name=epoch listing=set mode=replace\n4\n0\n2\t10\t20\n5\nx\n');
  assert.deepEqual(asked.bring(), ['train/4.jpg', 'train/0.jpg', 'train/2.jpg']);
  assert.equal(of('epoch').malformed, 2);
  assert.match(of('epoch').trouble, /has no line 5/);
  open('train/4.jpg');
  announce('#ml-overlay-plan 1 name=epoch listing=set mode=replace\n1\n3\n');
  assert.deepEqual(asked.bring(), ['train/1.jpg', 'train/3.jpg']);
  assert.equal(announce('#ml-overlay-plan 1 name=other listing=none\n1\n'), -Errno.EINVAL);
  plans.stop();
});

test('replaced, withdrawn and side by side', () => {
  const { asked, plans, announce, of } = setUp();
  announce(`#ml-overlay-plan 1 name=a\n${lines(names(5))}`);
  announce(`#ml-overlay-plan 1 name=b\n${lines(names(5, 100))}`);
  assert.equal(asked.orders.size, 2);
  announce('#ml-overlay-plan 1 name=a mode=replace\nonly\n');
  assert.equal(of('a').items, 1);
  assert.ok(plans.withdraw('b'));
  assert.ok(!plans.withdraw('b'));
  assert.deepEqual(asked.bring(), ['only']);
  announce('#ml-overlay-withdraw 1 name=a\n');
  assert.equal(asked.orders.size, 0);
  plans.stop();
});

test('what was read, and is not to be read again, may go for what will be', () => {
  const { plans, announce, open, asked, spent } = setUp();
  announce(lines(['a', 'b', 'a']));
  asked.bring();
  open('a');
  assert.equal(spent.bytes, 0, 'it comes once more');
  open('b');
  assert.equal(spent.bytes, 1000);
  open('a');
  assert.equal(spent.bytes, 2000);
  plans.withdraw('plan-1');
  assert.equal(spent.bytes, 0, 'the next epoch reads it again');
  plans.stop();
});

test('what one plan is done with does not go while another has it still to come', () => {
  const { plans, announce, open, spent } = setUp();
  announce(`#ml-overlay-plan 1 name=one\n${lines(['a', 'b'])}`);
  announce(`#ml-overlay-plan 1 name=two\n${lines(['a', 'c', 'a'])}`);
  open('a');
  assert.equal(spent.bytes, 0);
  open('b');
  assert.equal(spent.bytes, 1000);
  open('a');
  assert.equal(spent.bytes, 2000);
  plans.stop();
});

test('where a job goes by its plan nothing is to be guessed, as long as it does', () => {
  const { plans, announce, open, asked, clock } = setUp();
  announce(lines(names(10)));
  assert.ok(!plans.isFollowedIn('train'), 'nobody reads it');
  asked.bring(3);
  open('train/0.jpg');
  assert.ok(plans.isFollowedIn('train') && plans.isFollowedIn(''));
  assert.ok(!plans.isFollowedIn('tra') && !plans.isFollowedIn('other'));
  clock.ms += 11_000;
  assert.ok(!plans.isFollowedIn('train'));
  open('train/1.jpg');
  assert.ok(plans.isFollowedIn('train'));
  asked.bring();
  assert.ok(!plans.isFollowedIn('train'), 'it has no more to say');
  plans.stop();
});

test('names of nothing, and what cannot be brought, are counted, and hold up nothing', () => {
  const { asked, plans, announce, of } = setUp();
  announce(lines(['gone', 'directory', 'bad', 'there']));
  asked.outcome = ({ file }) =>
    file === 'gone' ? -Errno.ENOENT : file === 'directory' ? -Errno.EISDIR : file === 'bad' ? -Errno.EIO : 1000;
  assert.equal(asked.bring().length, 4);
  const { missing, failed } = of('plan-1');
  assert.deepEqual([missing, failed], [2, 1]);
  plans.stop();
});

test('what the scheduler gave up is given again', () => {
  const { asked, plans, announce } = setUp();
  announce(lines(names(2)));
  const first = asked.only.next()!;
  asked.only.settled(first, -Errno.ECANCELED);
  assert.deepEqual(asked.bring(), names(2));
  plans.stop();
});

test('lines that say nothing are counted, and the others count', () => {
  const { asked, plans, announce, of } = setUp();
  const bad = ['a\tx\t1', 'a\t1', 'a\t1\t2\t3', '../a', '/etc/passwd', '.', 'a\t9007199254740991\t9007199254740991'];
  announce(lines([...bad, 'a'.repeat(5000), 'b\0c', '', '# no line', './good//file/', '/mnt/ml/whole']));
  assert.deepEqual(asked.bring(), ['good/file', 'whole']);
  assert.equal(of('plan-1').malformed, bad.length + 2);
  assert.match(of('plan-1').trouble, /offset/);
  plans.stop();
});

test('a first line that cannot be understood is EINVAL, and says why', () => {
  const { plans } = setUp();
  for (const header of [
    '#ml-overlay-plan 2',
    '#ml-overlay-plan',
    '#ml-overlay-what 1',
    '#ml-overlay-plan 1 name=a/b',
    '#ml-overlay-listing 1',
  ]) {
    const { taken, trouble } = plans.announce(Buffer.from(`${header}\nfile\n`));
    assert.equal(taken, -Errno.EINVAL, header);
    assert.ok(trouble !== undefined && trouble.length > 10, String(trouble));
  }
  assert.deepEqual(plans.snapshot().plans, []);
  plans.stop();
});

test('headers and lines come in any pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 })), (cuts) => {
      const { asked, plans } = setUp();
      const text = Buffer.from(`#ml-overlay-plan 1 name=job encoding=percent\n${lines(names(5))}a%09b%0Ac\nlast`);
      const announcement = plans.announcement();
      let at = 0;
      for (const cut of [...cuts, text.length]) {
        const piece = text.subarray(at, at + cut);
        assert.equal(announcement.write(piece), piece.length);
        at += piece.length;
      }
      announcement.end();
      assert.deepEqual(asked.bring(), [...names(5), 'a\tb\nc', 'last']);
      plans.stop();
    }),
  );
});

test('a header says what was put into it', () => {
  for (const header of [
    { verb: 'plan', name: 'a.b-c_1', mode: 'replace', listing: 'l', percent: true },
    { verb: 'listing', name: 'x', mode: 'append', percent: false },
    { verb: 'withdraw', name: 'x', mode: 'append', percent: false },
  ] as const) {
    assert.deepEqual(parseHeader(headerLine(header).trimEnd()), header);
  }
});

test('no line does harm', () => {
  const line: Line = { path: '', offset: 0, length: 0 };
  fc.assert(
    fc.property(fc.uint8Array(), fc.boolean(), (bytes, percent) => {
      const why = readLine(Buffer.from(bytes).toString('latin1'), percent, '/mnt/ml', line);
      if (why !== 0) return;
      assert.ok(line.path.length > 0 && !line.path.startsWith('/'), line.path);
      assert.ok(!line.path.split('/').some((name) => name === '' || name === '.' || name === '..'), line.path);
    }),
  );
});

test('an item and its path take some 90 bytes, which come back as the job reads', () => {
  const { asked, plans, announce, open } = setUp();
  const path = (i: number): string =>
    `train/n${String(i % 1000).padStart(8, '0')}/n${String(i % 1000).padStart(8, '0')}_${i}.JPEG`;
  const [count, each] = [200_000, 1000];
  for (let from = 0; from < count; from += each) {
    const text = lines(Array.from({ length: each }, (_, i) => path(from + i)));
    assert.equal(announce(`#ml-overlay-plan 1 name=all\n${text}`), text.length + 28, `${from}`);
  }
  const { bytes } = plans.snapshot();
  assert.ok(bytes < 100 * count, `${bytes / count} bytes each`);
  asked.bring();
  for (let i = 0; i < count; i++) open(path(i));
  assert.equal(asked.bring().length, 0);
  const left = plans.snapshot();
  assert.equal(left.plans[0]!.used + left.plans[0]!.late, count);
  assert.ok(left.bytes < 5 * MIB, `${left.bytes / MIB} MiB are left`);
  plans.stop();
});

test('whole lines at once are taken up to the end of one', () => {
  const { plans, asked } = setUp({ bytesMost: 2 * MIB });
  const text = Buffer.from(lines(names(10_000)));
  const { taken } = plans.announce(text);
  assert.ok(taken > 30_000 && taken <= 32_768 && text[taken - 1] === 10, `${taken}`);
  asked.bring(1);
  assert.equal(plans.snapshot().plans[0]!.items, text.toString('latin1', 0, taken).split('\n').length - 1);
  for (let at = 0, name = 0; name < 100; name++)
    at = plans.announce(Buffer.from(`#ml-overlay-plan 1 name=b\n${lines(names(2000, 2000 * name))}`)).taken || at;
  assert.equal(plans.announce(Buffer.from('#ml-overlay-plan 1 name=b\na\n')).taken, -Errno.ENOSPC);
  plans.stop();
});

test('beyond the bound no more is taken, until the job has read; others still find room', () => {
  const { plans, announce, open, of } = setUp({ bytesMost: 4 * MIB });
  const announceTo = (name: string, from: number): number =>
    announce(`#ml-overlay-plan 1 name=${name}\n${lines(names(1000, from))}`);
  let announced = 0;
  let taken = 0;
  for (; taken >= 0 && announced < 200_000; announced += 1000) taken = announceTo('huge', announced);
  assert.equal(taken, -Errno.ENOSPC);
  assert.ok(plans.snapshot().bytes < 3 * MIB);
  assert.ok(announceTo('small', 0) > 0, 'half of it is for others');
  for (const path of names(of('huge').items)) open(path);
  assert.ok(announceTo('huge', announced) > 0);
  plans.stop();
});

test('there are no more than so many plans', () => {
  const { plans, announce, open } = setUp();
  for (let i = 0; i < PLANS_MOST; i++) assert.ok(announce(`#ml-overlay-plan 1 name=p${i}\na\n`) > 0);
  assert.equal(announce('#ml-overlay-plan 1 name=more\na\n'), -Errno.EINVAL);
  assert.ok(announce('#ml-overlay-plan 1 name=p0 mode=replace\nb\n') > 0);
  open('b');
  assert.ok(announce('#ml-overlay-plan 1 name=more\na\n') > 0, 'one that came to its end makes way');
  plans.stop();
});

test('plans that nobody reads are forgotten, and their listings', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { plans, announce, open, asked, clock } = setUp({ idleMs: 60_000 });
  announce('#ml-overlay-listing 1 name=set\na\nb\n');
  announce('#ml-overlay-plan 1 name=idle listing=set\n0\n');
  announce(`#ml-overlay-plan 1 name=read\n${lines(names(10))}`);
  for (let i = 0; i < 10; i++) {
    clock.ms += 15_000;
    open(`train/${i}.jpg`);
    t.mock.timers.tick(15_000);
  }
  assert.deepEqual(
    plans.snapshot().plans.map(({ name }) => name),
    ['read'],
  );
  assert.deepEqual(plans.snapshot().listings, []);
  assert.equal(asked.orders.size, 1);
  clock.ms += 100_000;
  t.mock.timers.tick(15_000);
  assert.equal(asked.orders.size, 0);
  plans.stop();
});
