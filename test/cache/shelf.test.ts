/** What is kept of names from mount to mount: that it is what was put there, or nothing. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import type { Shelf } from '../../src/cache/shelf.ts';
import { ShelfDatabase, type ShelfOptions } from '../../src/cache/shelf-db.ts';
import { type Log, silentLog } from '../../src/telemetry/log.ts';
import { temporaryDirectory } from './support.ts';

const ROUNDS = Number(process.env.MLO_DAMAGE_ROUNDS ?? 12);

function place(): string {
  return path.join(temporaryDirectory(), 'names.sqlite');
}

function open(file: string, options: Partial<ShelfOptions> = {}): ShelfDatabase {
  const defaults = { identity: 'a source', limitBytes: 2 ** 24, writable: true, bootId: 'this boot', log: silentLog };
  return ShelfDatabase.open({ path: file, ...defaults, ...options });
}

/** The parts of a directory, which its number says. */
function partsOf(number: number): Buffer[] {
  return Array.from({ length: 1 + (number % 3) }, (_, part) => Buffer.alloc(300 + number, `${number}.${part} `));
}

function put(shelf: Shelf, number: number, name = `d/${number}`): void {
  const parts = partsOf(number);
  const head = { path: name, file: String(number), birth: 'b', version: 'v', entries: 3, complete: 1 } as const;
  const draft = shelf.draft(head, parts[0]!.length * parts.length);
  for (const part of parts) draft?.part(part);
  draft?.end();
}

/** 'right', or undefined when it knows nothing of it. Anything else fails. */
function look(shelf: Shelf, number: number, name = `d/${number}`): 'right' | undefined {
  const row = shelf.find(name);
  if (row === undefined) return undefined;
  const { file, birth, version, entries, parts } = row;
  const expected = partsOf(number);
  assert.deepEqual(
    { file, birth, version, entries, parts },
    { file: String(number), birth: 'b', version: 'v', entries: 3, parts: expected.length },
  );
  for (const [at, bytes] of expected.entries()) {
    const found = shelf.part(row, at);
    if (found === undefined) return undefined;
    assert.ok(bytes.equals(found), `part ${at} of ${number}`);
  }
  return 'right';
}

class Lines {
  readonly lines: string[] = [];
  readonly log: Log = {
    ...silentLog,
    warn: (_, text) => this.lines.push(text ?? ''),
    error: (_, text) => this.lines.push(text ?? ''),
  } as Log;
}

test('what was put there is there for the next mount', () => {
  const file = place();
  const first = open(file);
  for (let i = 0; i < 20; i++) put(first, i);
  assert.equal(look(first, 3), 'right');
  first.close();
  const second = open(file);
  for (let i = 0; i < 20; i++) assert.equal(look(second, i), 'right');
  assert.equal(look(second, 20), undefined);
  assert.deepEqual(second.recent(9), ['d/0', 'd/1', 'd/2']);
  assert.equal(second.snapshot().directories, 20);
  put(second, 21, 'd/3'); // in the place of what was there
  assert.equal(look(second, 21, 'd/3'), 'right');
  second.forget();
  assert.equal(look(second, 1), undefined);
  assert.equal(second.snapshot().bytes, 0);
  second.close();
});

test('a directory that was not put there to its end is not there, and leaves nothing', () => {
  const file = place();
  const first = open(file);
  put(first, 1);
  const head = { path: 'd/2', file: '2', birth: 'b', version: 'v', entries: 3, complete: 1 } as const;
  const draft = first.draft(head, 1000);
  draft?.part(Buffer.alloc(100));
  // As after kill -9: nothing is closed.
  const second = open(file);
  assert.equal(look(second, 2), undefined);
  assert.equal(look(second, 1), 'right');
  second.close();
  const db = new DatabaseSync(file);
  const { left } = db
    .prepare('SELECT count(*) AS left FROM parts WHERE directory NOT IN (SELECT id FROM directories)')
    .get()!;
  assert.equal(left, 0);
  db.close();
});

test('what was changed is not believed by the next mount, also after kill -9, until it is learned anew', () => {
  const file = place();
  const first = open(file);
  for (let i = 0; i < 5; i++) put(first, i);
  first.close();
  const second = open(file);
  second.changed('3');
  put(second, 3); // learned by the mount that changes it: who knows what it is by the end
  const third = open(file);
  assert.equal(look(third, 3), undefined);
  assert.equal(look(third, 2), 'right');
  assert.ok(!third.holds('3', third.find('d/2')!.generation), 'nor what other directories say of it');
  put(third, 3);
  third.close();
  const fourth = open(file);
  assert.equal(look(fourth, 3), 'right');
  fourth.close();
});

