/**
 * Other processes swap directories and files beneath the root for symbolic links to a secret outside of it, all the
 * time, while a victim works beneath the root. Through the store no byte of the secret is ever read and nothing of it
 * changed. The same harness catches a resolver that joins paths, so it would catch the store.
 *
 * MLO_SWAP_SECONDS: how long each victim works (default 3).
 */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { Found, Store, StoreNode } from '../../src/store/store.ts';
import { failed, type Reply } from '../../src/sys/errno.ts';
import { isRoot, SPEEDS, storeOver, temporaryDirectory } from './support.ts';

const SECONDS = Number(process.env.MLO_SWAP_SECONDS ?? 3);
const BOXES = 2;
const { O_RDONLY, O_RDWR, O_WRONLY, O_TRUNC, O_CREAT } = fs.constants;
const SECRET = 'SECRET';
/** With root, creations happen as another user, to whom the secret would be open. */
const who = isRoot
  ? { uid: 1234, gid: 1234, umask: 0 }
  : { uid: process.geteuid!(), gid: process.getegid!(), umask: 0 };

interface Scene {
  root: string;
  secret: string;
}

/** root/boxN/inner/f beside a link for each level; secret/inner/f and secret/f, which the links lead to. */
function build(t: TestContext): Scene {
  const top = temporaryDirectory(t);
  const [root, secret] = [join(top, 'root'), join(top, 'secret')];
  fs.mkdirSync(join(secret, 'inner'), { recursive: true });
  for (const path of ['f', 'inner/f', 'inner/spare', 'spare']) fs.writeFileSync(join(secret, path), SECRET);
  fs.symlinkSync(SECRET, join(secret, 'inner/l'));
  for (let i = 0; i < BOXES; i++) {
    const box = join(root, `box${i}`);
    fs.mkdirSync(join(box, 'inner'), { recursive: true });
    fs.writeFileSync(join(box, 'inner/f'), 'inside');
    fs.symlinkSync(secret, join(root, `link${i}`));
    fs.symlinkSync(join(secret, 'inner'), join(box, 'link'));
    fs.symlinkSync(join(secret, 'inner/f'), join(box, 'inner/link'));
  }
  for (const path of [
    secret,
    join(secret, 'inner'),
    ...[...Array(BOXES).keys()].map((i) => join(root, `box${i}/inner`)),
  ]) {
    fs.chmodSync(path, 0o777);
  }
  return { root, secret };
}

/** Everything about the secret that a write, creation or change of attributes would alter. */
function fingerprint(secret: string): string {
  const lines: string[] = [];
  for (const path of ['', ...(fs.readdirSync(secret, { recursive: true }) as string[]).sort()]) {
    const { mode, uid, size, ctimeNs, nlink } = fs.lstatSync(join(secret, path), { bigint: true });
    lines.push([path, mode, uid, size, ctimeNs, nlink].join(' '));
  }
  return lines.join('\n');
}

/** Starts an attacker for each level; the function returned ends them. */
async function attack(t: TestContext, { root }: Scene): Promise<() => Promise<void>> {
  const levels: string[][] = [[], [], []];
  for (let i = 0; i < BOXES; i++) {
    const box = join(root, `box${i}`);
    levels[0]!.push(box, join(root, `link${i}`));
    levels[1]!.push(join(box, 'inner'), join(box, 'link'));
    levels[2]!.push(join(box, 'inner/f'), join(box, 'inner/link'));
  }
  const children: ChildProcessByStdio<Writable, Readable, null>[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.splice(0)) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  };
  t.after(stop);
  const script = join(import.meta.dirname, 'swap-attacker.ts');
  for (const level of levels) {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...level], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    await once(child.stdout, 'data');
  }
  for (const child of children) {
    child.stdin.end();
    await once(child.stdout, 'data');
  }
  return stop;
}

interface Tally {
  /** Steps that got as far as a descriptor or an attribute: a test in which everything fails proves nothing. */
  reached: number;
  stopped: number;
  leaks: string[];
}

type Victim = (box: string, round: number, tally: Tally) => Promise<void>;

async function torment(victim: Victim, scene: Scene, stopWhenCaught: boolean): Promise<Tally> {
  const tally: Tally = { reached: 0, stopped: 0, leaks: [] };
  const before = fingerprint(scene.secret);
  const end = Date.now() + SECONDS * 1000;
  for (let round = 0; Date.now() < end; round++) {
    await victim(`box${round % BOXES}`, round, tally);
    if (stopWhenCaught && (tally.leaks.length > 0 || (round % 50 === 0 && fingerprint(scene.secret) !== before))) break;
  }
  if (fingerprint(scene.secret) !== before) tally.leaks.push('the secret was changed');
  return tally;
}

