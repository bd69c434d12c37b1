/** `ml-overlay trace`: a known reader of a real mount, and what the trace says of it. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Classification } from '../../src/access/classify.ts';
import { Readers } from '../../src/access/data-set-readers.ts';
import { From } from '../../src/access/observer.ts';
import { Recorder } from '../../src/access/recorder.ts';
import { FakeFile, handleOf } from '../access/trace-support.ts';
import { command, type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { type Finished, finished, launch, run } from '../support/run.ts';
import { mountedAt, withWatchdog } from '../support/watchdog.ts';
import { eventually, ml, mlOk } from './support.ts';

const SECONDS = 60;
const SIZES = [1, 4096, 10_000, 100_000];
/** Its comm: what /proc says of it. */
const READER = 'trace reader';

/** Reads files whole, in the order given; a line for each tells that it is done. */
const program = `
import ctypes, os, sys
ctypes.CDLL(None).prctl(15, b"${READER}", 0, 0, 0)
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDONLY)
    while os.read(fd, 1 << 20): pass
    os.close(fd)
print(os.getpid())
`;

interface Event {
  kind: string;
  atUs: number;
  waitUs: number;
  pid: number;
  command: string;
  path: string;
  handle: number;
  size: number;
  way: string;
  keptPages: boolean;
  writes: boolean;
  before: boolean;
  offset: number;
  count: number;
  from: string;
  errno: number;
}

class Recording {
  readonly file: string;
  readonly child: ChildProcess;
  readonly ended: Promise<Finished>;

  constructor(mountpoint: string, file: string, options: readonly string[] = []) {
    this.file = file;
    this.child = launch(command, ['trace', 'record', mountpoint, file, ...options]);
    this.ended = finished(this.child, 40);
  }

  /** The daemon makes the file when it begins. */
  async begun(): Promise<this> {
    await eventually(`${this.file} is there`, () => existsSync(this.file) && statSync(this.file).size > 0);
    return this;
  }

  interrupt(): Promise<Finished> {
    this.child.kill('SIGINT');
    return this.ended;
  }
}

async function eventsOf(file: string, options: readonly string[] = []): Promise<Event[]> {
  const text = await mlOk(['trace', 'show', file, '--json', ...options]);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Event);
}

async function recorded(mountpoint: string, events: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { trace } = JSON.parse(await mlOk(['stats', mountpoint, '--json']));
    if (trace.events >= events) return;
    await sleep(20);
  }
  assert.fail(`fewer than ${events} events`);
}

async function readWhole(paths: readonly string[]): Promise<number> {
  const { status, stdout, stderr } = await run('python3', ['-c', program, ...paths], { seconds: 30 });
  assert.equal(status, 0, stderr);
  return Number(stdout);
}

