/** What the tests of stores share: a temporary source, a store over it, and outcomes as values or assertions. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openPosixStore, type PosixStoreOptions } from '../../src/store/posix/index.ts';
import type { Identity, SpeedClass, Store, StoreNode } from '../../src/store/store.ts';
import { type ErrnoName, errnoName, failed, type Reply } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';

/** Everything holds for both; a local directory can play a slow store. */
export const SPEEDS: readonly SpeedClass[] = ['inline', 'pooled'];

export const isRoot = process.geteuid?.() === 0;

export function me(umask = 0o022): Identity {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, umask };
}

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'mlo-store-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export async function storeOver(
  t: TestContext,
  root: string,
  options: Partial<PosixStoreOptions> = {},
): Promise<Store> {
  const store = await openPosixStore({ root, log: silentLog, ...options });
  t.after(() => store.shutdown());
  return store;
}

/** The value of an outcome that must not be a failure. */
export async function value<T>(reply: Reply<T>): Promise<T> {
  const outcome = await reply;
  if (failed(outcome)) assert.fail(`unexpected ${errnoName(outcome)}`);
  return outcome as T;
}

export async function fails(reply: Reply<unknown>, ...allowed: ErrnoName[]): Promise<void> {
  const outcome = await reply;
  assert.ok(failed(outcome), `expected ${allowed.join(' or ')}, got ${String(outcome)}`);
  assert.ok(allowed.includes(errnoName(outcome) as ErrnoName), `expected ${allowed}, got ${errnoName(outcome)}`);
}

/** The node at a path of names separated by slashes; '' is the root. */
export async function walk(store: Store, path: string): Promise<StoreNode> {
  let node: StoreNode = store.root().node;
  for (const name of path.split('/').filter((part) => part !== '')) {
    node = store.node(node, name, await value(store.lookup(node, name)));
  }
  return node;
}

/** Everything a node's content is, read through the store. */
export async function contents(store: Store, node: StoreNode): Promise<string> {
  const file = await value(store.open(node, 0));
  try {
    const into = Buffer.alloc(1 << 20);
    const count = await value(store.read(file, into, into.length, 0));
    return into.toString('latin1', 0, count);
  } finally {
    store.close(file);
  }
}
