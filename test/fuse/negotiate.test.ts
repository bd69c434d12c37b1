import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InitFlag } from '../../src/fuse/abi.ts';
import { PAYLOAD } from '../../src/fuse/codec.ts';
import {
  type Capabilities,
  type CapabilityName,
  capabilityNames,
  type InitRequest,
  negotiate,
  pageSize,
  readInit,
  type Wishes,
  writeInit,
} from '../../src/fuse/negotiate.ts';
import { pack, unpack, viewOf } from './frames.ts';

const everything = Object.values(InitFlag).reduce((all, flag) => all | flag, 0n);
const offer: InitRequest = { major: 7, minor: 45, maxReadahead: 131072, flags: everything };
const wishes: Wishes = {
  disable: new Set(),
  writeback: false,
  cacheSymlinks: true,
  privileged: true,
  maxStackDepth: 2,
  pageSize: 4096,
  maxTransfer: 1 << 20,
};

function agree(someOffer: Partial<InitRequest> = {}, someWishes: Partial<Wishes> = {}): Capabilities {
  const agreed = negotiate({ ...offer, ...someOffer }, { ...wishes, ...someWishes });
  assert.ok(typeof agreed === 'object' && 'on' in agreed);
  return agreed;
}

const neverOn: CapabilityName[] = [
  'no-open-support',
  'no-opendir-support',
  'export-support',
  'posix-locks',
  'flock-locks',
  'over-io-uring',
];

// S7.2: locks are left to the kernel
test('a kernel that offers everything gets all that is wanted, and each other is off for a reason', () => {
  const { on, off } = agree();
  assert.deepEqual([...off.keys()].sort(), [...neverOn, 'writeback'].sort());
  for (const name of capabilityNames) assert.equal(on.has(name), !off.has(name), name);
  for (const [name, why] of off) assert.ok(why.length > 5, name);
});

test('each capability can be disabled by its name, and takes only its dependents with it', () => {
  const before = agree().on;
  const dependents: Partial<Record<CapabilityName, CapabilityName[]>> = {
    'init-ext': ['create-supp-group', 'direct-io-allow-mmap', 'passthrough', 'resend'],
    readdirplus: ['readdirplus-auto'],
  };
  for (const name of before) {
    const { on, off } = agree({}, { disable: new Set([name]) });
    assert.equal(off.get(name), 'disabled by option');
    const lost = [...before].filter((one) => !on.has(one)).sort();
    assert.deepEqual(lost, [name, ...(dependents[name] ?? [])].sort());
  }
});

test('where listings bring what is known, the kernel shall always take it', () => {
  const { on, off } = agree({}, { listsAttributes: true });
  assert.ok(on.has('readdirplus'));
  assert.match(off.get('readdirplus-auto') ?? '', /every time/);
});

test('what the kernel does not offer is off for that reason', () => {
  const { on, off } = agree({ flags: 0n });
  assert.equal(on.size, 0);
  assert.equal(off.get('passthrough'), 'the kernel does not offer it');
  assert.equal(off.get('async-read'), 'the kernel does not offer it');
});

// S3.9
test('writeback is on only when asked for, and excludes passthrough', () => {
  const { on, off, maxStackDepth } = agree({}, { writeback: true });
  assert.ok(on.has('writeback'));
  assert.equal(off.get('passthrough'), 'excluded by writeback');
  assert.equal(maxStackDepth, 0);
  assert.ok(agree({}, { writeback: true, disable: new Set(['writeback']) }).on.has('passthrough'));
});

test('passthrough needs permission, symbolic links are cached when asked for', () => {
  assert.equal(agree({}, { privileged: false }).off.get('passthrough'), 'not permitted: needs CAP_SYS_ADMIN');
  assert.equal(agree({}, { cacheSymlinks: false }).off.get('cache-symlinks'), 'not asked for');
});

test('without max-pages a transfer is 32 pages; with it as large as asked, whatever the page size', () => {
  assert.equal(agree({}, { disable: new Set(['max-pages']) }).maxTransfer, 32 * 4096);
  assert.equal(agree().maxTransfer, 1 << 20);
  assert.equal(agree({}, { pageSize: 65536 }).maxTransfer, 1 << 20);
  assert.equal(agree({}, { maxTransfer: 65536 }).maxTransfer, 65536);
});

test('the minor is the smaller of both; a newer major is asked to come again, older versions are refused', () => {
  assert.equal(agree({ minor: 31 }).minor, 31);
  assert.equal(agree({ minor: 99 }).minor, 45);
  assert.equal(negotiate({ ...offer, major: 8 }, wishes), 'again');
  for (const old of [
    { major: 7, minor: 30 },
    { major: 6, minor: 99 },
  ]) {
    const refusal = negotiate({ ...offer, ...old }, wishes);
    assert.ok(typeof refusal === 'object' && 'refused' in refusal);
    assert.match(refusal.refused, /Linux 5\.4/);
  }
});

test('the upper flags are read only from a request that has them', () => {
  const extended = pack('init_in', { major: 7, minor: 45, flags: Number(InitFlag.INIT_EXT), flags2: 1 << 5 });
  assert.equal(readInit(viewOf(extended), 0, extended.length).flags, InitFlag.INIT_EXT | InitFlag.PASSTHROUGH);
  assert.equal(readInit(viewOf(extended), 0, 16).flags, InitFlag.INIT_EXT);
  const plain = pack('init_in', { major: 7, minor: 31, flags: 1, flags2: 1 << 5 });
  assert.equal(readInit(viewOf(plain), 0, plain.length).flags, 1n);
});

test('the reply says what was agreed', () => {
  const bytes = Buffer.alloc(PAYLOAD + 64, 0xff);
  assert.equal(writeInit(bytes, viewOf(bytes), agree(), 4096), 64);
  const reply = unpack('init_out', bytes, PAYLOAD);
  assert.equal(reply.major, 7);
  assert.equal(reply.minor, 45);
  assert.equal(reply.max_write, 1 << 20);
  assert.equal(reply.max_pages, 256);
  assert.equal(reply.time_gran, 1);
  assert.equal(reply.max_stack_depth, 2);
  assert.ok((reply.max_background as number) >= 64);
  assert.equal((reply.flags2 as number) & (1 << 5), 1 << 5);
  assert.equal((reply.flags2 as number) & (1 << 9), 0, 'over-io-uring');
  assert.equal((reply.flags as number) & 0b10, 0, 'posix locks');
});

test('the page size of this machine is a power of two', () => {
  assert.equal(Math.log2(pageSize()) % 1, 0);
});