test('after the machine has stopped while something could be changed, nothing is believed', () => {
  for (const [writable, closed, expected] of [
    [true, false, undefined],
    [true, true, 'right'],
    [false, false, 'right'],
  ] as const) {
    const file = place();
    const first = open(file, { writable });
    put(first, 1);
    if (closed) first.close();
    const said = new Lines();
    const after = open(file, { bootId: 'another', log: said.log });
    assert.equal(look(after, 1), expected, `writable ${writable}, closed ${closed}`);
    assert.equal(said.lines.length, expected === undefined ? 1 : 0);
    after.close();
  }
});

const unusable: Record<string, (file: string) => void> = {
  'of another source': (file) => edit(file, (state) => Object.assign(state, { identity: 'b source' })),
  'of a newer version': (file) => edit(file, (state) => Object.assign(state, { schema: 1000 })),
  'no database': (file) => fs.writeFileSync(file, 'these are not the names'),
  empty: (file) => fs.truncateSync(file, 0),
  'cut short': (file) => fs.truncateSync(file, 5000),
  'of other tables': (file) => {
    fs.rmSync(file);
    const db = new DatabaseSync(file);
    db.exec('CREATE TABLE state (something TEXT); CREATE TABLE directories (else_ TEXT)');
    db.close();
  },
};

/** Changes the state, and seals it again. */
function edit(file: string, change: (state: object) => object): void {
  const db = new DatabaseSync(file);
  const { words } = db.prepare('SELECT words FROM state').get()!;
  const changed = JSON.stringify(change(JSON.parse(String(words)) as object));
  db.prepare('UPDATE state SET words = ?, seal = ?').run(changed, crc32(changed));
  db.close();
}

for (const [what, spoil] of Object.entries(unusable)) {
  test(`a shelf that is ${what} is begun anew, with at most one line in the log`, () => {
    const file = place();
    const first = open(file);
    put(first, 1);
    first.close();
    spoil(file);
    const said = new Lines();
    const shelf = open(file, { log: said.log });
    assert.equal(look(shelf, 1), undefined);
    put(shelf, 2);
    shelf.close();
    assert.ok(said.lines.length <= 1, said.lines.join('; '));
    const again = open(file, { log: said.log });
    assert.equal(look(again, 2), 'right');
    again.close();
  });
}

test('within its size, what was not used for longest goes, and what this mount uses stays', () => {
  const file = place();
  const limitBytes = 20_000;
  const first = open(file, { limitBytes });
  for (let i = 0; i < 20; i++) put(first, i);
  first.close();
  const second = open(file, { limitBytes });
  for (let i = 10; i < 20; i++) assert.equal(look(second, i), 'right');
  second.close();
  const third = open(file, { limitBytes });
  for (let i = 15; i < 20; i++) assert.equal(look(third, i), 'right');
  for (let i = 100; i < 200; i++) put(third, i);
  assert.ok(third.snapshot().bytes <= limitBytes);
  assert.ok(third.snapshot().bytes > limitBytes / 2);
  assert.equal(look(third, 1), undefined);
  for (let i = 15; i < 20; i++) assert.equal(look(third, i), 'right');
  third.close();
});

test('a shelf whose disk is gone keeps nothing, and says so once', () => {
  const file = place();
  const said = new Lines();
  const shelf = open(file, { log: said.log });
  put(shelf, 1);
  const other = new DatabaseSync(file);
  other.exec('DROP TABLE parts; DROP TABLE changes');
  other.close();
  shelf.changed('1');
  assert.equal(look(shelf, 1), undefined);
  put(shelf, 2);
  shelf.changed('2');
  shelf.close();
  assert.equal(said.lines.length, 1);
  assert.ok(!fs.existsSync(file), 'nothing that the next mount could believe');
});

test('damage at random: what it tells is right, and no change is forgotten', () => {
  for (let round = 0; round < ROUNDS; round++) {
    const file = place();
    const first = open(file);
    for (let i = 0; i < 30; i++) put(first, i);
    first.close();
    const second = open(file);
    for (let i = 20; i < 30; i++) second.changed(String(i));
    second.close();
    const fd = fs.openSync(file, 'r+');
    const { size } = fs.fstatSync(fd);
    const byte = Buffer.alloc(1);
    for (let flips = 0; flips < 1 + (round % 20); flips++) {
      const at = Math.floor(Math.random() * size);
      fs.readSync(fd, byte, 0, 1, at);
      byte[0]! ^= 1 << Math.floor(Math.random() * 8);
      fs.writeSync(fd, byte, 0, 1, at);
    }
    if (round % 7 === 6) fs.ftruncateSync(fd, Math.floor(Math.random() * size));
    fs.closeSync(fd);
    const said = new Lines();
    const shelf = open(file, { log: said.log });
    for (let i = 0; i < 20; i++) look(shelf, i);
    for (let i = 20; i < 30; i++) assert.equal(look(shelf, i), undefined, `round ${round}: ${i} was changed`);
    put(shelf, 40);
    shelf.close();
    assert.ok(said.lines.length <= 2, said.lines.join('; '));
  }
});
