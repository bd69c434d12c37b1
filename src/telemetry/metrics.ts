/**
 * Every number the daemon tells, once: its key in the document of statistics, its name for Prometheus, kind, unit, meaning
 * and how long it can be relied on. docs/METRICS.md, the text for Prometheus and the series of the history are made from this
 * table, and a test holds the document against it.
 *
 * A key is a path in the document: `*` is every key of a record (and becomes a label), `[]` every element of a list.
 */

/**
 * counter: only grows, from 0 at the mount. gauge: goes up and down. histogram: for Prometheus only. text: words.
 */
export type Kind = 'counter' | 'gauge' | 'histogram' | 'text';
export type Unit = '' | 'bytes' | 'seconds' | 'ms' | 'ratio';
/** stable: a key that is there stays, and keeps its meaning. experimental: may change with any version. */
export type Stability = 'stable' | 'experimental';

export interface Metric {
  /** In the document; undefined: told to Prometheus only. */
  key?: string;
  /** What Prometheus calls it; undefined: not told to it. */
  name?: string;
  /** The label that stands for `*` or the element. */
  label?: string;
  kind: Kind;
  unit: Unit;
  stability: Stability;
  meaning: string;
  /** Kept for /history. */
  history?: true;
}

const P = 'ml_overlay_';

type Extra = Partial<Pick<Metric, 'label' | 'history' | 'stability'>>;

function counter(key: string, name: string | undefined, unit: Unit, meaning: string, extra: Extra = {}): Metric {
  return { key, ...named(name, '_total'), kind: 'counter', unit, stability: 'stable', meaning, ...extra };
}

function gauge(key: string, name: string | undefined, unit: Unit, meaning: string, extra: Extra = {}): Metric {
  return { key, ...named(name, ''), kind: 'gauge', unit, stability: 'stable', meaning, ...extra };
}

function text(key: string, meaning: string, extra: Extra = {}): Metric {
  return { key, kind: 'text', unit: '', stability: 'stable', meaning, ...extra };
}

/** Names of ours get the prefix; those that Prometheus itself has a convention for begin with "process_". */
function named(name: string | undefined, suffix: string): { name?: string } {
  if (name === undefined) return {};
  return { name: `${name.startsWith('process_') ? '' : P}${name}${suffix}` };
}

const kept = { history: true } as const;
const early = { stability: 'experimental' } as const;
const kind = { label: 'kind' } as const;
const operation = { label: 'operation' } as const;
const tier = { label: 'tier' } as const;
const order = { label: 'order', stability: 'experimental' } as const;
const dataSet = { label: 'data_set', stability: 'experimental' } as const;

/** The histogram of the time of operations: its buckets come from the table of latencies, not from the document. */
export const operationDuration: Metric & { name: string } = {
  name: `${P}operation_duration_seconds`,
  label: 'operation',
  kind: 'histogram',
  unit: 'seconds',
  stability: 'stable',
  meaning: 'Time from the arrival of a request to its reply. Absent with telemetry=off.',
};

/** Who this is, in labels: version, source, mountpoint. Its value is 1. */
export const info: Metric & { name: string } = {
  name: `${P}info`,
  kind: 'gauge',
  unit: '',
  stability: 'stable',
  meaning: 'Always 1; the labels version, source and mountpoint say which mount this is.',
};

