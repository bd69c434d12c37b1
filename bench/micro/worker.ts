/**
 * Takes every microbenchmark once, over one tree, in a process of its own: code that was optimised for one tree must not
 * serve another. Prints a line of JSON for each.
 *
 *     scripts/node bench/micro/worker.ts TREE DIRECTORY MILLISECONDS NAME...
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Bench } from 'tinybench';
import { type Micro, type Taken, Tree } from './bench.ts';
import { micros } from './benches/index.ts';

async function take(micro: Micro, tree: Tree, directory: string, time: number): Promise<Taken> {
  const { name } = micro;
  mkdirSync(directory);
  try {
    const { run, end } = await micro.prepare(tree, directory);
    try {
      // A third of the time for the compiler to make up its mind.
      const bench = new Bench({ time, warmupTime: time / 2, iterations: 8, warmupIterations: 8, throws: true });
      bench.add(name, run);
      bench.runSync();
      const result = bench.tasks[0]?.result;
      if (result === undefined || !('latency' in result)) throw new Error(`no figure: ${result?.state}`);
      return { name, ns: (result.latency.p50 * 1e6) / micro.operations };
    } finally {
      await end?.();
    }
  } catch (error) {
    return { name, reason: (error as Error).message.split('\n')[0] ?? 'unknown' };
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

const [root = '.', parent = '.', milliseconds = '100', ...names] = process.argv.slice(2);
const tree = new Tree(resolve(root));
let number = 0;
for (const micro of micros) {
  if (!names.includes(micro.name)) continue;
  const taken = await take(micro, tree, join(parent, String(number++)), Number(milliseconds));
  console.log(JSON.stringify(taken));
}
process.exit(0); // whatever a tree left running is no business of the next
