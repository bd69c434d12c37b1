/**
 * Many processes on few names, over a slow store whose calls overtake each other (jittery-lane.ts), with the kernel's own
 * locks (kernel-names.ts): every operation does what it would do on a plain directory, and nothing is left behind.
 *
 *     MLO_STORM_SEED=7 MLO_STORM_RUNS=500 scripts/node --test test/overlay/storm.test.ts
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import type { Caller, NodeId } from '../../src/overlay/filesystem.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Dice, JitteryLane } from '../support/jittery-lane.ts';
import { type Dentry, KernelNames, Thing } from '../support/kernel-names.ts';
import { storeOnLane } from '../support/store-on-lane.ts';

const runs = Number(process.env.MLO_STORM_RUNS ?? 15);
const firstSeed = Number(process.env.MLO_STORM_SEED ?? 75); // 81 found something once
const PROCESSES = 8;
const STEPS = 40;
const NOREPLACE = 1;
const EXCHANGE = 2;
const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
const CALLER: Caller = { uid: 0, gid: 0, pid: process.pid, supplementaryGroup: -1, askedMs: 0 };
const FILES = ['a', 'b', 'c', 'd'];
const DIRECTORIES = ['w', 'x', 'y', 'z'];

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-storm-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));

/** What a path names at one moment, and whether that has been so since. */
interface Place {
  directory: string | undefined;
  name: string;
}

/** A directory that a walk came to, held for as long as it is used. */
interface Found {
  thing: Thing;
  node: NodeId;
}

class Storm {
  readonly #dice: Dice;
  readonly #overlay: Overlay;
  readonly #kernel: KernelNames;
  #tag = 0;

  constructor(dice: Dice, overlay: Overlay) {
    this.#dice = dice;
    this.#overlay = overlay;
    this.#kernel = new KernelNames(overlay);
  }

  async run(): Promise<void> {
    for (const name of DIRECTORIES.slice(2)) await this.#makeDirectory(name);
    await Promise.all(
      Array.from({ length: PROCESSES }, async () => {
        for (let step = 0; step < STEPS; step++) await this.#step();
      }),
    );
    this.#overlay.checkInvariants();
  }

  /** What is listed ahead is kept for its reader until the overlay ends. */
  async end(): Promise<void> {
    this.#kernel.forgetAll();
    this.#overlay.checkInvariants();
    await this.#overlay.stop();
    assert.equal(this.#overlay.snapshot().inodes, 1, 'only the root is left');
    this.#overlay.checkInvariants();
  }

  /** Compares a directory of the source with what must be in it. */
  compare(directory: string, thing: Thing = this.#kernel.root): void {
    assert.deepEqual(fs.readdirSync(directory).sort(), [...thing.names.keys()].sort());
    for (const [name, one] of thing.names) {
      const at = path.join(directory, name);
      if (one.isDirectory) this.compare(at, one);
      else {
        assert.equal(fs.readFileSync(at, 'latin1'), one.content);
        assert.equal(fs.statSync(at).nlink, one.links);
      }
    }
  }

  #step(): Promise<unknown> {
    const place = this.#place();
    switch (this.#dice.below(14)) {
      case 0:
      case 1:
        return this.#create(place);
      case 2:
        return this.#unlink(place);
      case 3:
      case 4:
        return this.#rename(place, this.#place());
      case 5:
        return this.#link(place, this.#place());
      case 6:
      case 7:
      case 8:
        return this.#moveDirectory();
      case 9:
        return this.#stat(place);
      case 10:
        return this.#list(place.directory);
      case 11:
        return this.#forget();
      default:
        return this.#read(place);
    }
  }

  #place(): Place {
    const directory = this.#dice.once(4) ? undefined : this.#dice.one(DIRECTORIES);
    return { directory, name: this.#dice.one(FILES) };
  }

  // --- walking ---------------------------------------------------------------------------------------------------------