export const metrics: readonly Metric[] = [
  info,
  gauge(
    'schema',
    undefined,
    '',
    'Version of this document: grows when a stable key is taken away or changes its meaning.',
  ),
  text('mountpoint', 'Where it is mounted.'),
  text('source', 'What is mounted.'),
  text('version', 'Of ml-overlay.'),
  text('at', 'When the document was made, ISO 8601.'),
  gauge('upSeconds', 'up_seconds', 'seconds', 'Time since the mount was there.'),

  counter('cache.hits', 'cache_hits', '', 'Reads answered from the cache.', kept),
  counter('cache.misses', 'cache_misses', '', 'Reads of cached files that had to go to the store.', kept),
  gauge('cache.hitRatio', undefined, 'ratio', 'hits / (hits + misses); null when there were none.'),
  gauge('cache.bytes', 'cache_used_bytes', 'bytes', 'In the cache.', kept),
  gauge('cache.sizeBytes', 'cache_size_bytes', 'bytes', 'That the cache may use.'),
  counter('cache.hitBytes', 'cache_hit_bytes', 'bytes', 'Read from the cache.', kept),
  counter('cache.missBytes', 'cache_miss_bytes', 'bytes', 'Of the reads that had to go to the store.', kept),
  gauge('cache.objects', 'cache_objects', '', 'Objects in the cache: one for each file and version.'),
  gauge('cache.completeObjects', 'cache_complete_objects', '', 'Objects whose every byte is there.'),
  gauge(
    'cache.objectsInMemory',
    'cache_objects_in_memory',
    '',
    'Objects that were asked for since the mount, or that may have to go; the others are rows of the index.',
    early,
  ),
  counter('cache.refused', 'cache_refused', '', 'Times that content was not taken.'),
  counter(
    'cache.refusedFor.*',
    'cache_refused_for',
    '',
    'The same by why: noRoom (what is kept is worth more), disk (full, failing, or too small), neverCache (a rule).',
    { label: 'reason' },
  ),
  text('cache.policy', 'What decides which content is kept.'),
  counter('cache.evictions', 'cache_evictions', '', 'Objects removed to make room.', kept),
  counter('cache.evictedBytes', 'cache_evicted_bytes', 'bytes', 'Of these objects.', kept),
  gauge('cache.pinnedBytes', 'cache_pinned_bytes', 'bytes', 'Kept because a rule says so.'),
  gauge(
    'cache.heldBytes',
    'cache_held_bytes',
    'bytes',
    'Out of the cache, and in use until their readers are done.',
    early,
  ),
  counter('cache.checkedChunks', 'cache_checked_chunks', '', 'Chunks in the cache held against their checksums.'),
  counter(
    'cache.damagedChunks',
    'cache_damaged_chunks',
    '',
    'Chunks that were not what they were: fetched again.',
    kept,
  ),
  text(
    'cache.scrub.state',
    'off, waiting (for the index), running, paused (others read), or resting until the next pass.',
  ),
  gauge('cache.scrub.bytesPerSecond', undefined, 'bytes', 'That it may read in a second.', early),
  counter(
    'cache.scrub.checkedBytes',
    'cache_scrub_bytes',
    'bytes',
    'Read from the disk of the cache and checked.',
    early,
  ),
  counter('cache.scrub.damagedChunks', undefined, '', 'Of the damaged chunks, those that the scrub found.', early),
  counter('cache.scrub.passes', 'cache_scrub_passes', '', 'Passes through the whole cache that have ended.', early),
  gauge(
    'cache.scrub.done',
    'cache_scrub_done_ratio',
    'ratio',
    'Share of the objects that this pass is done with.',
    early,
  ),
  text('cache.health', '"ok", "none" (there is no cache), or what is wrong and since when.'),
  text('cache.tiers[].path', 'A tier, the fastest first: its directory, or "mem".'),
  gauge('cache.tiers[].bytes', 'cache_tier_used_bytes', 'bytes', 'In this tier.', tier),
  gauge('cache.tiers[].sizeBytes', 'cache_tier_size_bytes', 'bytes', 'That it may use.', tier),
  gauge(
    'cache.tiers[].objects',
    'cache_tier_objects',
    '',
    'Objects in it; one that two tiers have counts in both.',
    tier,
  ),
  counter('cache.tiers[].hits', 'cache_tier_hits', '', 'Reads answered from it.', tier),
  counter('cache.tiers[].hitBytes', 'cache_tier_hit_bytes', 'bytes', 'Of these reads.', tier),
  counter('cache.tiers[].promotions', 'cache_tier_promotions', '', 'Objects that came to it from slower tiers.', tier),
  counter('cache.tiers[].promotedBytes', 'cache_tier_promoted_bytes', 'bytes', 'Of these objects.', tier),
  counter('cache.tiers[].demotions', 'cache_tier_demotions', '', 'Objects that came to it from faster tiers.', tier),
  counter('cache.tiers[].demotedBytes', 'cache_tier_demoted_bytes', 'bytes', 'Of these objects.', tier),
  text('cache.tiers[].health', '"ok", or what is wrong with it, since when, and what to do.'),

  counter('metadata.hits', 'metadata_hits', '', 'Look-ups answered from what was known, or already asked for.'),
  counter('metadata.misses', 'metadata_misses', '', 'Look-ups that the source had to be asked for.'),
  counter('metadata.listings', 'metadata_listings', '', 'Directories that the source had to list.'),
  gauge('metadata.directories', 'metadata_directories', '', 'Listings in memory; metadata is null for a local source.'),
  gauge('metadata.entries', 'metadata_entries', '', 'Their entries whose attributes are known.'),
  gauge('metadata.bytes', 'metadata_bytes', 'bytes', 'Estimate of the memory these take.'),
  gauge('metadata.budgetBytes', 'metadata_budget_bytes', 'bytes', 'That they may take.'),
  counter('metadata.aheadRequests', 'metadata_ahead_requests', '', 'Look-ups made ahead of the reader of a directory.'),
  counter('metadata.aheadUsed', 'metadata_ahead_used', '', 'Of these, those asked for, or told with a listing, since.'),
  counter('metadata.aheadUnused', 'metadata_ahead_unused', '', 'Of these, those thrown away before anybody asked.'),
  counter('metadata.aheadListings', 'metadata_ahead_listings', '', 'Directories listed before their reader came.'),
  counter('metadata.aheadListingsUsed', 'metadata_ahead_listings_used', '', 'Of these, those read since.'),
  gauge(
    'metadata.shelf.bytes',
    'metadata_shelf_bytes',
    'bytes',
    'On disk for the next mount; null where nothing is kept.',
  ),
  gauge('metadata.shelf.limitBytes', 'metadata_shelf_limit_bytes', 'bytes', 'That this may take.'),
  gauge('metadata.shelf.directories', 'metadata_shelf_directories', '', 'Directories that are kept there.'),
  counter('metadata.shelf.recalled', 'metadata_shelf_recalled', '', 'Directories brought back from there.'),
  counter('metadata.shelf.written', 'metadata_shelf_written', '', 'Directories put there.'),
  counter(
    'metadata.shelf.damaged',
    'metadata_shelf_damaged',
    '',
    'Directories that were not what they were: asked for again.',
  ),

  counter('store.requests', 'store_requests', '', 'Requests that the source was asked.', kept),
  counter('store.bytes', 'store_read_bytes', 'bytes', 'Read from the source.', kept),
  counter('store.bytesWritten', 'store_written_bytes', 'bytes', 'Written to the source.'),
  counter(
    'store.errors',
    'store_errors',
    '',
    'Requests that failed by trouble with the source, not by its answer.',
    kept,
  ),
  counter('store.closes', undefined, '', 'Files of the source that were closed; these are no requests.', early),
  counter('store.walks', undefined, '', 'Directories of the source that were entered; these are no requests.', early),
  counter('store.byKind.*', 'store_requests_by_kind', '', 'Requests that the source was asked, by their kind.', kind),

  counter('prefetch.bytes', 'prefetch_bytes', 'bytes', 'Fetched ahead of the reader.'),
  counter('prefetch.usedBytes', 'prefetch_used_bytes', 'bytes', 'Fetched ahead and read afterwards.'),
  gauge(
    'prefetch.accuracy',
    'prefetch_accuracy_ratio',
    'ratio',
    'usedBytes / bytes; null when nothing was prefetched.',
  ),
  counter('prefetch.wastedBytes', undefined, 'bytes', 'Gone before anybody read it, or not read in time.', early),
  gauge('prefetch.underWay', 'prefetch_under_way', '', 'Of what is fetched ahead: files and ranges under way.', early),
  gauge('prefetch.window', 'prefetch_window', '', 'Of these, as many as the source takes.', early),
  text('prefetch.state', '"off", "ok", or why nothing is asked of the source: "hung", "failing", "limited".', early),
  counter(
    'prefetch.failures',
    'prefetch_failures',
    '',
    'Requests of it that failed by trouble with the source.',
    early,
  ),
  counter(
    'prefetch.byOrder.*.bytes',
    'prefetch_order_bytes',
    'bytes',
    'Fetched ahead, by the order that asked.',
    order,
  ),
  counter('prefetch.byOrder.*.usedBytes', 'prefetch_order_used_bytes', 'bytes', 'Of these, read afterwards.', order),
  gauge('prefetch.byOrder.*.wastedBytes', 'prefetch_order_wasted_bytes', 'bytes', 'Of these, wasted so far.', order),
  text('prefetch.orders[].name', 'An order that is asked now: what it goes by.', early),
  text('prefetch.orders[].about', 'The data set or file it speaks of.', early),
  counter('prefetch.orders[].bytes', undefined, 'bytes', 'Fetched for it.', early),
  counter('prefetch.orders[].usedBytes', undefined, 'bytes', 'Of these, read since.', early),
  gauge('prefetch.orders[].wastedBytes', undefined, 'bytes', 'Of these, wasted so far.', early),
  text('prefetch.orders[].believed', 'Whether it is believed: half of what it says was read.', early),

  gauge('warmups.running', 'warmups_running', '', 'Jobs of `ml-overlay warmup` that go on.'),
  counter('warmups.jobs', 'warmups', '', 'Jobs begun.'),
  counter('warmups.files', 'warmup_files', '', 'Files they brought into the cache.'),
  counter('warmups.bytes', 'warmup_bytes', 'bytes', 'Of these files. None of them are misses of the cache.'),
  counter('warmups.errors', 'warmup_errors', '', 'Files they could not bring, look up or drop.'),

  gauge(
    'stall.share',
    'stall_ratio',
    'ratio',
    'Share of its time that the job waited for data; null: nobody reads, or it cannot be known.',
    kept,
  ),
  gauge('stall.readersShare', 'readers_stall_ratio', 'ratio', 'Share of their time that requests held up the readers.'),
  gauge('stall.firstReadShare', 'stall_first_read_ratio', 'ratio', 'Of that time, the share in first reads of files.'),
  gauge(
    'stall.au',
    'accelerator_utilisation_ratio',
    'ratio',
    'Compute time / total time, as MLPerf Storage defines it.',
  ),
  gauge(
    'stall.lastEpoch.seconds',
    'last_epoch_seconds',
    'seconds',
    'Of the last pass over the data; null: none has ended.',
  ),
  gauge('stall.lastEpoch.share', 'last_epoch_stall_ratio', 'ratio', 'As stall.share, of that pass.'),
  gauge('stall.lastEpoch.firstReadShare', undefined, 'ratio', 'As stall.firstReadShare, of that pass.'),
  gauge('stall.lastEpoch.au', 'last_epoch_accelerator_utilisation_ratio', 'ratio', 'As stall.au, of that pass.'),
  gauge(
    'stall.lastEpoch.cachedSeconds',
    undefined,
    'seconds',
    'Estimate of the pass with its data in the cache.',
    early,
  ),
  text('stall.estimated', 'Whether any of these rests on samples.'),
  text('stall.sentences[]', 'What a person should know, the most important first.', early),

  text('processes[].pid', 'The process; null: those that cannot be seen.'),
  text('processes[].command', 'Its name.'),
  gauge('processes[].threads', undefined, '', 'Its threads that asked for something.'),
  counter('processes[].opens', undefined, '', 'Files it opened.'),
  counter('processes[].reads', undefined, '', 'Its reads that the daemon served.'),
  counter('processes[].readBytes', undefined, 'bytes', 'Of these reads.'),
  counter('processes[].activeSeconds', undefined, 'seconds', 'From its first request to its last.'),
  counter('processes[].waitSeconds', undefined, 'seconds', 'That requests held up its threads.'),
  gauge('processes[].stallShare', undefined, 'ratio', 'Share of its time that it was held up; null: cannot be known.'),
  text('processes[].estimated', 'Whether stallShare rests on samples.'),

  text('dataSets[].path', 'Directory below the mountpoint; empty: the mountpoint itself.'),
  gauge('dataSets[].files', 'data_set_files', '', 'Files of it that were opened so far.', dataSet),
  gauge('dataSets[].bytes', 'data_set_bytes', 'bytes', 'Their sizes.', dataSet),
  counter('dataSets[].opens', 'data_set_opens', '', 'Times that they were opened.', dataSet),
  counter('dataSets[].reads', 'data_set_reads', '', 'Their reads that the daemon served.', dataSet),
  counter('dataSets[].readBytes', 'data_set_read_bytes', 'bytes', 'Of these reads.', dataSet),
  counter('dataSets[].hits', 'data_set_hits', '', 'Reads that did not have to wait for the source.', dataSet),
  counter('dataSets[].hitBytes', 'data_set_hit_bytes', 'bytes', 'Of these reads.', dataSet),
  counter('dataSets[].waitSeconds', 'data_set_wait_seconds', 'seconds', 'That its readers were held up.', dataSet),
  counter('dataSets[].betweenSeconds', 'data_set_between_seconds', 'seconds', 'Of its readers between reads.', dataSet),
  gauge('dataSets[].epoch', 'data_set_epoch', '', 'Passes over the data set begun.', dataSet),
  gauge(
    'dataSets[].epochDone',
    'data_set_epoch_done_ratio',
    'ratio',
    'Share of its files that this pass has read.',
    dataSet,
  ),

  text('trace.file', 'Where a trace is being recorded; trace is null when none is.', early),
  counter('trace.events', undefined, '', 'Events recorded.', early),
  counter('trace.bytes', undefined, 'bytes', 'Written to the trace.', early),
  counter('trace.lost', undefined, '', 'Events that found no room.', early),

  counter('opens.count', 'opens', '', 'Files opened.', kept),
  counter('opens.byWay.*', 'opens_by_way', '', 'Files opened, by what serves their reads.', { label: 'way' }),
  counter('opens.keptPages', 'opens_kept_pages', '', 'Opens at which the kernel was told to keep its pages.'),
  counter('opens.pushed', 'opens_pushed', '', 'Opens whose bytes were handed to the kernel with the answer.', early),
  counter('opens.stale', 'opens_stale', '', 'Opens answered ESTALE, for the name to be looked up again.'),
  counter('opens.forWriting', 'opens_for_writing', '', 'Files opened for writing.'),

  counter(
    'reads.count',
    'reads',
    '',
    'Reads that the daemon served; those the kernel served by itself are hidden.',
    kept,
  ),
  counter('reads.bytes', 'read_bytes', 'bytes', 'Of these reads.', kept),
  counter(
    'reads.carried',
    'reads_carried',
    '',
    'Reads whose bytes went from a file to the kernel past the daemon.',
    early,
  ),
  counter('reads.errors', 'read_errors', '', 'Reads that failed.', kept),
  counter('reads.fromCache.count', 'reads_from_cache', '', 'Reads that did not wait for the source.'),
  counter('reads.fromCache.bytes', 'read_from_cache_bytes', 'bytes', 'Of these reads.'),
  counter('reads.fromStore.count', 'reads_from_store', '', 'Reads any of whose bytes came from the source.'),
  counter('reads.fromStore.bytes', 'read_from_store_bytes', 'bytes', 'Of these reads.'),
  counter(
    'reads.waitSeconds',
    'read_wait_seconds',
    'seconds',
    'Sum of the times of all reads, read-ahead among them.',
    kept,
  ),
  counter(
    'reads.hidden.opens',
    'hidden_opens',
    '',
    'Opens whose reads the kernel may serve unseen; null: it opens by itself (ro,immutable).',
  ),
  counter(
    'reads.hidden.reads',
    undefined,
    '',
    'Estimate of the reads the kernel served unseen; null: no samples.',
    early,
  ),
  gauge('reads.hidden.readsError', undefined, '', 'Standard error of that estimate.', early),
  counter('reads.hidden.bytes', undefined, 'bytes', 'Of these reads, estimated.', early),
  gauge('reads.hidden.bytesError', undefined, 'bytes', 'Standard error of that estimate.', early),
  counter('reads.hidden.sampledOpens', undefined, '', 'Opens that the estimate rests on.', early),
  counter('reads.hidden.byWay.*.opens', undefined, '', 'The same by what serves them unseen.', early),
  counter('reads.hidden.byWay.*.reads', undefined, '', 'Reads that brought bytes, estimated.', early),
  gauge('reads.hidden.byWay.*.readsError', undefined, '', 'Standard error of that estimate.', early),
  counter('reads.hidden.byWay.*.bytes', undefined, 'bytes', 'Of these reads, estimated.', early),
  gauge('reads.hidden.byWay.*.bytesError', undefined, 'bytes', 'Standard error of that estimate.', early),
  counter('reads.hidden.byWay.*.sampledOpens', undefined, '', 'Opens that the estimate rests on.', early),

  counter('writes.count', 'writes', '', 'Writes that the daemon served.', kept),
  counter('writes.bytes', 'written_bytes', 'bytes', 'Of these writes.', kept),

  counter('operations.*.count', 'operations', '', 'Requests of the kernel that arrived.', operation),
  counter(
    'operations.*.errors',
    'operation_errors',
    '',
    'Requests answered with an error. A name that is not there is none where the kernel may remember that.',
    operation,
  ),
  gauge('operations.*.meanMs', undefined, 'ms', 'Mean time from arrival to reply; null with telemetry=off.'),
  gauge('operations.*.p50Ms', undefined, 'ms', 'Median, at most 19 % too high, as the other percentiles.'),
  gauge('operations.*.p90Ms', undefined, 'ms', '90th percentile.'),
  gauge('operations.*.p99Ms', undefined, 'ms', '99th percentile.'),
  gauge('operations.*.maxMs', undefined, 'ms', 'The longest.'),
  operationDuration,

  gauge('now.inodes', 'inodes', '', 'Files that the kernel knows.', early),
  gauge('now.restingInodes', 'resting_inodes', '', 'Of these, packed until they are asked for again.', early),
  gauge('now.restingBytes', 'resting_inodes_bytes', 'bytes', 'Memory that those take.', early),
  gauge('now.files', 'open_files', '', 'Open files.', { ...early, ...kept }),
  gauge('now.directories', 'open_directories', '', 'Open directories.', early),
  gauge('now.idleDescriptors', 'idle_descriptors', '', 'Descriptors of the source kept for the next open.', early),
  gauge('now.pendingRequests', 'pending_requests', '', 'Requests that wait for their reply.', { ...early, ...kept }),

  counter('connection.dropped', 'requests_dropped', '', 'Frames that were no request.', early),
  counter('connection.malformed', 'requests_malformed', '', 'Requests that could not be decoded.', early),
  counter('connection.late', 'requests_late', '', 'Requests that were not answered at once.', early),
  counter('connection.interrupts', 'interrupts', '', 'Interrupts that the kernel told of.', early),
  counter('connection.interrupted', 'requests_interrupted', '', 'Requests answered EINTR.', early),
  counter('connection.undeliverable', 'replies_undeliverable', '', 'Replies the kernel no longer wanted.', early),
  counter('connection.notifications', 'notifications', '', 'Invalidations sent to the kernel.', early),

  counter('loop.turns', 'loop_turns', '', 'Times that the thread which serves the mount looked for requests.', early),
  gauge('loop.p99Ms', undefined, 'ms', 'For how long it did other things meanwhile, 99th percentile.', early),
  gauge('loop.maxMs', undefined, 'ms', 'The longest since the mount: whoever asked meanwhile waited that long.', early),
  counter('loop.long', 'loop_long_turns', '', 'Of these, 50 ms and longer.', early),

  text('daemon.pid', 'Process id of the daemon.'),
  gauge('daemon.residentBytes', 'process_resident_memory_bytes', 'bytes', 'Memory of the daemon.', kept),
  gauge('daemon.heapBytes', 'heap_used_bytes', 'bytes', 'JavaScript heap in use.', early),
  counter('daemon.cpuSeconds', 'process_cpu_seconds', 'seconds', 'CPU time of the daemon, user and system.', kept),
  gauge('daemon.upSeconds', 'daemon_up_seconds', 'seconds', 'Time since the daemon started.'),

  counter('problems.warnings', 'log_warnings', '', 'Warnings, logged or suppressed as repetitions.'),
  counter('problems.errors', 'log_errors', '', 'Errors, logged or suppressed as repetitions.', kept),
  counter('problems.defects', 'defects', '', 'Defects of ml-overlay that were met and survived.'),
];

export interface Sample {
  /** What `*` or the element stood for. */
  label: string | undefined;
  value: unknown;
}

/** What a document has at a key; nothing where it, or something above it, is missing or null. */
export function samplesOf(document: object, key: string): Sample[] {
  let samples: Sample[] = [{ label: undefined, value: document }];
  for (const step of key.split('.')) {
    const list = step.endsWith('[]');
    const name = list ? step.slice(0, -2) : step;
    samples = samples.flatMap(({ label, value }) => {
      if (typeof value !== 'object' || value === null) return [];
      if (name === '*') return Object.entries(value).map(([each, inner]) => ({ label: each, value: inner as unknown }));
      const inner = (value as Record<string, unknown>)[name];
      if (!list) return [{ label, value: inner }];
      return Array.isArray(inner) ? inner.map((element: unknown) => ({ label: labelOf(element), value: element })) : [];
    });
  }
  return samples.filter(({ value }) => value !== null && value !== undefined);
}

function labelOf(element: unknown): string {
  const path = (element as { path?: unknown } | null)?.path;
  return typeof path === 'string' ? path : '';
}
