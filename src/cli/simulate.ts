/** ml-overlay simulate: what each policy would have hit, had the cache been of this size. */
import { parseArgs } from 'node:util';
import { TraceReader } from '../access/trace-reader.ts';
import { SimulatedCache } from '../cache/eviction/simulated-cache.ts';
import { simulatedPolicies } from '../cache/eviction/simulated-policies.ts';
import type { Workload } from '../cache/eviction/workload.ts';
import { nearest } from '../config/nearest.ts';
import { parseSize } from '../config/units.ts';
import { Exit, MloError } from '../errors.ts';
import { type Outcome, outcomeOf, page, type Simulation } from './simulate-text.ts';
import { WorkloadBuilder } from './simulate-workload.ts';

const names = Object.keys(simulatedPolicies);
const BOUND = 'belady';
const CHUNK_SIZE = 'auto';
/** Before that nobody needs to be told that it goes on. */
const PATIENCE_MS = 2000;
const TOLD_EVERY_MS = 500;

export const help = `Usage: ml-overlay simulate --trace FILE --cache SIZE[,SIZE...] [--policy all|NAME,...] [--json]

Runs what a trace recorded (ml-overlay trace record) through a cache of each size and policy, and prints the share of reads
and of bytes that it would have had, beside two bounds: belady knows the future; compulsory is a cache of any size, which
misses what is read for the first time.

  --trace FILE       the trace
  --cache SIZE,...   500M, 4GiB, 200MB; more than one to see what more disk would bring
  --policy NAME,...  ${names.slice(0, 5).join(', ')},
                     ${names.slice(5).join(', ')}; default: all. Those a mount can have: -o cache-policy
  --chunk-size SIZE  as of the mount (default ${CHUNK_SIZE})
  --json             one object

docs/EVICTION.md tells what each policy does, and what a simulation leaves out.
`;

export async function run(words: string[]): Promise<number> {
  const { values } = parseArgs({
    args: words,
    options: {
      trace: { type: 'string' },
      cache: { type: 'string' },
      policy: { type: 'string', default: 'all' },
      'chunk-size': { type: 'string', default: CHUNK_SIZE },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  if (values.trace === undefined || values.cache === undefined) {
    throw new MloError('MLO_USAGE', 'simulate needs a trace and a size', 'simulate --trace FILE --cache SIZE');
  }
  const sizes = values.cache.split(',').map((text) => sized('--cache', text));
  const wanted = values['chunk-size'];
  const chunkBytes = wanted === CHUNK_SIZE ? undefined : sized('--chunk-size', wanted);
  const chosen = policiesNamed(values.policy);
  const startedMs = performance.now();
  const progress = new Progress(startedMs);
  using trace = new TraceReader(values.trace);
  const builder = new WorkloadBuilder();
  let events = 0;
  for (const event of trace.events()) {
    builder.add(event);
    if ((++events & 0xffff) === 0) progress.tell(`reading the trace: ${events} events`);
  }
  const { workload } = builder;
  if (workload.count === 0) {
    throw new MloError(
      'MLO_TRACE',
      `${values.trace} has no reads`,
      'record one while a job reads: ml-overlay trace record',
    );
  }
  const nextOpens = chosen.includes(BOUND) ? workload.nextOpens() : undefined;
  const outcomes: Outcome[] = [];
  for (const cacheBytes of sizes) {
    for (const policy of chosen) {
      const counts = simulate(
        workload,
        policy,
        cacheBytes,
        chunkBytes,
        policy === BOUND ? nextOpens : undefined,
        progress,
      );
      outcomes.push(outcomeOf(policy, cacheBytes, counts));
    }
  }
  const endless = simulate(workload, 'lru', Number.POSITIVE_INFINITY, chunkBytes, undefined, progress);
  progress.end();
  const simulation: Simulation = {
    trace: values.trace,
    events,
    files: workload.items.length,
    bytes: workload.items.reduce((sum, { size }) => sum + size, 0),
    reads: endless.reads,
    readBytes: endless.readBytes,
    assumed: builder.assumed,
    unknown: builder.unknown,
    recorded: builder.recorded,
    compulsory: outcomeOf('compulsory', null, endless),
    results: outcomes,
    seconds: (performance.now() - startedMs) / 1000,
  };
  console.log(values.json ? JSON.stringify(simulation, null, 2) : page(simulation).join('\n'));
  if (trace.damage.length > 0) {
    console.error(`${values.trace} is not whole (${trace.damage[0]?.message}); what could be read was simulated`);
  }
  return Exit.ok;
}

function simulate(
  workload: Workload,
  name: string,
  capacityBytes: number,
  chunkBytes: number | undefined,
  nextOpens: Float64Array | undefined,
  progress: Progress,
): SimulatedCache['counts'] {
  const policy = simulatedPolicies[name]!({ capacityBytes: () => capacityBytes, random: sequence() });
  const cache = new SimulatedCache(workload, { policy, capacityBytes, chunkBytes });
  cache.run(0, workload.count, nextOpens, (share) => progress.tell(`simulating ${name}: ${Math.round(share * 100)} %`));
  return cache.counts;
}

/** Numbers from 0 to below 1 that are the same each time (xorshift, Marsaglia 2003). */
function sequence(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function sized(option: string, text: string): number {
  try {
    const bytes = parseSize(text);
    if (bytes >= 4096) return bytes;
  } catch (error) {
    throw new MloError('MLO_USAGE', `${option} "${text}" is no size`, `it takes ${(error as Error).message}`);
  }
  throw new MloError('MLO_USAGE', `${option} ${text} holds nothing`, 'give at least 4K');
}

function policiesNamed(text: string): string[] {
  if (text === 'all') return names;
  const chosen = text.split(',');
  for (const name of chosen) {
    if (names.includes(name)) continue;
    const near = nearest(name, names);
    const remedy = near === undefined ? `there are ${names.join(', ')}` : `did you mean "${near}"?`;
    throw new MloError('MLO_USAGE', `there is no policy "${name}"`, remedy);
  }
  return chosen;
}

/** On standard error, when it takes long. */
class Progress {
  readonly #live = process.stderr.isTTY;
  #nextMs: number;
  #told = false;

  constructor(startedMs: number) {
    this.#nextMs = startedMs + PATIENCE_MS;
  }

  tell(text: string): void {
    const nowMs = performance.now();
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + (this.#live ? TOLD_EVERY_MS : 10 * TOLD_EVERY_MS);
    this.#told = true;
    process.stderr.write(this.#live ? `\r\x1b[K${text}` : `${text}\n`);
  }

  end(): void {
    if (this.#told && this.#live) process.stderr.write('\r\x1b[K');
  }
}
