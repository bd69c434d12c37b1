/** `ml-overlay stats`: the page, the live table, and the terminal it is drawn on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { page } from '../../src/cli/stats-page.ts';
import { comparable, frame, type Line, tick } from '../../src/cli/stats-table.ts';
import { clean, fit, milliseconds, percent, short, span, widthOf, wrap, wrapMost } from '../../src/cli/stats-text.ts';
import { painted } from '../../src/cli/stats-watch.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { command, type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, launch } from '../support/run.ts';
import { later, NOTHING_HIDDEN, processOf, sample, thousandReaders } from '../support/stats-sample.ts';
import { withWatchdog } from '../support/watchdog.ts';

const clock = '09:00:00';
const texts = (lines: readonly Line[]): string[] => lines.map(({ text }) => text);

function table(now: StatsDocument, before: StatsDocument | undefined, columns: number, rows: number): string[] {
  return texts(frame({ now, before, clock }, { columns, rows }));
}

test('the page answers where reads came from, who waited and what would help', () => {
  const text = page(sample(), Number.POSITIVE_INFINITY).join('\n');
  for (const said of [
    /^mount +\/mnt\/imagenet from \/srv\/nfs\/imagenet$/m,
    /^what helps process 4121 waited 31 % .* about 38 s instead of 55$/m,
    /waited for data about 31 % .* accelerator utilisation 69 %; .* held up 40 % of theirs \(94 % of that in first reads\)$/m,
    /from the cache: 8,900 \(89 %\), 2.5 GiB \(83 %\)/,
    /from the store: 1,100 \(11 %\), 512 MiB \(17 %\)/,
    /by the kernel itself: 420 of 2,400 opens; about 5,100 reads, 1 GiB, give or take 6.3 % \(estimated from 21 opens\)/,
    /^cache +89 % of 10,000 reads hit .*3 GiB of 100 GiB, 2,390 of 2,400 files complete; 1 damaged chunk fetched again; mix; ok$/m,
    /4,321 requests, 600 MiB, 0 failed: read 2,000, lookup 1,500, attributes 821; 200 MiB ahead of readers \(97 % read since\)$/m,
    /120 MiB resident .*9 s of CPU time \(8.9 %\); no problems/,
    /^ +4121 +python3 +4 +1,200 +5,000 +640 MiB .*31 s +31 %$/m,
    /train\/n01440764 .* 2 \(40 %\) +4 +32 \(90 %\)$/m,
    /^ +READ +10,000 +0 +4.30 ms +0.20 ms +12.0 ms +80.0 ms +400 ms$/m,
  ]) {
    assert.match(text, said);
  }
  assert.ok(text.indexOf('4121  ') < text.indexOf('4122  '), 'who waited most comes first');
});

test('the page of a mount that nobody used says so, and without a cache or telemetry makes nothing up', () => {
  const none = sample({
    stall: {
      ...sample().stall,
      share: null,
      readersShare: null,
      firstReadShare: null,
      au: null,
      estimated: false,
      sentences: [],
    },
    processes: [],
    dataSets: [],
    streams: [],
    operations: {},
  });
  none.cache = { ...none.cache, health: 'none', hitRatio: null };
  none.opens.count = none.reads.count = 0;
  Object.assign(none.reads, { fromCache: null, fromStore: null, waitSeconds: null });
  none.reads.hidden = {
    opens: 0,
    reads: null,
    readsError: null,
    bytes: null,
    bytesError: null,
    sampledOpens: 0,
    byWay: NOTHING_HIDDEN,
  };
  const text = page(none, 80).join('\n');
  assert.match(text, /^waiting +nobody has read yet$/m);
  assert.match(text, /^cache +none$/m);
  assert.doesNotMatch(text, /NaN|null|undefined|Infinity|from the cache/);
});

test('lines are never wider than the screen, nor more than it has', () => {
  const long = sample({
    mountpoint: `/mnt/${'m'.repeat(300)}`,
    processes: [processOf(1, { command: 'x'.repeat(300) }), processOf(null, { command: '数据加载器'.repeat(9) })],
  });
  const many = thousandReaders();
  for (const stats of [sample(), long, many]) {
    for (const columns of [20, 40, 80, 81, 100, 200]) {
      for (const line of page(stats, columns)) assert.ok(widthOf(line) <= columns, line);
      for (const rows of [1, 5, 10, 24, 50]) {
        const lines = table(later(stats, 1, 1.1), stats, columns, rows);
        assert.ok(lines.length <= rows);
        for (const line of lines) assert.ok(widthOf(line) <= columns, `${columns}: ${line}`);
      }
    }
  }
});

test('the table shows what happened between two documents', () => {
  const [first, second] = [sample(), later(sample(), 2, 1.1)];
  const text = table(second, first, 80, 24).join('\n');
  assert.match(text, /^reads +500\/s +154 MiB\/s +from the cache 89 %/m, '1,000 reads in 2 s');
  assert.match(text, /^store +216\/s +30 MiB\/s +no errors +names known 98 % in all$/m);
  assert.match(text, /^waiting +2.2 threads at a time now; the job waited for data about 31 %/m);
  assert.match(text, /^ +4121 +python3 +60 +250 +32 MiB +39 % +31 %$/m, '3.1 s of 2 s times 4 threads');
  assert.match(text, /^ +4122 .* ~12 %$/m, 'an estimate is marked');
  assert.match(text, /^READ +500 +4.30 ms +0.20 ms +80.0 ms/m);
  assert.match(table(second, first, 200, 50).join('\n'), /THREADS .* WAITED/, 'a wide screen shows more');
});

test('what a small screen has no room for goes clause by clause, and what would help is whole', () => {
  const stats = later(sample(), 2, 1.1);
  stats.cache.evictions += 30;
  stats.stall.sentences = [
    '509 processes waited 58 % of the last epoch for data; 29 % of it in first reads of files; with the data set cached the epoch would take about 15 s instead of 37',
  ];
  const text = table(stats, sample(), 80, 24).join('\n');
  assert.match(text, /^waiting .*\n +time; accelerator utilisation 69 %$/m);
  assert.match(text, /^> 509 processes (.*\n){2} {2}instead of 37$/m);
  assert.match(text, /^cache .* evicts 15\/s$/m);
  assert.match(page(stats, 80).join('\n'), /^names +98 % of .* look-ups answered from what was known; .* asked for\n/m);
  assert.deepEqual(wrapMost('one two; three four; five', 12, 1), ['one two']);
  assert.deepEqual(wrapMost('one two three', 8, 1), ['one t...']);
});

test('the first table has no rates, and one without traffic shows zeros', () => {
  const first = table(sample(), undefined, 80, 24).join('\n');
  assert.match(first, /^reads +- +- +from the cache -/m);
  assert.match(table(later(sample(), 1, 1), sample(), 80, 24).join('\n'), /^reads +0\/s +0 B\/s +from the cache -/m);
  assert.doesNotMatch(first, /NaN|null|undefined|Infinity/);
});

test('of a thousand readers those that wait now come first, and how many more there are is said', () => {
  const first = thousandReaders();
  const second = later(first, 1, 1);
  second.processes[500]!.waitSeconds += 0.3; // others waited longer in all, but not now
  const lines = table(second, first, 80, 24);
  const heading = lines.findIndex((line) => /PID +COMMAND/.test(line));
  assert.match(lines[heading + 1] ?? '', /^ +10500 /);
  assert.match(lines[heading + 2] ?? '', /^ +10999 /);
  const shown = lines.filter((line) => / python3 /.test(line)).length;
  assert.ok(shown >= 4, `${shown} readers shown`);
  assert.ok(lines.includes(`  and ${1000 - shown} more`), lines.join('\n'));
  assert.ok(
    lines.some((line) => /^READ /.test(line)),
    'and there is room for what is below',
  );
  assert.match(page(first, 80).join('\n'), /and 990 more: ml-overlay stats/);
});

test('rates are taken within one run of one daemon only', () => {
  const other = later(sample(), 5, 1);
  other.daemon.pid++;
  assert.ok(comparable(later(sample(), 5, 1), sample()));
  assert.ok(!comparable(other, sample()));
  assert.ok(!comparable(sample(), later(sample(), 5, 1)));
  assert.ok(!comparable(sample(), undefined));
});

test('what a daemon that died leaves is marked as old', () => {
  const lines = frame(
    { now: sample(), before: undefined, clock, trouble: 'NO ANSWER for 3 s' },
    { columns: 80, rows: 24 },
  );
  assert.deepEqual(lines[1], { text: 'NO ANSWER for 3 s', look: 'alarm' });
});

test('names cannot command the terminal', () => {
  const evil = '\x1b]0;owned\x07\x9b2J\u202egnp.exe\n';
  const stats = sample({ processes: [processOf(7, { command: evil })], mountpoint: evil });
  stats.stall.sentences = [evil];
  stats.dataSets[0]!.path = evil;
  for (const line of [...page(stats, 200), ...table(stats, undefined, 200, 50)]) {
    assert.doesNotMatch(line, /[\p{Cc}\u202e]/u);
  }
  assert.equal(clean('plain ü 数'), 'plain ü 数');
});

test('a frame goes home, overwrites each line and clears the rest; it never clears the screen', () => {
  const drawn = painted(frame({ now: sample(), before: undefined, clock }, { columns: 80, rows: 24 }));
  assert.ok(drawn.startsWith('\x1b[H'));
  assert.ok(drawn.endsWith('\x1b[0m\x1b[J'));
  assert.ok(!drawn.includes('\x1b[2J') && !drawn.includes('\x1bc'));
  const lines = drawn.slice(0, -'\x1b[0m\x1b[J'.length).split('\r\n');
  assert.ok(lines.length <= 24 && lines.every((line) => line.endsWith('\x1b[K')));
});

test('one line a tick for those who have no terminal', () => {
  const line = tick({ now: later(sample(), 2, 1.1), before: sample(), clock });
  assert.match(
    line,
    /^09:00:00 {2}reads 500\/s 154 MiB\/s {2}cache 89 % {2}store 216\/s .* waiting 2.2 {2}stalled 31 %/,
  );
  assert.match(tick({ now: sample(), before: undefined, clock }), /10,000 reads so far/);
});

test('numbers as people read them', () => {
  assert.deepEqual([null, 0, 0.0042, 0.31, 1].map(percent), ['-', '0 %', '0.4 %', '31 %', '100 %']);
  assert.deepEqual([0, 0.25, 870, 9999, 12_345, 999_999, 5e6].map(short), [
    '0',
    '0.3',
    '870',
    '9999',
    '12.3k',
    '1.0M',
    '5.0M',
  ]);
  assert.deepEqual([null, 0.014, 0.5, 12, 400, 1500].map(milliseconds), [
    '-',
    '14 us',
    '0.50 ms',
    '12.0 ms',
    '400 ms',
    '1.5 s',
  ]);
  assert.deepEqual([0, 0.012, 2.34, 45, 200, 7500, 273_600].map(span), [
    '0 s',
    '12.0 ms',
    '2.3 s',
    '45 s',
    '3 min 20 s',
    '2 h 5 min',
    '3 d 4 h',
  ]);
  assert.equal(fit('/a/long/path', 8, 'start'), '.../path');
  assert.equal(fit('数据加载', 6), '数...');
  assert.deepEqual(wrap('one two three', 8), ['one two', 'three']);
});

describe('of a mount', { skip: noMounts }, () => {
  let mount: Mounted;
  before(async () => {
    const source = temporaryDirectory('source');
    for (let at = 0; at < 20; at++) writeFileSync(join(source, `file-${at}`), 'x'.repeat(5000));
    mount = await mountOverlay({ source, options: ['--cache', 'none'] });
  });
  after(() => mount.unmount());

  test('page, document, and what is wrong usage', async () => {
    await withWatchdog(mount, 60, async () => {
      assert.equal((await finished(launch('/bin/sh', ['-c', `cat ${mount.mountpoint}/file-*`]), 10)).status, 0);
      const text = await mount.command(['stats', mount.mountpoint], 20);
      assert.equal(text.status, 0, text.stderr);
      assert.match(text.stdout, /^opens +20: 20 source$/m);
      assert.match(text.stdout, /^ +OPEN +20 /m);
      const document = JSON.parse((await mount.command(['stats', mount.mountpoint, '--json'], 20)).stdout);
      assert.equal(document.opens.count, 20);
      assert.equal(document.cache.hitRatio, null);
      for (const words of [['stats'], ['stats', mount.mountpoint, '--watch=0'], ['stats', mount.mountpoint, 'x']]) {
        const refused = await mount.command(words, 20);
        assert.equal(refused.status, 1);
        assert.match(refused.stderr, /^MLO_USAGE: /);
      }
    });
  });

  test('--watch into a pipe is a line a tick, with --json a document, and ends when nobody reads', async () => {
    await withWatchdog(mount, 60, async () => {
      const words = ['-c', '"$0" stats "$1" --watch 0.2 $2 | head -n 3', command, mount.mountpoint];
      const plain = await finished(launch('/bin/sh', words), 20);
      assert.equal(plain.status, 0, plain.stderr);
      assert.match(plain.stdout, /^\S+ {2}\d+ reads so far.*\n\S+ {2}reads \d.*\n\S+ {2}reads \d.*\n$/);
      const json = await finished(launch('/bin/sh', [...words, '--json']), 20);
      const documents = json.stdout.trimEnd().split('\n');
      assert.equal(documents.length, 3, json.stderr);
      for (const each of documents) assert.equal(JSON.parse(each).schema, 1);
    });
  });
});

/** When a process is stopped. */
async function stopped(pid: number, seconds = 20): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; ; await sleep(20)) {
    if (/^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return;
    assert.ok(Date.now() < deadline, `${pid} is not stopped`);
  }
}