  /** Runs `body` in a directory, which stays what it is meanwhile. Undefined: there is none of that name. */
  async #within<T>(
    directory: string | undefined,
    anew: boolean,
    body: (at: Found) => Promise<T>,
  ): Promise<T | undefined> {
    const { root } = this.#kernel;
    if (directory === undefined) return body({ thing: root, node: 1 });
    const dentry = await this.#dentry({ thing: root, node: 1 }, directory, anew);
    if (dentry === undefined) return undefined;
    const { thing, node } = dentry;
    try {
      return await body({ thing, node });
    } finally {
      this.#kernel.drop(node);
    }
  }

  /** A name's dentry, held; asked about when its lease has ended (`anew`: in any case), looked up where there is none. */
  async #dentry({ thing, node }: Found, name: string, anew: boolean): Promise<Dentry | undefined> {
    if (anew || this.#dice.once(3)) {
      const old = this.#kernel.known(thing, name);
      if (old !== undefined) await this.#kernel.revalidate(old, node);
    }
    return this.#kernel.known(thing, name) ?? thing.lock.shared(() => this.#kernel.find(thing, node, name));
  }

  /** Runs `body` on the file of a path, and once more, with all looked up anew, when it says ESTALE. */
  async #onFile<T>(place: Place, body: (dentry: Dentry) => Promise<T | number>): Promise<T | number> {
    for (const anew of [false, true]) {
      const outcome = await this.#within(place.directory, anew, async (at) => {
        const dentry = await this.#dentry(at, place.name, anew);
        if (dentry === undefined) return -Errno.ENOENT;
        const { node } = dentry;
        try {
          return await body(dentry);
        } finally {
          this.#kernel.drop(node);
        }
      });
      if (outcome === undefined) return -Errno.ENOENT;
      if (outcome !== -Errno.ESTALE || anew) return outcome;
    }
    return -Errno.ESTALE;
  }

  /** What a path leads to, and a number that stays while it does; NaN where a change is under way. */
  #truth({ directory, name }: Place): { thing: Thing | undefined; changes: number } {
    const { root } = this.#kernel;
    const at = directory === undefined ? root : root.names.get(directory);
    const moves = directory === undefined ? 0 : root.changesOf(directory);
    const changes = at?.changesOf(name) ?? 0;
    const steady = moves % 2 === 0 && changes % 2 === 0;
    return { thing: at?.names.get(name), changes: steady ? moves * 1e6 + changes : Number.NaN };
  }

  // --- operations ------------------------------------------------------------------------------------------------------

  async #makeDirectory(name: string): Promise<void> {
    const { root } = this.#kernel;
    const entry = await this.#overlay.mkdir(1, name, 0o755, 0, CALLER);
    assert.ok(typeof entry === 'object');
    const thing = new Thing(true);
    root.names.set(name, thing);
    this.#kernel.enter(root, name, entry, thing);
  }

  #create({ directory, name }: Place): Promise<unknown> {
    return this.#within(directory, false, async ({ thing: parent, node }) => {
      const made = await parent.lock.exclusive(async () => {
        if (await this.#exists({ thing: parent, node }, name)) return undefined;
        parent.changed(name);
        const reply = await this.#overlay.create(node, name, 0o644, 0, O_RDWR | O_CREAT | O_EXCL, CALLER);
        assert.ok(typeof reply === 'object', `create ${name}: ${String(reply)}`);
        const thing = new Thing(false);
        parent.names.set(name, thing);
        parent.changed(name);
        this.#kernel.enter(parent, name, reply.entry, thing);
        this.#kernel.hold(reply.entry.node);
        return { thing, node: reply.entry.node, handle: reply.opened.handle };
      });
      if (made === undefined) return;
      const content = `content ${this.#tag++}`;
      made.thing.content = content;
      const count = await this.#overlay.write(made.node, made.handle, 0, Buffer.from(content), false, CALLER);
      assert.equal(count, content.length);
      made.thing.written = true;
      const reply = await this.#overlay.getattr(made.node, made.handle);
      assert.ok(typeof reply === 'object', `fstat of a new file: ${String(reply)}`);
      assert.equal(reply.attributes.size, content.length);
      this.#overlay.release(made.node, made.handle);
      this.#kernel.drop(made.node);
    });
  }

  /** Under the directory's lock. */
  async #exists({ thing, node }: Found, name: string): Promise<boolean> {
    const dentry = await this.#kernel.find(thing, node, name);
    if (dentry !== undefined) this.#kernel.drop(dentry.node);
    return dentry !== undefined;
  }

  /** Removes a file that this process has open, perhaps: then it goes on using it. */
  #unlink({ directory, name }: Place): Promise<unknown> {
    return this.#within(directory, false, async ({ thing: parent, node: parentNode }) => {
      const removed = await parent.lock.exclusive(async () => {
        const dentry = await this.#kernel.find(parent, parentNode, name);
        if (dentry === undefined) return undefined;
        const { thing, node } = dentry;
        await thing.lock.exclusive(async () => {
          parent.changed(name);
          thing.changes++;
          assert.equal(await this.#overlay.unlink(parentNode, name), 0, `unlink ${name}`);
          parent.names.delete(name);
          thing.links--;
          thing.changes++;
          parent.changed(name);
          this.#kernel.remove(dentry);
        });
        return { thing, node };
      });
      if (removed === undefined) return;
      const { thing, node } = removed;
      const { changes } = thing;
      const reply = await this.#overlay.getattr(node, undefined);
      assert.ok(typeof reply === 'object', `stat after unlink of ${name}: ${String(reply)}`);
      if (thing.changes === changes && changes % 2 === 0) {
        assert.equal(reply.attributes.nlink, thing.links, `links of ${name} after its removal`);
      }
      this.#kernel.drop(node);
    });
  }

  async #rename(from: Place, to: Place): Promise<void> {
    await this.#within(from.directory, false, (old) =>
      this.#within(to.directory, false, (fresh) => this.#renameIn(old, from.name, fresh, to.name)),
    );
  }

  #renameIn(old: Found, name: string, fresh: Found, newName: string): Promise<void> {
    const body = async (): Promise<void> => {
      const source = await this.#kernel.find(old.thing, old.node, name);
      const target = await this.#kernel.find(fresh.thing, fresh.node, newName);
      await rename(source, target);
      for (const dentry of [source, target]) if (dentry !== undefined) this.#kernel.drop(dentry.node);
    };
    const rename = async (source: Dentry | undefined, target: Dentry | undefined): Promise<void> => {
      if (source === undefined || source.node === target?.node || source.thing === target?.thing) return;
      const kind = this.#dice.below(4);
      const flags = kind === 0 ? NOREPLACE : kind === 1 && target !== undefined ? EXCHANGE : 0;
      if (flags === NOREPLACE && target !== undefined) return;
      const both = target === undefined ? [source.thing] : [source.thing, target.thing];
      await locked(both, async () => {
        this.#changed(old, name, fresh, newName, both);
        const outcome = await this.#overlay.rename(old.node, name, fresh.node, newName, flags);
        assert.equal(outcome, 0, `rename ${name} to ${newName}, flags ${flags}`);
        this.#renamed(source, fresh.thing, newName, target, flags);
        this.#changed(old, name, fresh, newName, both);
      });
    };
    return locked([old.thing, fresh.thing], body);
  }

  #changed(old: Found, name: string, fresh: Found, newName: string, things: Thing[]): void {
    old.thing.changed(name);
    fresh.thing.changed(newName);
    for (const thing of things) thing.changes++;
  }

  #renamed(source: Dentry, to: Thing, newName: string, target: Dentry | undefined, flags: number): void {
    const { parent, name } = source;
    parent.names.delete(name);
    to.names.set(newName, source.thing);
    if (flags === EXCHANGE) {
      parent.names.set(name, target!.thing);
    } else if (target !== undefined) {
      target.thing.links--;
      this.#kernel.remove(target);
    }
    this.#kernel.move(source, to, newName, flags === EXCHANGE ? target : undefined);
  }

  async #link(from: Place, to: Place): Promise<void> {
    await this.#onFile(from, async ({ thing, node }) => {
      const outcome = await this.#within(to.directory, false, ({ thing: parent, node: parentNode }) =>
        parent.lock.exclusive(async () => {
          if (await this.#exists({ thing: parent, node: parentNode }, to.name)) return 0;
          return thing.lock.exclusive(async () => {
            if (thing.links === 0) return 0;
            parent.changed(to.name);
            thing.changes++;
            const entry = await this.#overlay.link(node, parentNode, to.name);
            thing.changes++;
            parent.changed(to.name);
            assert.ok(typeof entry === 'object', `link to ${to.name}: ${String(entry)}`);
            parent.names.set(to.name, thing);
            thing.links++;
            this.#kernel.enter(parent, to.name, entry, thing);
            assert.equal(entry.attributes.nlink, thing.links);
            return 0;
          });
        }),
      );
      return outcome ?? 0;
    });
  }

  #moveDirectory(): Promise<void> {
    const { root } = this.#kernel;
    const [from, to] = [this.#dice.one(DIRECTORIES), this.#dice.one(DIRECTORIES)];
    return root.lock.exclusive(async () => {
      if (await this.#exists({ thing: root, node: 1 }, to)) return;
      const source = await this.#kernel.find(root, 1, from);
      if (source === undefined) return;
      root.changed(from);
      root.changed(to);
      assert.equal(await this.#overlay.rename(1, from, 1, to, 0), 0, `rename ${from} to ${to}`);
      root.names.delete(from);
      root.names.set(to, source.thing);
      this.#kernel.move(source, root, to);
      this.#kernel.drop(source.node);
      root.changed(from);
      root.changed(to);
    });
  }

  async #stat(place: Place): Promise<void> {
    const before = this.#truth(place);
    const links = before.thing?.changes;
    const outcome = await this.#onFile(place, ({ node }) => Promise.resolve(this.#overlay.getattr(node, undefined)));
    const steady = this.#truth(place).changes === before.changes;
    if (this.#unexpected('stat', place, outcome, before.thing, steady)) return;
    if (typeof outcome === 'number' || !steady || links === undefined || links % 2 !== 0) return;
    if (before.thing?.changes !== links) return;
    assert.equal(outcome.attributes.nlink, before.thing?.links, `links of ${place.directory}/${place.name}`);
  }

  async #read(place: Place): Promise<void> {
    const before = this.#truth(place);
    const written = before.thing?.written;
    const outcome = await this.#onFile(place, async ({ node, thing }) => {
      const opened = await this.#overlay.open(node, O_RDONLY, false, CALLER);
      if (typeof opened === 'number') return opened;
      const was = thing.written;
      const read = await this.#overlay.read(node, opened.handle, 0, 100, Buffer.alloc(100), CALLER);
      this.#overlay.release(node, opened.handle);
      if (typeof read === 'number') assert.fail(`read of ${place.directory}/${place.name}: ${read}`);
      const text = String(read.bytes);
      read.release?.();
      if (was) assert.equal(text, thing.content, 'what an open file holds');
      return { thing };
    });
    const steady = this.#truth(place).changes === before.changes;
    if (this.#unexpected('open', place, outcome, before.thing, steady)) return;
    if (typeof outcome === 'object' && steady && written === true) assert.equal(outcome.thing, before.thing);
  }

  /** True where nothing more is to be compared. */
  #unexpected(what: string, place: Place, outcome: unknown, thing: Thing | undefined, steady: boolean): boolean {
    const at = `${what} of ${place.directory}/${place.name}`;
    if (outcome === -Errno.ENOENT) {
      assert.ok(!steady || thing === undefined, `${at}: ENOENT, but it is there`);
      return true;
    }
    assert.equal(typeof outcome, 'object', `${at}: ${String(outcome)}`);
    assert.ok(!steady || thing !== undefined, `${at}: found, but it is not there`);
    return false;
  }

  #list(directory: string | undefined): Promise<unknown> {
    return this.#within(directory, false, async ({ thing, node }) => {
      const { changes, begun } = thing;
      const opened = await this.#overlay.opendir(node);
      assert.ok(typeof opened === 'object', `opendir: ${String(opened)}`);
      const names: string[] = [];
      for (let offset = 0, taken = 1; taken > 0; ) {
        taken = 0;
        await thing.lock.shared(async () => {
          const outcome = await this.#overlay.readdir(node, opened.handle, offset, true, {
            add: (name, _ino, _type, next, entry) => {
              if (taken === 3) return false;
              taken++;
              offset = next;
              if (name === '.' || name === '..') return true;
              names.push(name);
              const true_ = thing.names.get(name);
              if (entry === undefined) return true;
              assert.ok(true_ !== undefined, `${name} is listed with attributes, but is not there`);
              this.#kernel.enter(thing, name, entry, true_);
              return true;
            },
          });
          assert.equal(outcome, 0);
        });
      }
      if (thing.changes === changes && begun === 0) assert.deepEqual(names.sort(), [...thing.names.keys()].sort());
      this.#overlay.releasedir(node, opened.handle);
    });
  }

  async #forget(): Promise<void> {
    const { root } = this.#kernel;
    const directory = root.names.get(this.#dice.one(DIRECTORIES)) ?? root;
    const dentry = this.#dice.one([...directory.dentries.values()]);
    if (dentry !== undefined && dentry.thing.dentries.size === 0) this.#kernel.remove(dentry);
    const { idle } = this.#kernel;
    if (idle.length > 0) this.#kernel.forget(this.#dice.one(idle));
  }
}