function storeVictim(store: Store): Victim {
  const nodes = new Map<string, StoreNode>();
  const into = Buffer.alloc(64);

  return async (box, round, tally) => {
    const count = async <T>(reply: Reply<T>): Promise<T | undefined> => {
      const outcome = await reply;
      if (failed(outcome)) {
        tally.stopped++;
        return undefined;
      }
      tally.reached++;
      return outcome as T;
    };
    /** Nodes are kept over many rounds, as a kernel keeps them, so that they go stale in every way. */
    const find = async (parent: StoreNode, name: string, key: string): Promise<StoreNode | undefined> => {
      const known = nodes.get(key);
      if (known && round % 7 !== 0) return known;
      const found: Found | undefined = await count(store.lookup(parent, name));
      if (!found) return known;
      if (known) store.release(known);
      const node = store.node(parent, name, found);
      nodes.set(key, node);
      return node;
    };
    const outer = await find(store.root().node, box, box);
    const inner = outer && (await find(outer, 'inner', `${box}/inner`));
    if (!inner) return;
    const file = await find(inner, 'f', `${box}/inner/f`);
    for (const { name } of (await count(store.list(inner))) ?? [])
      if (name === 'spare') tally.leaks.push('a secret name was listed');
    const made = await count(store.create(inner, `new${round % 3}`, 0o666, O_WRONLY | O_TRUNC, who));
    if (made) {
      await count(store.write(made.file, Buffer.from('mine'), 0));
      store.close(made.file);
    }
    await count(store.makeDirectory(inner, 'dir', 0o777, who));
    await count(store.removeDirectory(inner, 'dir'));
    await count(store.rename(inner, 'new0', inner, 'new1', 0));
    await count(store.unlink(inner, 'spare')); // exists only in the secret
    await count(store.unlink(inner, 'new1'));
    if (!file) return;
    const attributes = await count(store.attributes(file));
    await count(store.change(file, { mode: round % 2 ? 0o640 : 0o644, mtime: 'now' }));
    await count(store.setXattr(file, 'user.mark', Buffer.from('x'), 0));
    const opened = await count(store.open(file, round % 2 ? O_RDONLY : O_RDWR));
    if (opened) {
      const length = (await count(store.read(opened, into, into.length, 0))) ?? 0;
      if (into.toString('latin1', 0, length).includes(SECRET)) tally.leaks.push('a secret byte was read');
      store.close(opened);
    }
    const target = await count(store.readlink(file));
    if (target?.toString() === SECRET || attributes?.size === SECRET.length + 1)
      tally.leaks.push('a secret link was read');
  };
}

/** What anyone would write first: check with lstat, then use the path. */
function naiveVictim(root: string): Victim {
  return async (box, round, tally) => {
    const path = join(root, box, 'inner', 'f');
    try {
      for (const each of [join(root, box), join(root, box, 'inner'), path]) {
        if (fs.lstatSync(each).isSymbolicLink()) return;
      }
      if (fs.readFileSync(path, 'latin1').includes(SECRET)) tally.leaks.push('a secret byte was read');
      fs.closeSync(fs.openSync(join(root, box, 'inner', `new${round % 3}`), O_CREAT | O_WRONLY, 0o666));
      fs.chmodSync(path, round % 2 ? 0o640 : 0o644);
      tally.reached++;
    } catch {
      tally.stopped++;
    }
  };
}

test('the harness catches a resolver that joins paths', async (t) => {
  const scene = build(t);
  const stop = await attack(t, scene);
  const tally = await torment(naiveVictim(scene.root), scene, true);
  await stop();
  assert.ok(tally.leaks.length > 0, `not caught in ${SECONDS} s: ${JSON.stringify(tally)}`);
});

for (const speed of SPEEDS) {
  // S6.6
  test(`${speed}: swapping directories for links never leads outside the root`, async (t) => {
    const scene = build(t);
    const store = await storeOver(t, scene.root, { speed, maxDescriptors: 2 });
    const stop = await attack(t, scene);
    const tally = await torment(storeVictim(store), scene, false);
    await stop();
    t.diagnostic(`${tally.reached} steps went through, ${tally.stopped} were stopped`);
    assert.deepEqual([...new Set(tally.leaks)], []);
    assert.ok(tally.reached > 100 && tally.stopped > 10, JSON.stringify(tally));
  });
}