describe('with a mount', { skip: noMounts }, () => {
  let source: string;
  let place: string;
  let live: Mounted;
  const names: string[] = [];

  before(async () => {
    source = temporaryDirectory('source');
    place = temporaryDirectory('traces');
    for (let label = 0; label < 3; label++) {
      mkdirSync(join(source, `train/c${label}`), { recursive: true });
      for (const [i, size] of SIZES.entries()) {
        const name = `train/c${label}/${i}.jpg`;
        writeFileSync(join(source, name), Buffer.alloc(size, label + 1));
        names.push(name);
      }
    }
    writeFileSync(join(source, 'shard.tar'), Buffer.alloc(8 << 20));
    writeFileSync(join(source, 'other'), 'x');
    const options = ['--cache', 'none', '-o', 'disable=passthrough,sample-opens=off']; // samples read otherwise
    live = await mountOverlay({ source, options });
  });

  after(async () => {
    if (live && mountedAt(live.mountpoint) !== undefined) await live.unmount();
  });

  const sizeOf = (name: string): number => statSync(join(source, name)).size;

  const tracing = (name: string, body: (mounted: Mounted) => Promise<void>): void => {
    test(name, () => withWatchdog(live, SECONDS, () => body(live)));
  };

  tracing('a known reader: the trace says exactly what it did', async ({ mountpoint }) => {
    const recording = await new Recording(mountpoint, join(place, 'known.trace')).begun();
    const order = [...names].reverse();
    const paths = order.map((name) => join(mountpoint, name));
    const first = await readWhole(paths);
    const second = await readWhole(paths); // from the pages that were kept
    await recorded(mountpoint, names.length * 5); // the last closes come after the reader has ended
    const { status, stdout } = await recording.interrupt();
    assert.equal(status, 0);
    const events = await eventsOf(recording.file, ['--path', 'train/**']);
    const of = (kind: string, pid?: number): Event[] =>
      events.filter((event) => event.kind === kind && (pid === undefined || event.pid === pid));

    for (const pid of [first, second]) {
      const opens = of('open', pid);
      assert.deepEqual(
        opens.map(({ path, size, way, writes, before: earlier, command: who }) => ({
          path,
          size,
          way,
          writes,
          earlier,
          who,
        })),
        order.map((path) => ({ path, size: sizeOf(path), way: 'source', writes: false, earlier: false, who: READER })),
      );
      // Whole files, each by one READ, unless the kernel was told to keep its pages.
      assert.deepEqual(
        of('read', pid).map(({ path, offset, count, from, errno }) => ({ path, offset, count, from, errno })),
        opens
          .filter(({ keptPages }) => !keptPages)
          .map(({ path, size }) => ({ path, offset: 0, count: size, from: 'store', errno: 0 })),
      );
    }
    assert.ok(of('open', first).every(({ keptPages }) => !keptPages));
    assert.ok(of('open', second).every(({ keptPages }) => keptPages));
    assert.deepEqual(
      of('release')
        .map(({ handle }) => handle)
        .sort((a, b) => a - b),
      of('open')
        .map(({ handle }) => handle)
        .sort((a, b) => a - b),
    );
    assert.ok(of('read').every(({ waitUs }) => waitUs > 0 && waitUs < 10e6));
    assert.ok(events.every(({ atUs }, i) => i === 0 || atUs >= events[i - 1]!.atUs));

    assert.match(stdout, /known\.trace: \d+ events, [\d.]+ (KiB|B), [\d.]+ m?s\n/);
    const own = await eventsOf(recording.file, ['--process', String(second)]);
    assert.deepEqual(new Set(own.map(({ kind }) => kind)), new Set(['open', 'release']));
    const summary = JSON.parse(
      await mlOk(['trace', 'show', recording.file, '--json', '--summary', '--process', String(first)]),
    );
    const bytes = names.reduce((sum, name) => sum + sizeOf(name), 0);
    assert.deepEqual(
      [
        summary.opens,
        summary.reads,
        summary.readBytes,
        summary.files,
        summary.bytes,
        summary.opensByWay,
        summary.processes.length,
      ],
      [names.length, names.length, bytes, names.length, bytes, { source: names.length }, 1],
    );
    assert.equal(summary.mountpoint, mountpoint);
    const page = await mlOk(['trace', 'show', recording.file, '--summary']);
    assert.match(page, /opens +\d+: \d+ source; \d+ with pages kept, 0 open before/);
    assert.match(page, new RegExp(`${READER} ${first}`));
    const { dataSets } = JSON.parse(await mlOk(['trace', 'classify', recording.file, '--json'])) as Classification;
    const { length: files } = names;
    const few = { workers: null, workersConfidence: null, batchFiles: null, batchConfidence: null };
    assert.deepEqual(dataSets, [
      { path: 'train', files, bytes, opens: 2 * files, readers: 2, passes: 2, passDone: 1, repeats: null, ...few },
    ]);
    assert.match(
      await mlOk(['trace', 'classify', recording.file]),
      /\/train +12 .* 24 +2 +- +- +2 \(100 % of the last\) +-/,
    );
    assert.match(await mlOk(['trace', 'show', recording.file]), /open +train\/c2\/3\.jpg +98 KiB +source/);
    assert.equal((await eventsOf(recording.file, ['--limit', '3'])).length, 3);
    assert.deepEqual(new Set((await eventsOf(recording.file, ['--path', '3.jpg'])).map(({ path }) => path)).size, 3);
  });

  tracing('the data set it is: in stats', async ({ mountpoint }) => {
    const { dataSets, trace } = JSON.parse(await mlOk(['stats', mountpoint, '--json']));
    const [set] = dataSets as { path: string; files: number; epoch: number }[];
    assert.deepEqual([set?.path, set?.files, set?.epoch, trace], ['train', 12, 2, null]);
  });

  tracing('stats tell of a recording, and a second one is refused meanwhile', async ({ mountpoint }) => {
    const recording = await new Recording(mountpoint, join(place, 'first.trace')).begun();
    const { trace } = JSON.parse(await mlOk(['stats', mountpoint, '--json']));
    assert.equal(trace.file, recording.file);
    const refused = await ml(['trace', 'record', mountpoint, join(place, 'second.trace')]);
    assert.match(refused.stderr, /MLO_TRACE: this mount is being recorded to .*first\.trace/);
    assert.equal(refused.status, 2);
    assert.ok(!existsSync(join(place, 'second.trace')));
    await recording.interrupt();
  });

  tracing('--seconds ends it', async ({ mountpoint }) => {
    const { status, stdout } = await new Recording(mountpoint, join(place, 'timed.trace'), ['--seconds', '0.2']).ended;
    assert.equal(status, 0);
    assert.match(stdout, /timed\.trace: .*the time was over/);
    assert.deepEqual(await eventsOf(join(place, 'timed.trace')), []);
  });

  tracing('a command that was killed leaves the recording to trace stop', async ({ mountpoint }) => {
    const recording = await new Recording(mountpoint, join(place, 'orphan.trace')).begun();
    recording.child.kill('SIGKILL');
    await recording.ended;
    const pid = await readWhole([join(mountpoint, 'other')]);
    const text = await mlOk(['trace', 'stop', mountpoint]);
    assert.match(text, /orphan\.trace: \d+ events/);
    const events = await eventsOf(recording.file, ['--process', String(pid)]);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['open', 'read', 'release'],
    );
    assert.match((await ml(['trace', 'stop', mountpoint])).stderr, /MLO_TRACE: nothing is recorded/);
  });

  tracing(
    'it writes neither into the mount it is of, nor over what is no trace, nor through a link',
    async ({ mountpoint }) => {
      const inside = await ml(['trace', 'record', mountpoint, join(mountpoint, 'train/x.trace')], { seconds: 20 });
      assert.match(inside.stderr, /MLO_NESTED/);
      assert.ok(!existsSync(join(source, 'train/x.trace')));
      const precious = join(place, 'precious');
      writeFileSync(precious, 'precious');
      assert.match((await ml(['trace', 'record', mountpoint, precious])).stderr, /exists and is no trace.*--force/);
      assert.equal(readFileSync(precious, 'utf8'), 'precious');
      const link = join(place, 'link');
      symlinkSync(precious, link);
      assert.match((await ml(['trace', 'record', mountpoint, link, '--force'])).stderr, /symbolic link/);
      assert.equal(readFileSync(precious, 'utf8'), 'precious');
    },
  );

  tracing('unmounting ends it, and the file is whole', async (mounted) => {
    const recording = await new Recording(mounted.mountpoint, join(place, 'unmounted.trace')).begun();
    await readWhole(names.map((name) => join(mounted.mountpoint, name)));
    await mounted.unmount();
    const { status, stdout } = await recording.ended;
    assert.equal(status, 0, stdout);
    assert.match(stdout, /the mount has ended/);
    const summary = JSON.parse(await mlOk(['trace', 'show', recording.file, '--summary', '--json']));
    assert.deepEqual([summary.ended, summary.opens, summary.damage], ['unmounted', names.length, []]);
  });
});