function descriptorsBelow(directory: string): string[] {
  const targets: string[] = [];
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      targets.push(fs.readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // that of this very listing
    }
  }
  return targets.filter((target) => target.startsWith(directory));
}

/** Runs `body` with all of these locked, in an order that is everywhere the same. */
async function locked<T>(things: Thing[], body: () => Promise<T>): Promise<T> {
  const [first, ...others] = [...new Set(things)].sort((a, b) => a.number - b.number);
  if (first === undefined) return body();
  return first.lock.exclusive(() => locked(others, body));
}

/** Without a bound that counts here none goes to rest; with none awake, all do that nobody uses. */
const SETTINGS = [0, 60_000].flatMap((ttlMs) => [undefined, 0].map((awakeInodes) => ({ ttlMs, awakeInodes })));

for (const { ttlMs, awakeInodes } of SETTINGS) {
  const rests = awakeInodes === undefined ? 'awake' : 'at rest when they can be';
  test(`many processes on few names of a slow store, inodes ${rests}, with a lease of ${ttlMs / 1000} s`, async () => {
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
      const source = path.join(workspace, `${ttlMs}-${awakeInodes}-${seed}`);
      fs.mkdirSync(source);
      const store = storeOnLane(source, new JitteryLane(seed), 1);
      const overlay = new Overlay({
        store,
        cache: undefined,
        log: silentLog,
        attributesTtlMs: ttlMs,
        passthroughMinBytes: Number.POSITIVE_INFINITY,
        timestampGranularityMs: 0,
        awakeInodes,
      });
      const storm = new Storm(new Dice(seed * 7919), overlay);
      try {
        await storm.run();
        storm.compare(source);
        await storm.end();
        assert.deepEqual(descriptorsBelow(source), [], 'descriptors left open');
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  });
}
