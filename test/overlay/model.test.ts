/**
 * The overlay against a plain directory. Random sequences of operations run through the overlay on one directory and
 * through the system on its twin; changes behind the overlay's back happen to both. After every step what a fresh open
 * through the overlay reads is what the twin holds, and what an open handle reads is one state of its file since it was
 * opened, never a mixture. The kernel's own rules (I/O modes, backing files, kept pages) are those of `KernelModel`.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { openCache } from '../../src/cache/index.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { Errno, failureOf } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { type KernelFile, KernelModel } from '../support/kernel-model.ts';

const runs = Number(process.env.MLO_MODEL_RUNS ?? 60);
// The same sequences every time, unless others are asked for: MLO_MODEL_SEED=$RANDOM MLO_MODEL_RUNS=1000
const seed = Number(process.env.MLO_MODEL_SEED ?? 20_261_121);
const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-model-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC } = fs.constants;
const PASSTHROUGH_MIN = 10_000;

const paths = ['/a', '/b', '/d', '/d/a', '/d/b', '/e', '/e/a'] as const;
const aPath = fc.constantFrom(...paths);
const aSize = fc.constantFrom(0, 1, 4096, 5000, 9999, 12_000, 30_000);

const anOperation = fc.oneof(
  fc.record({ do: fc.constant('open' as const), path: aPath, write: fc.boolean(), truncate: fc.boolean() }),
  fc.record({ do: fc.constant('create' as const), path: aPath, exclusive: fc.boolean(), size: aSize }),
  fc.record({ do: fc.constant('read' as const), handle: fc.nat(5) }),
  fc.record({ do: fc.constant('read' as const), handle: fc.nat(5) }),
  fc.record({ do: fc.constant('write' as const), handle: fc.nat(5), offset: aSize, size: aSize }),
  fc.record({ do: fc.constant('close' as const), handle: fc.nat(5) }),
  fc.record({ do: fc.constant('unlink' as const), path: aPath }),
  fc.record({ do: fc.constant('mkdir' as const), path: aPath }),
  fc.record({ do: fc.constant('rmdir' as const), path: aPath }),
  fc.record({ do: fc.constant('rename' as const), path: aPath, to: aPath }),
  fc.record({ do: fc.constant('link' as const), path: aPath, to: aPath }),
  fc.record({ do: fc.constant('truncate' as const), path: aPath, size: aSize }),
  fc.record({ do: fc.constant('check' as const), path: aPath }),
  fc.record({ do: fc.constant('check' as const), path: aPath }),
  fc.record({ do: fc.constant('list' as const), path: fc.constantFrom('', '/d', '/e') }),
  fc.record({ do: fc.constant('forget' as const) }),
  fc.record({ do: fc.constant('rest' as const) }),
  fc.record({ do: fc.constant('rest' as const) }),
  fc.record({ do: fc.constant('replace outside' as const), path: aPath, size: aSize }),
  fc.record({ do: fc.constant('rewrite outside' as const), path: aPath, size: aSize }),
  fc.record({ do: fc.constant('unlink outside' as const), path: aPath }),
);
type Operation = typeof anOperation extends fc.Arbitrary<infer T> ? T : never;

interface OpenFile {
  kernel: KernelFile;
  twin: number;
  /** Every content the file had since this handle was opened, as the twin's descriptor saw it. */
  states: Buffer[];
}

interface Setting {
  name: string;
  speed: 'inline' | 'pooled';
  cache: boolean;
  passthrough: boolean;
  /** One in so many opens is a sample (overlay/sampling.ts); 0: none. */
  sampleOpens: number;
}

const settings: Setting[] = [];
for (const speed of ['inline', 'pooled'] as const) {
  for (const cache of [false, true]) {
    for (const passthrough of [false, true]) {
      settings.push({
        name: `${speed} store, ${cache ? 'cached' : 'not cached'}, passthrough ${passthrough ? 'on' : 'off'}`,
        speed,
        cache,
        passthrough,
        sampleOpens: 0,
      });
    }
    const name = `${speed} store, ${cache ? 'cached' : 'not cached'}, every open that may be one is a sample`;
    settings.push({ name, speed, cache, passthrough: true, sampleOpens: 1 });
  }
}