test('what the kernel serves by itself is in the trace as opens', { skip: noMounts }, async () => {
  const source = temporaryDirectory('source');
  const place = temporaryDirectory('traces');
  writeFileSync(join(source, 'shard.tar'), Buffer.alloc(8 << 20));
  const live = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'sample-opens=off'] });
  await withWatchdog(live, SECONDS, async () => {
    const recording = await new Recording(live.mountpoint, join(place, 'a.trace')).begun();
    await readWhole([join(live.mountpoint, 'shard.tar')]);
    await recording.interrupt();
    const status = JSON.parse(await mlOk(['status', live.mountpoint, '--json']));
    const passes = (status.capabilities.on as string[]).includes('passthrough');
    const events = await eventsOf(recording.file, ['--path', 'shard.tar']);
    assert.equal(events[0]?.way, passes ? 'source-passthrough' : 'source');
    assert.equal(
      events.some(({ kind }) => kind === 'read'),
      !passes,
    );
  });
  await live.unmount();
});

test('without telemetry there is nothing to record', { skip: noMounts }, async () => {
  const live = await mountOverlay({
    source: temporaryDirectory('source'),
    options: ['--cache', 'none', '-o', 'telemetry=off'],
  });
  await withWatchdog(live, SECONDS, async () => {
    const { stderr, status } = await ml(['trace', 'record', live.mountpoint, join(temporaryDirectory('t'), 'x')]);
    assert.match(stderr, /MLO_TRACE: this mount sees no accesses: mount it without -o telemetry=off/);
    assert.equal(status, 2);
  });
  await live.unmount();
});

