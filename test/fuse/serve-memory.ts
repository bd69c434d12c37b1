/**
 * A mount of a file system in memory, in a process of its own: a test must not touch a mount that it serves itself.
 *
 *     scripts/node test/fuse/serve-memory.ts MOUNTPOINT [auto|syscall|fusermount3] [OPERATION,...] [BACKING]
 *
 * The operations named answer by promises. Reading the link "hang" never ends; the file "backed" is served by the
 * kernel from the file BACKING. Prints a line of JSON when it is mounted and one when it has ended; of standard input it
 * takes the lines "stats", "change" (the content of "hello"), "invalidate", "unmount" and "force".
 */
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { mountFuse, Session } from '../../src/fuse/index.ts';
import { type HandleId, type NodeId, type Opened, ROOT } from '../../src/overlay/filesystem.ts';
import type { Reply } from '../../src/sys/errno.ts';
import * as sys from '../../src/sys/libc.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { MemoryFileSystem } from '../support/memory-fs.ts';

class TestFileSystem extends MemoryFileSystem {
  hanging: NodeId = 0;
  backed: NodeId = 0;
  readonly #backing = new Map<HandleId, number>();

  override readlink(node: NodeId): Reply<Buffer> {
    return node === this.hanging ? new Promise(() => {}) : super.readlink(node);
  }

  override open(node: NodeId, flags: number, clearSuidSgid: boolean): Reply<Opened> {
    const opened = super.open(node, flags, clearSuidSgid);
    if (node !== this.backed || typeof opened === 'number' || opened instanceof Promise) return opened;
    const fd = openSync(backing, 'r');
    const backingId = this.kernel!.registerBacking(fd);
    closeSync(fd); // the kernel holds the file by its id
    this.#backing.set(opened.handle, backingId);
    return backingId < 0 ? backingId : { ...opened, backingId };
  }

  override release(node: NodeId, handle: HandleId): void {
    const id = this.#backing.get(handle);
    if (id !== undefined) this.kernel!.unregisterBacking(id);
    this.#backing.delete(handle);
    super.release(node, handle);
  }
}

const [mountpoint = '', how = 'auto', later = '', backing = ''] = process.argv.slice(2);
const delayed = new Set(later.split(','));
let mountedYet = false;
const fileSystem = new TestFileSystem({ ttlMs: 1000, later: (operation) => mountedYet && delayed.has(operation) });
fileSystem.addFile('hello', 'hello, world\n');
fileSystem.addFile('backed', 'x'.repeat(1000));
fileSystem.backed = fileSystem.root.children.get('backed')?.node ?? 0;
void fileSystem.symlink(ROOT, 'hang', Buffer.from('nowhere'), {
  uid: 0,
  gid: 0,
  pid: 0,
  supplementaryGroup: -1,
  askedMs: 0,
});
fileSystem.hanging = fileSystem.root.children.get('hang')?.node ?? 0;
fileSystem.forget(fileSystem.hanging, 1);
const say = (message: object): void => console.log(JSON.stringify(message));
const mounted = await mountFuse({ mountpoint, fsName: 'in, memory', how: how as 'auto' }).catch((error) => {
  say({ failed: error.message, errno: error.errno, remedy: error.remedy });
  process.exit(1);
});
const session = new Session({
  fd: mounted.fd,
  fileSystem,
  log: { ...silentLog, error: console.error, warn: console.error },
});
mountedYet = true;
const running = session.run();
const capabilities = await session.ready;
say({
  mounted: mounted.how,
  device: mounted.deviceNumber(),
  readahead: mounted.readaheadKnob()?.set(1 << 20) === true,
  minor: capabilities.minor,
  on: [...capabilities.on],
});

const input = createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'stats')
    say({ ...session.snapshot(), lookups: fileSystem.lookupsHeld, handles: fileSystem.handlesHeld });
  if (line === 'change') {
    fileSystem.root.children.get('hello')!.data.write('HELLO, WORLD\n');
    say({});
  }
  if (line === 'invalidate') {
    const { kernel } = fileSystem;
    const { node } = fileSystem.root.children.get('hello')!;
    kernel!.invalidateAttributes(node);
    const sent = [kernel!.invalidateData(node, 0, 0), kernel!.invalidateEntry(ROOT, 'hello')];
    sent.push(kernel!.invalidateEntry(ROOT, 'never seen'), kernel!.invalidateData(4711, 0, 0));
    void Promise.all(sent).then(() => say(session.snapshot()));
  }
  if (line === 'unmount') mounted.unmount().catch((error) => say({ refused: error.message, remedy: error.remedy }));
  if (line === 'force') mounted.unmount(true).catch((error) => say({ refused: error.message, remedy: error.remedy }));
});
const end = await running;
input.close();
sys.close.now(mounted.fd);
say({ ended: end.reason, error: end.error?.message, stopped: fileSystem.stopped });
process.exit();