class Scenario {
  readonly root: string;
  readonly source: string;
  readonly twin: string;
  kernel!: KernelModel;
  overlay!: Overlay;
  readonly open: OpenFile[] = [];
  #content = 0;

  constructor() {
    this.root = path.join(workspace, String(serial++));
    this.source = path.join(this.root, 'source');
    this.twin = path.join(this.root, 'twin');
    for (const directory of [this.source, this.twin]) {
      fs.mkdirSync(path.join(directory, 'd'), { recursive: true });
      fs.writeFileSync(path.join(directory, 'a'), this.#bytes(12_000, 1));
      fs.writeFileSync(path.join(directory, 'd/a'), this.#bytes(5000, 2));
    }
    this.#content = 2;
    age(this.source);
  }

  async start({ speed, cache, passthrough, sampleOpens }: Setting): Promise<void> {
    const store = await openPosixStore({ root: this.source, speed, log: silentLog });
    const disk = cache
      ? await openCache({
          directory: path.join(this.root, 'cache'),
          sizeBytes: 64 << 20,
          storeId: store.id,
          log: silentLog,
          chunkBytes: 4096,
        })
      : undefined;
    this.overlay = new Overlay({
      store,
      cache: disk,
      log: silentLog,
      attributesTtlMs: 0,
      passthroughMinBytes: PASSTHROUGH_MIN,
      timestampGranularityMs: 0,
      sampleOpens,
      awakeInodes: 0,
    });
    this.kernel = new KernelModel(this.overlay, passthrough);
  }

  async stop(): Promise<void> {
    for (const file of this.open.splice(0)) this.#close(file);
    this.kernel.forgetAll();
    this.overlay.checkInvariants();
    assert.equal(this.overlay.snapshot().inodes, 1, 'only the root is left when the kernel has forgotten everything');
    await this.overlay.stop();
    fs.rmSync(this.root, { recursive: true, force: true });
  }

  #bytes(size: number, seed = ++this.#content): Buffer {
    const buffer = Buffer.alloc(size);
    for (let i = 0; i < size; i++) buffer[i] = (seed * 31 + (i >> 8) * 7 + i) & 0xff;
    return buffer;
  }

  /** Runs an operation on the twin and says what a kernel would: 0 or a negated errno. */
  #onTwin(operation: () => void): number {
    try {
      operation();
      return 0;
    } catch (error) {
      return failureOf(error);
    }
  }