describe('without one', () => {
  let file: string;
  const NAME = 'a\x1b[31m\nb.jpg';

  before(async () => {
    file = join(temporaryDirectory('traces'), 'made.trace');
    const recorder = new Recorder({
      readers: new Readers(() => ({ pid: 7, command: 'p', job: 1 })),
      about: { mountpoint: '/m', source: '/s', version: '0' },
    });
    await recorder.start({ file });
    const handles = [NAME, 'b.jpg'].map((name) => handleOf(new FakeFile(name)));
    for (let i = 0; i < 20_000; i++) {
      const handle = handles[i % 2]!;
      const now = performance.now();
      if (i < 2) recorder.recording?.opened(handle, 7, false, now, now);
      recorder.recording?.read(handle, 7, i, 1, From.TIER, now, now);
    }
    await recorder.stop();
  });

  test('a trace that was cut is shown up to there, with what is wrong and another exit status', async () => {
    const cut = `${file}.cut`;
    writeFileSync(cut, readFileSync(file).subarray(0, -5000));
    const { status, stdout, stderr } = await ml(['trace', 'show', cut, '--json']);
    assert.equal(status, 2);
    assert.match(stderr, /^MLO_TRACE: .* is not whole: at byte \d+: it ends within a block, \d+ bytes early/);
    const whole = await eventsOf(file);
    const lines = stdout.split('\n').filter((line) => line !== '');
    assert.equal(whole.length, 20_002);
    assert.ok(lines.length > 0 && lines.length < whole.length, `${lines.length} lines`);
    assert.deepEqual(
      lines,
      whole.slice(0, lines.length).map((event) => JSON.stringify(event)),
    );
    assert.match((await ml(['trace', 'show', cut, '--summary'])).stdout, /ended: \?/);
  });

  test('names cannot steer the terminal; whoever reads only the start ends it quietly', async () => {
    const text = await mlOk(['trace', 'show', file]);
    assert.ok(!text.includes('\x1b') && text.includes('a\\x1b[31m\\x0ab.jpg'));
    assert.equal(text.trimEnd().split('\n').length, 20_002);
    const head = await run('sh', ['-c', `'${command}' trace show '${file}' | head -n 1`]);
    assert.deepEqual([head.stdout.split('\n').length, head.stderr], [2, '']);
  });

  test('what cannot be understood is said', async () => {
    for (const words of [
      ['trace'],
      ['trace', 'play'],
      ['trace', 'show'],
      ['trace', 'show', 'a', '--limit', 'x'],
      ['trace', 'record'],
    ]) {
      const { status, stderr } = await ml(words);
      assert.equal(status, 1, words.join(' '));
      assert.match(stderr, /^MLO_USAGE/);
    }
    const missing = await ml(['trace', 'show', '/nonexistent']);
    assert.match(missing.stderr, /^MLO_TRACE: cannot read/);
    assert.equal(missing.status, 2);
    assert.match(await mlOk(['help', 'trace']), /--max-size/);
  });
});