/** A terminal of a given size, of a tmux of this test's own. */
class Terminal {
  readonly #socket: string;

  constructor(words: string, columns: number, rows: number) {
    this.#socket = `mlo-test-${process.pid}-${columns}`;
    const shell = `${words}; echo "ended with $?"; exec sleep 60`;
    this.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', String(columns), '-y', String(rows), shell);
  }

  #tmux(...words: string[]): string {
    const { status, stdout, stderr } = spawnSync('tmux', ['-L', this.#socket, ...words], { encoding: 'utf8' });
    assert.equal(status, 0, `tmux ${words.join(' ')}: ${stderr}`);
    return stdout;
  }

  screen(): string {
    return this.#tmux('capture-pane', '-p');
  }

  /** "alternate screen, cursor", as flags. */
  modes(): string {
    return this.#tmux('display-message', '-p', '#{alternate_on} #{cursor_flag} #{wrap_flag}').trim();
  }

  async becomes(modes: string, seconds = 20): Promise<void> {
    for (const deadline = Date.now() + seconds * 1000; this.modes() !== modes; await sleep(50)) {
      assert.ok(Date.now() < deadline, `the terminal's modes are ${this.modes()}, not ${modes}`);
    }
  }

  /** The process id of what the shell runs. */
  program(): number {
    const shell = this.#tmux('display-message', '-p', '#{pane_pid}').trim();
    return Number(readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').trim().split(' ')[0]);
  }

  type(keys: string): void {
    this.#tmux('send-keys', keys);
  }

  resize(columns: number, rows: number): void {
    this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  async shows(pattern: RegExp, seconds = 20): Promise<string> {
    for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await sleep(50)) {
      const screen = this.screen();
      if (pattern.test(screen)) return screen;
    }
    assert.fail(`the screen does not show ${pattern}:\n${this.screen()}`);
  }

  close(): void {
    spawnSync('tmux', ['-L', this.#socket, 'kill-server']);
  }
}

const noTerminal = noMounts || (spawnSync('tmux', ['-V']).error === undefined ? false : 'no tmux');

describe('on a terminal', { skip: noTerminal }, () => {
  for (const [columns, rows] of [
    [80, 24],
    [200, 50],
  ] as const) {
    test(`of ${columns} columns: no traffic, traffic, another size, a dead daemon, and its end`, async () => {
      const source = temporaryDirectory('source');
      writeFileSync(join(source, 'file'), 'x'.repeat(5000));
      const mount = await mountOverlay({ source, options: ['--cache', 'none'] });
      const terminal = new Terminal(`${command} stats ${mount.mountpoint} --watch 0.2`, columns, rows);
      try {
        await withWatchdog(mount, 90, async () => {
          const quiet = await terminal.shows(/^reads +0\/s +0 B\/s/m);
          assert.match(quiet, /up \d+(\.\d)? s {2}\d\d:\d\d:\d\d$/m, 'to the last column');
          assert.equal(terminal.modes(), '1 0 0', 'the alternate screen, no cursor, no wrapping');
          const reader = launch('/bin/sh', ['-c', `while :; do cat ${mount.mountpoint}/file >/dev/null; done`]);
          await terminal.shows(/^opens +[1-9]\d*\/s/m);
          reader.kill('SIGKILL');
          terminal.resize(60, 12);
          await terminal.shows(/^.{40,60}\d\d:\d\d:\d\d\n/);
          for (const pid of mount.daemons()) process.kill(pid, 'SIGKILL');
          await terminal.shows(/NO ANSWER for/);
          terminal.type('q');
          await terminal.shows(/^ended with 0$/m);
          assert.equal(terminal.modes(), '0 1 1', 'as it was');
        });
      } finally {
        terminal.close();
        mount.abort();
      }
    });
  }

  test('a signal that ends it puts the terminal back; Ctrl-Z does for as long as it is stopped', async () => {
    const mount = await mountOverlay({ source: temporaryDirectory('source'), options: ['--cache', 'none'] });
    await withWatchdog(mount, 90, async () => {
      for (const [at, signal] of (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).entries()) {
        const terminal = new Terminal(`${command} stats ${mount.mountpoint} --watch`, 80 + at, 24);
        try {
          await terminal.shows(/^reads /m);
          if (signal === 'SIGINT') {
            terminal.type('C-z');
            await terminal.becomes('0 1 1');
            await stopped(terminal.program()); // a moment later
            process.kill(terminal.program(), 'SIGCONT');
            await terminal.becomes('1 0 0');
            await terminal.shows(/^reads /m);
          }
          process.kill(terminal.program(), signal);
          await terminal.shows(/^ended with 0$/m);
          assert.equal(terminal.modes(), '0 1 1', signal);
        } finally {
          terminal.close();
        }
      }
    });
    await mount.unmount();
  });
});
