/** Measures one cell: mounts a system freshly, does a work through it, and ends the mount whatever happened. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Mounted, Peer, Place } from '../peers/peer.ts';
import type { SlowStore } from '../slow-store/client.ts';
import { startLoader } from '../support/loader.ts';
import { abortConnection, mountAt } from '../support/mounts.ts';
import { must, usage } from '../support/processes.ts';
import { Scope } from '../support/scope.ts';
import type { FigureKind, Run, Work } from '../works/index.ts';
import { type Data, READERS } from './data.ts';
import type { Cell, Taken } from './result.ts';

export interface Bench {
  data: Data;
  python: string;
  /** The epochs are read by the reader of ours: it starts sooner than PyTorch. */
  ownReader: boolean;
  /** The machine's caches may be dropped. */
  mayDrop: boolean;
  store: SlowStore | undefined;
  originals: string;
  scratch: string;
  /** At most so long for any cell, where the work allows more. */
  limitSeconds: number;
}

/** How the failure of a cell begins that was ended: the same system is not given the same work again. */
export const TOO_LONG = 'took longer than';

const LOADER = join(READERS, '../loader');

export async function measure(
  outer: Scope,
  bench: Bench,
  work: Work,
  peer: Peer,
  place: Place,
  round: number,
): Promise<Cell> {
  const began = performance.now();
  const cell: Cell = {
    work: work.name,
    system: peer.name,
    round,
    seconds: 0,
    mountSeconds: 0,
    peakBytes: 0,
    figures: {},
  };
  const scope = new Scope();
  outer.defer(`${work.name}, ${peer.name}`, () => scope.close());
  const limitSeconds = Math.min(work.limitSeconds, bench.limitSeconds);
  const timer = setTimeout(() => {
    cell.failed = `${TOO_LONG} ${limitSeconds} s`;
    // whatever waits for the mount fails now, and the cell with it
    const mount = mountAt(place.mountpoint);
    if (mount !== undefined) abortConnection(mount);
    void scope.close();
  }, limitSeconds * 1000);
  try {
    for (const path of [place.cache, place.mountpoint, place.home]) mkdirSync(path, { recursive: true });
    if (peer.dropCaches) await peer.dropCaches(place);
    else rmSync(place.cache, { recursive: true, force: true });
    mkdirSync(place.cache, { recursive: true });
    await bringIn(bench, work, peer.name === 'native disk' || bench.store === undefined);
    const mounting = performance.now();
    const mounted = await peer.mount(scope, place);
    cell.mountSeconds = (performance.now() - mounting) / 1000;
    // what a cell that failed may have left
    if (work.writes) await must('find', [join(mounted.path, 'new'), '-mindepth', '1', '-delete']);
    await work.run(run(scope, bench, work, mounted, round, cell));
    cell.peakBytes = Math.max(cell.peakBytes, usage(mounted.pids()).residentBytes);
    await mounted.settle();
    await mounted.unmount();
  } catch (error) {
    cell.failed ??= gist((error as Error).message);
  } finally {
    clearTimeout(timer);
    await scope.close();
    rmSync(place.cache, { recursive: true, force: true });
  }
  cell.seconds = (performance.now() - began) / 1000;
  return cell;
}

/** The last of what was said, without the command that said it. */
function gist(message: string): string {
  const [command = '', ...said] = message.split('\n');
  return said.length === 0 ? command : said.slice(-4).join('; ');
}

/** What the source reads from: its own disk for a plain one and for the native disk, else memory, as the link is the cost. */
async function bringIn({ originals, python }: Bench, work: Work, fromDisk: boolean): Promise<void> {
  const paths = work.sets.filter((set) => set !== 'new').map((set) => join(originals, set));
  if (paths.length > 0) await must(python, [join(READERS, 'evict.py'), fromDisk ? 'drop' : 'load', ...paths]);
}

async function drop(bench: Bench, work: Work, what: FigureKind['drops']): Promise<void> {
  await must('sh', ['-c', `sync; echo ${what === 'pages' ? 1 : 3} > /proc/sys/vm/drop_caches`]);
  if (bench.store !== undefined) await bringIn(bench, work, false);
}

function run(scope: Scope, bench: Bench, work: Work, mounted: Mounted, round: number, cell: Cell): Run {
  const { data, python, store } = bench;
  return {
    facts: data.facts,
    names: data.names,
    python,
    round,
    root: mounted.path,
    path: (set) => join(mounted.path, set),
    scratch: (name) => join(bench.scratch, name),
    async read(script, args) {
      const file = script === 'read_files' ? join(LOADER, 'read_files.py') : join(READERS, `${script}.py`);
      const { stdout } = await must(python, [file, ...args], { timeoutSeconds: work.limitSeconds });
      return JSON.parse(stdout) as Record<string, number>;
    },
    async shell(script, args) {
      return (await must('sh', ['-c', script, ...args], { timeoutSeconds: work.limitSeconds })).seconds;
    },
    loader({ epochs, workers }) {
      const root = join(mounted.path, 'files');
      const own = bench.ownReader;
      return startLoader(scope, {
        python,
        root,
        decode: false,
        epochs,
        workers: workers ?? 4,
        persistent: true,
        seed: round,
        own,
      });
    },
    async take(name, take) {
      const kind = work.figures.find((figure) => figure.name === name);
      if (kind === undefined) throw new Error(`${work.name} has no figure ${name}`);
      if (kind.drops !== undefined) {
        if (!bench.mayDrop) return undefined;
        await drop(bench, work, kind.drops);
      }
      await store?.reset();
      const pids = mounted.pids();
      const before = usage(pids);
      const value = await take();
      const after = usage(pids);
      const asked = await store?.counts();
      cell.peakBytes = Math.max(cell.peakBytes, after.residentBytes);
      const taken: Taken = {
        value,
        cpuSeconds: after.cpuSeconds - before.cpuSeconds,
        residentBytes: after.residentBytes,
      };
      if (asked !== undefined) {
        taken.store = { requests: asked.requests, bytesRead: asked.bytesRead, bytesWritten: asked.bytesWritten };
      }
      cell.figures[name] = taken;
      return value;
    },
    settle: () => mounted.settle(),
  };
}
