/** What is noted beside every request. */
import type * as AccessModule from '../../../src/access/access.ts';
import type { AccessedHandle } from '../../../src/access/observer.ts';
import type * as Latency from '../../../src/telemetry/latency.ts';
import type { Micro, Tree } from '../bench.ts';

const OPERATIONS = 1000;
const READ = 15;
const OPEN = 14;
const RELEASE = 18;
const FILES = 500;

/** Distinct files in a few directories, as a DataLoader opens them. */
function handles(): AccessedHandle[] {
  return Array.from({ length: FILES }, (_, at) => ({
    id: at + 1,
    flags: 0,
    way: 'source',
    observed: undefined,
    inode: {
      fileKey: 'x',
      nodeId: at + 2,
      attributes: { size: 112_640 },
      path: () => `train/class-${at % 20}/image-${at}.jpg`,
      observed: undefined,
    },
  }));
}

async function access(tree: Tree): Promise<AccessModule.Access> {
  const { Access } = await tree.load<typeof AccessModule>('access/access.ts');
  return new Access();
}

export const telemetry: readonly Micro[] = [
  {
    name: 'latency table: add',
    operations: OPERATIONS,
    prepare: async (tree) => {
      const { LatencyTable } = await tree.load<typeof Latency>('telemetry/latency.ts');
      const table = new LatencyTable(64);
      return {
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) table.add(i & 63, (i & 255) * 0.013);
        },
      };
    },
  },
  {
    name: 'access: one READ told of',
    operations: OPERATIONS,
    budgetNs: 600,
    prepare: async (tree) => {
      const observer = await access(tree);
      const files = handles();
      for (const file of files) observer.opened(file, process.pid, false, performance.now());
      return {
        run: () => {
          const nowMs = performance.now();
          for (let i = 0; i < OPERATIONS; i++) {
            const file = files[i % FILES]!;
            const atMs = nowMs + i * 0.02;
            observer.asked(process.pid, READ, atMs);
            observer.reading(file, process.pid, (i & 31) * 4096, 4096, atMs);
            observer.read(file, process.pid, (i & 31) * 4096, 4096, 0, atMs);
            observer.answered(process.pid, READ, atMs, atMs + 0.01);
          }
        },
        end: () => observer.stop(),
      };
    },
  },
  {
    name: 'access: one small file told of (open, read, release)',
    operations: OPERATIONS,
    budgetNs: 2000,
    prepare: async (tree) => {
      const observer = await access(tree);
      const files = handles();
      return {
        run: () => {
          const nowMs = performance.now();
          for (let i = 0; i < OPERATIONS; i++) {
            const file = files[i % FILES]!;
            const atMs = nowMs + i * 0.06;
            file.observed = undefined; // each open is another handle
            observer.asked(process.pid, OPEN, atMs);
            observer.opened(file, process.pid, false, atMs);
            observer.answered(process.pid, OPEN, atMs, atMs + 0.01);
            observer.asked(process.pid, READ, atMs + 0.02);
            observer.reading(file, process.pid, 0, 112_640, atMs + 0.02);
            observer.read(file, process.pid, 0, 112_640, 0, atMs + 0.02);
            observer.answered(process.pid, READ, atMs + 0.02, atMs + 0.03);
            observer.asked(process.pid, RELEASE, atMs + 0.04);
            observer.released(file);
            observer.answered(process.pid, RELEASE, atMs + 0.04, atMs + 0.05);
          }
        },
        end: () => observer.stop(),
      };
    },
  },
];
