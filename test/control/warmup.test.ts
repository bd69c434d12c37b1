/** POST /warmup: what is refused, and that nothing outside the source can be asked for. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cache, openCache } from '../../src/cache/index.ts';
import type { DaemonParts } from '../../src/cli/control-handlers.ts';
import { type WarmupAnswer, warmupControl } from '../../src/cli/warmup-control.ts';
import { type Serving, serveControl } from '../../src/control/server.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { bodyOf, get, handlersWith, post, type Where } from './raw.ts';

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-warmup-control-'));
const here: Where = { path: path.join(workspace, 's') };
let serving: Serving;
let overlay: Overlay;
let cache: Cache;

before(async () => {
  const source = path.join(workspace, 'source');
  fs.mkdirSync(path.join(source, 'data'), { recursive: true });
  fs.writeFileSync(path.join(source, 'data/file'), 'content');
  fs.writeFileSync(Buffer.from(`${source}/data/\xff\xe9`, 'latin1'), 'no UTF-8');
  fs.writeFileSync(path.join(workspace, 'secret'), 'not of the source');
  fs.symlinkSync(workspace, path.join(source, 'out'));
  fs.mkdirSync(path.join(workspace, 'cache'));
  await sleep(60); // what is older is settled
  const store = await openPosixStore({ root: source, speed: 'pooled', readOnly: false, log: silentLog });
  const sizeBytes = 16 << 20;
  const directory = path.join(workspace, 'cache');
  cache = await openCache({ directory, sizeBytes, reserveBytes: 0, storeId: store.id, log: silentLog });
  overlay = new Overlay({ store, cache, log: silentLog, attributesTtlMs: 1000, passthroughMinBytes: 1 << 20 });
  const parts = { request: { mountpoint: '/mnt' }, assembly: { overlay, cache }, log: { log: silentLog } };
  const warmup = (wanted: Record<string, unknown>) => warmupControl(parts as unknown as DaemonParts, wanted);
  serving = await serveControl((here as { path: string }).path, handlersWith({ warmup }));
});

after(async () => {
  serving.close();
  await overlay.stop();
  fs.rmSync(workspace, { recursive: true, force: true });
});

async function ask(body: object): Promise<WarmupAnswer> {
  const heard = await post(here, '/warmup', JSON.stringify(body));
  assert.equal(heard.status, 200, heard.text);
  return bodyOf(heard) as unknown as WarmupAnswer;
}

async function ended({ job }: WarmupAnswer): Promise<WarmupAnswer['job']> {
  for (let now = job; ; now = (await ask({ action: 'status', id: job.id })).job) {
    if (now.state !== 'running') return now;
    await sleep(20);
  }
}

test('a job from its beginning to its end, with names that are no UTF-8', async () => {
  const begun = await ask({ action: 'fetch' });
  assert.equal(begun.job.state, 'running', 'it waits for paths');
  const added = await ask({ action: 'add', id: begun.job.id, paths: ['data/\xff\xe9'] });
  assert.equal(added.taken, 1);
  const done = await ended(await ask({ action: 'add', id: begun.job.id, paths: ['data'], end: true }));
  assert.deepEqual([done.state, done.files.failed, cache.snapshot().completeObjects], ['done', 0, 2]);
  const cancelled = await ask({ action: 'check' });
  assert.equal((await ask({ action: 'cancel', id: cancelled.job.id })).job.state, 'cancelled');
});

const refused: [why: string, body: unknown][] = [
  ['no such action', { action: 'delete' }],
  ['no action', {}],
  ['a job there never was', { action: 'status', id: 4711 }],
  ['an id of another kind', { action: 'status', id: '1' }],
  ['paths that are no list', { action: 'check', paths: 'data' }],
  ['a path that is no text', { action: 'check', paths: [1] }],
  ['a way up', { action: 'check', paths: ['../secret'] }],
  ['a way up in the middle', { action: 'check', paths: ['data/../../secret'] }],
  ['a name for where one is', { action: 'check', paths: ['./data'] }],
  ['an absolute path', { action: 'check', paths: ['/etc/passwd'] }],
  ['a NUL', { action: 'check', paths: ['data\0/x'] }],
  ['a character that is no byte', { action: 'check', paths: ['data/\u0100'] }],
  ['a path without end', { action: 'check', paths: ['x/'.repeat(4000)] }],
  ['no requests at all', { action: 'check', parallel: 0 }],
  ['too many requests', { action: 'check', parallel: 1e9 }],
  ['a part of a request', { action: 'check', parallel: 1.5 }],
];

for (const [why, body] of refused) {
  test(`refused: ${why}`, async () => {
    const running = overlay.warmups.totals().running;
    const heard = await post(here, '/warmup', JSON.stringify(body));
    assert.equal(heard.status, 400, heard.text);
    assert.equal(bodyOf(heard).code, 'MLO_USAGE');
    assert.equal(overlay.warmups.totals().running, running, 'nothing was begun');
  });
}

test('refused: more than a request may have, and other methods', async () => {
  const long = JSON.stringify({ action: 'check', paths: Array.from({ length: 20_000 }, () => 'data') });
  assert.equal((await post(here, '/warmup', long)).status, 413);
  assert.equal((await get(here, '/warmup')).status, 405);
});

test('a link is not followed, at the end of a path or on the way', async () => {
  const bytes = cache.snapshot().usedBytes;
  const done = await ended(await ask({ action: 'fetch', paths: ['out', 'out/secret', 'data/file/x'], end: true }));
  assert.deepEqual(done.errors.map(({ path: at, error }) => `${at} ${error}`).sort(), [
    'data/file/x ENOTDIR',
    'out ELOOP',
    'out/secret ELOOP',
  ]);
  assert.equal(cache.snapshot().usedBytes, bytes);
});

test('jobs that nobody ends are few', async () => {
  const jobs: WarmupAnswer[] = [];
  for (let i = 0; i < 4; i++) jobs.push(await ask({ action: 'check' }));
  const heard = await post(here, '/warmup', JSON.stringify({ action: 'check' }));
  assert.deepEqual([heard.status, bodyOf(heard).code], [409, 'MLO_WARMUP']);
  for (const { job } of jobs) await ask({ action: 'cancel', id: job.id });
  await ended(await ask({ action: 'check', paths: [''], end: true }));
});