  #twinPath(p: string): string {
    return this.twin + p;
  }

  /** Takes down what the open files hold now. */
  #note(): void {
    for (const file of this.open) {
      const now = readAll(file.twin);
      if (!file.states.at(-1)?.equals(now)) file.states.push(now);
    }
  }

  #close(file: OpenFile): void {
    this.kernel.close(file.kernel);
    fs.closeSync(file.twin);
  }

  async run(operation: Operation): Promise<void> {
    const { kernel } = this;
    switch (operation.do) {
      case 'open': {
        if (this.open.length >= 6) return;
        const flags = operation.write ? O_RDWR | (operation.truncate ? O_TRUNC : 0) : O_RDONLY;
        let twin = -1;
        const expected = this.#onTwin(() => {
          if (fs.statSync(this.#twinPath(operation.path)).isDirectory())
            throw Object.assign(new Error(), { errno: -Errno.EISDIR });
          twin = fs.openSync(this.#twinPath(operation.path), flags);
        });
        if (expected === -Errno.EISDIR) return;
        const file = await kernel.open(operation.path, flags);
        if (expected < 0) same(file, expected, `open ${operation.path}`);
        else {
          assert.equal(typeof file, 'object', `open ${operation.path}: ${String(file)}`);
          this.open.push({ kernel: file as KernelFile, twin, states: [readAll(twin)] });
        }
        break;
      }
      case 'create': {
        const flags = O_RDWR | O_CREAT | O_TRUNC | (operation.exclusive ? O_EXCL : 0);
        if (fs.existsSync(this.#twinPath(operation.path))) return; // a positive dentry: the kernel opens instead
        let twin = -1;
        const expected = this.#onTwin(() => {
          twin = fs.openSync(this.#twinPath(operation.path), flags, 0o644);
        });
        const file = await kernel.create(operation.path, flags);
        if (expected < 0) {
          same(file, expected, `create ${operation.path}`);
          return;
        }
        assert.equal(typeof file, 'object', `create ${operation.path}: ${String(file)}`);
        const data = this.#bytes(operation.size);
        assert.equal(await kernel.write(file as KernelFile, 0, data), data.length);
        fs.writeSync(twin, data, 0, data.length, 0);
        this.#close({ kernel: file as KernelFile, twin, states: [] });
        break;
      }
      case 'read': {
        const file = this.open[operation.handle];
        if (file === undefined) return;
        const bytes = await kernel.read(file.kernel, 0, 64_000);
        assert.ok(Buffer.isBuffer(bytes), `read: ${String(bytes)}`);
        const known = file.states.some((state) => state.equals(bytes));
        assert.ok(
          known,
          `a handle read ${bytes.length} bytes that were never the content of its file since it was opened`,
        );
        break;
      }
      case 'write': {
        const file = this.open[operation.handle];
        if (file === undefined || (file.kernel.flags & 3) === O_RDONLY) return;
        const data = this.#bytes(operation.size);
        const count = await kernel.write(file.kernel, operation.offset, data);
        assert.equal(count, data.length, 'write');
        if (data.length > 0) fs.writeSync(file.twin, data, 0, data.length, operation.offset);
        break;
      }
      case 'close': {
        const [file] = this.open.splice(operation.handle, 1);
        if (file !== undefined) this.#close(file);
        break;
      }
      case 'unlink': {
        const expected = this.#onTwin(() => fs.unlinkSync(this.#twinPath(operation.path)));
        same(await kernel.unlink(operation.path), expected, `unlink ${operation.path}`);
        break;
      }
      case 'mkdir': {
        const expected = this.#onTwin(() => fs.mkdirSync(this.#twinPath(operation.path)));
        same(await kernel.mkdir(operation.path), expected, `mkdir ${operation.path}`);
        break;
      }
      case 'rmdir': {
        const expected = this.#onTwin(() => fs.rmdirSync(this.#twinPath(operation.path)));
        same(await kernel.rmdir(operation.path), expected, `rmdir ${operation.path}`);
        break;
      }
      case 'rename': {
        const { to } = operation;
        if (to.startsWith(`${operation.path}/`) || operation.path.startsWith(`${to}/`)) return; // the VFS refuses it
        const expected = this.#onTwin(() => fs.renameSync(this.#twinPath(operation.path), this.#twinPath(to)));
        same(await kernel.rename(operation.path, to, 0), expected, `rename ${operation.path} ${to}`);
        break;
      }
      case 'link': {
        if (fs.statSync(this.#twinPath(operation.path), { throwIfNoEntry: false })?.isDirectory()) return;
        const expected = this.#onTwin(() => fs.linkSync(this.#twinPath(operation.path), this.#twinPath(operation.to)));
        assert.equal(
          await kernel.link(operation.path, operation.to),
          expected,
          `link ${operation.path} ${operation.to}`,
        );
        break;
      }
      case 'truncate': {
        if (fs.statSync(this.#twinPath(operation.path), { throwIfNoEntry: false })?.isDirectory()) return;
        const expected = this.#onTwin(() => fs.truncateSync(this.#twinPath(operation.path), operation.size));
        same(await kernel.truncate(operation.path, operation.size), expected, `truncate ${operation.path}`);
        break;
      }
      case 'check':
        await this.#checkFile(operation.path);
        break;
      case 'list': {
        if (!fs.existsSync(this.#twinPath(operation.path))) return;
        const expected = this.#onTwin(() => fs.readdirSync(this.#twinPath(operation.path)));
        const names = await kernel.list(operation.path);
        if (expected < 0) return;
        assert.deepEqual(names, fs.readdirSync(this.#twinPath(operation.path)).sort(), `list ${operation.path}`);
        break;
      }
      case 'forget':
        kernel.forgetAll();
        break;
      case 'rest':
        for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate);
        break;
      case 'replace outside': {
        const data = this.#bytes(operation.size);
        for (const directory of [this.source, this.twin]) {
          this.#onTwin(() => {
            if (!fs.statSync(directory + operation.path).isFile()) return;
            fs.writeFileSync(`${directory}/.new`, data);
            fs.renameSync(`${directory}/.new`, directory + operation.path);
          });
        }
        break;
      }
      case 'rewrite outside': {
        // In place: open handles may see it or not, so only where there are none.
        if (this.open.length > 0) return;
        const data = this.#bytes(operation.size);
        for (const directory of [this.source, this.twin]) {
          this.#onTwin(() => {
            if (!fs.statSync(directory + operation.path).isFile()) return;
            fs.writeFileSync(directory + operation.path, data);
            // As rsync and tar do: the size and the mtime may be what they were, only the ctime tells.
            fs.utimesSync(directory + operation.path, 1_700_000_000, 1_700_000_000);
          });
        }
        break;
      }
      case 'unlink outside':
        for (const directory of [this.source, this.twin]) this.#onTwin(() => fs.unlinkSync(directory + operation.path));
        break;
    }
    this.#note();
    if (operation.do.endsWith('outside')) await sleep(3); // another time stamp than what came before
  }

  /** What a fresh open and a stat say is what the twin holds. */
  async #checkFile(p: string): Promise<void> {
    const stat = fs.statSync(this.#twinPath(p), { throwIfNoEntry: false });
    if (stat === undefined || stat.isDirectory()) return;
    const expected = fs.readFileSync(this.#twinPath(p));
    const file = await this.kernel.open(p, O_RDONLY);
    assert.equal(typeof file, 'object', `open ${p}: ${String(file)}`);
    const bytes = await this.kernel.read(file as KernelFile, 0, 64_000);
    this.kernel.close(file as KernelFile);
    assert.ok(Buffer.isBuffer(bytes), `read ${p}: ${String(bytes)}`);
    assert.equal(bytes.length, expected.length, `${p}: length`);
    assert.ok(bytes.equals(expected), `${p}: a fresh open reads other bytes than the file has`);
    const node = await this.kernel.walk(p, true);
    const attributes = await this.kernel.getattr(node);
    assert.ok(typeof attributes === 'object');
    assert.equal(attributes.size, expected.length, `${p}: size`);
    assert.equal(attributes.nlink, stat.nlink, `${p}: nlink`);
  }
}

function readAll(fd: number): Buffer {
  const buffer = Buffer.alloc(64_000);
  return Buffer.from(buffer.subarray(0, fs.readSync(fd, buffer, 0, buffer.length, 0)));
}

/** ENOENT and ENOTDIR count as one: which of them a wrong path gives depends on what dentries are left of it. */
function same(actual: unknown, expected: number, what: string): void {
  const missing: unknown[] = [-Errno.ENOENT, -Errno.ENOTDIR];
  if (missing.includes(expected)) assert.ok(missing.includes(actual), `${what}: ${String(actual)}, not ${expected}`);
  else assert.equal(actual, expected, what);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Time stamps of the past, so that the files count as settled and may be cached. */
function age(directory: string): void {
  for (const entry of fs.readdirSync(directory, { recursive: true, withFileTypes: true })) {
    fs.utimesSync(path.join(entry.parentPath, entry.name), 1_700_000_000, 1_700_000_000);
  }
}

for (const setting of settings) {
  // S1.1, S2.3, S2.4, S4.1: random operations
  test(`the overlay is a plain directory: ${setting.name}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anOperation, { minLength: 1, maxLength: 60 }), async (operations) => {
        const scenario = new Scenario();
        await scenario.start(setting);
        try {
          for (const operation of operations) await scenario.run(operation);
        } finally {
          await scenario.stop();
        }
      }),
      { numRuns: runs, seed, interruptAfterTimeLimit: 60_000 },
    );
  });
}
