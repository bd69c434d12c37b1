/**
 * The benchmarks: `npm run bench -- SUITE [options]`.
 *
 *     mount   what the mount costs over a source in memory; bindfs and the source itself beside it
 *     slow    two epochs from a slow store, with and without the overlay
 *
 *     --json FILE        the result with machine and versions
 *     --quick            less data; bounds are for the standard sizes
 *     --rounds N         interleaved rounds (mount: 3, slow: 1)
 *     --only TEXT        mount: measures whose name contains TEXT
 *     --dir DIR          where data are made (and removed): default the temporary directory
 *     --python PATH      one with torch and Pillow
 *     --cold             mount: drop the machine's caches before each measurement (root)
 *     --latency-ms 5, --bandwidth 200MB    slow: the store
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { mountSuite } from './mount/suite.ts';
import { slowSuite } from './slow/suite.ts';
import { type Scope, scoped } from './support/scope.ts';
import { parseSize } from './support/sizes.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    dir: { type: 'string' },
    python: { type: 'string', default: '/usr/bin/python3' },
    cold: { type: 'boolean', default: false },
    'latency-ms': { type: 'string', default: '5' },
    bandwidth: { type: 'string', default: '200MB' },
  },
});
const { python, quick } = values;
const directory = values.dir;

const suites: Readonly<Record<string, (scope: Scope) => Promise<object>>> = {
  mount: (scope) => {
    const rounds = Number(values.rounds ?? 3);
    return mountSuite(scope, { python, quick, rounds, only: values.only, directory, cold: values.cold });
  },
  slow: (scope) => {
    const latencyMs = Number(values['latency-ms']);
    const bandwidth = parseSize(values.bandwidth);
    return slowSuite(scope, { python, quick, rounds: Number(values.rounds ?? 1), directory, latencyMs, bandwidth });
  },
};

const suite = suites[positionals[0] ?? ''];
if (suite === undefined || positionals.length !== 1) {
  console.error(`usage: npm run bench -- ${Object.keys(suites).join('|')} [--json FILE] [--quick] (see bench/main.ts)`);
  process.exitCode = 1;
} else {
  await scoped(async (scope) => {
    const result = await suite(scope);
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  });
}
