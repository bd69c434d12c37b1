/**
 * Batches: how many workers read a data set, and how many files each of them takes at a time. A DataLoader gives batch b to worker
 * b mod W, which reads its files one after the other, puts them together, hands them on, and takes the next.
 *
 * In the order of the names that is seen in what is opened: runs of B files, then a step over those of the other workers. In a
 * shuffled pass it is seen in time alone: a worker's pause before the first file of a batch is longer than those inside. These
 * pauses are folded by each period that may be it, as pulsars are found (epoch folding: Leahy et al., Astrophysical Journal 266,
 * 1983, p. 160), with the phase known where a worker's first open of a pass is. Instead of the pauses' lengths, which have outliers,
 * it goes by the longest of them, as many as there would be batches: by chance one in B of them falls where a batch begins. How
 * unlikely it is that so many do is bounded by Chernoff (Hoeffding, JASA 58, 1963), and has to stand for all periods that were tried.
 *
 * The divisors and multiples of a batch show as well, but less: of what they call the longest pauses fewer lie where they say.
 */

/** Opens of one data set in the order they came; one entry of each array an open. */
export interface OpenSequence {
  readonly count: number;
  /** Who opened: a number for each process. */
  readonly readers: Int32Array;
  /** Which file, as its place among all that were opened, in each order of their names that they may be read in; none: in no order. */
  readonly places: readonly Int32Array[];
  readonly directories: Int32Array;
  /** What the reader did between the answer to its last request and this one, in ms; negative: it is its first, or not known. */
  readonly pausesMs: Float64Array;
  /** Where a pass begins: positions, the first of them 0. */
  readonly passes: readonly number[];
  /** Nothing was opened before the first. */
  readonly fromStart: boolean;
}

export interface Batches {
  /** Processes that read side by side, a fair share each; null: too little was seen. */
  workers: number | null;
  /** The share of all opens that is theirs. */
  workersConfidence: number | null;
  /** Files of a batch; null: none are seen. */
  batchFiles: number | null;
  /**
   * In the order of the names the share of batches that are so large. Else how much oftener a pause before a batch is longer than
   * one inside than shorter: 0 by chance, 1 always.
   */
  batchConfidence: number | null;
}

export const NO_BATCHES: Batches = {
  workers: null,
  workersConfidence: null,
  batchFiles: null,
  batchConfidence: null,
};

/** Fewer opens say nothing of who reads; */
const OPENS_LEAST = 64;
/** nor do they where so many are of others. */
const WORKERS_SHARE = 0.9;
/** Of what the busiest reads, what a worker reads at least. */
const FAIR_SHARE = 1 / 2;
/** Workers are all there are when none has come for so much of the time. */
const SETTLED_SHARE = 1 / 2;

export const BATCH_MOST = 512;
/** Batches that must be seen to begin. */
const BATCHES_LEAST = 4;
const CONFIDENCE_LEAST = 1 / 2;
/** How likely a batch may be found where there is none: e to this. */
const CHANCE_LOG_MOST: number = Math.log(1e-6);

/** Of a reader's steps, those from a file of a batch to its next, at least: half of them where it has two files. */
const STEP_SHARE = 0.4;

/** What one reader opened in one pass: positions. */
interface Segment {
  readonly opens: number[];
  /** Its first open in this pass is the first of them, and begins a batch. */
  readonly begun: boolean;
}

export function batchesOf(sequence: OpenSequence): Batches {
  const found = workersOf(sequence);
  if (found === undefined) return NO_BATCHES;
  const { workers } = found;
  const segments = segmentsOf(sequence, workers);
  const batch = (workers > 1 ? batchByPlaces(sequence, segments) : undefined) ?? batchByPauses(sequence, segments);
  return {
    workers,
    workersConfidence: found.confidence,
    batchFiles: batch?.files ?? null,
    batchConfidence: batch?.confidence ?? null,
  };
}

interface Workers {
  workers: number;
  confidence: number;
}

/** Of the last pass that says it: a job may have just begun the next, with other processes. */
function workersOf(sequence: OpenSequence): Workers | undefined {
  const { passes, count } = sequence;
  for (let pass = passes.length - 1; pass >= 0; pass--) {
    const found = workersWithin(sequence, passes[pass]!, passes[pass + 1] ?? count);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Those that read beside the one that was busiest at last. */
function workersWithin({ readers }: OpenSequence, from: number, to: number): Workers | undefined {
  const lately = countsOf(readers, to - Math.ceil((to - from) / 4), to);
  const [busiest] = [...lately].sort(([, a], [, b]) => b - a)[0] ?? [];
  if (busiest === undefined) return undefined;
  const first = readers.indexOf(busiest, from);
  const end = readers.lastIndexOf(busiest, to - 1) + 1;
  const opens = countsOf(readers, first, end);
  const fair = [...opens].filter(([, count]) => count >= FAIR_SHARE * Math.max(...opens.values()));
  const came = Math.max(...fair.map(([reader]) => readers.indexOf(reader, first)));
  const all = end - first;
  if (all < OPENS_LEAST || came - first > all * SETTLED_SHARE) return undefined;
  const theirs = fair.reduce((sum, [, count]) => sum + count, 0);
  return theirs < all * WORKERS_SHARE ? undefined : { workers: fair.length, confidence: theirs / all };
}

function countsOf(readers: Int32Array, from: number, to: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (let at = from; at < to; at++) counts.set(readers[at]!, (counts.get(readers[at]!) ?? 0) + 1);
  return counts;
}

/** By pass and reader, of those that read a fair share; of passes with fewer of them none: another job's, or to make an index. */
function segmentsOf({ count, readers, passes, fromStart }: OpenSequence, workers: number): Segment[] {
  const segments: Segment[] = [];
  for (const [pass, from] of passes.entries()) {
    const byReader = new Map<number, Segment>();
    for (let at = from; at < (passes[pass + 1] ?? count); at++) {
      const reader = readers[at]!;
      let segment = byReader.get(reader);
      if (segment === undefined) {
        segment = { opens: [], begun: fromStart || pass > 0 };
        byReader.set(reader, segment);
      }
      segment.opens.push(at);
    }
    const all = [...byReader.values()];
    const least = FAIR_SHARE * Math.max(...all.map(({ opens }) => opens.length));
    const fair = all.filter(({ opens }) => opens.length >= least);
    if (fair.length >= workers) segments.push(...fair);
  }
  return segments;
}

interface Found {
  files: number;
  confidence: number;
}

/** In an order of the names: the lengths of the runs between steps over what the others read. */
function batchByPlaces({ places }: OpenSequence, segments: readonly Segment[]): Found | undefined {
  for (const order of places) {
    const found = batchInOrder(order, segments);
    if (found !== undefined) return found;
  }
  return undefined;
}

function batchInOrder(places: Int32Array, segments: readonly Segment[]): Found | undefined {
  const step = commonStep(places, segments);
  if (step === undefined) return undefined;
  const lengths = new Map<number, number>();
  let runs = 0;
  for (const { opens, begun } of segments) {
    let length = 1;
    let whole = begun;
    for (let at = 1; at < opens.length; at++) {
      const moved = places[opens[at]!]! - places[opens[at - 1]!]!;
      if (moved === step) {
        length++;
        continue;
      }
      // Over W - 1 batches as long, of each W readers one.
      if (whole) {
        runs++;
        const over = moved / step - 1;
        if (over > 0 && over % length === 0) lengths.set(length, (lengths.get(length) ?? 0) + 1);
      }
      whole = true;
      length = 1;
    }
  }
  const [most] = [...lengths].sort(([, a], [, b]) => b - a);
  if (most === undefined || most[0] < 2 || runs < BATCHES_LEAST) return undefined;
  const [files, times] = most;
  const confidence = times / runs;
  return confidence < CONFIDENCE_LEAST ? undefined : { files, confidence };
}

/** From one file of a reader to its next, mostly: 1, or the ranks that share the files one by one. */
function commonStep(places: Int32Array, segments: readonly Segment[]): number | undefined {
  const steps = new Map<number, number>();
  let all = 0;
  for (const { opens } of segments) {
    for (let at = 1; at < opens.length; at++) {
      const step = places[opens[at]!]! - places[opens[at - 1]!]!;
      steps.set(step, (steps.get(step) ?? 0) + 1);
      all++;
    }
  }
  const common = [...steps].filter(([step, times]) => step > 0 && times >= all * STEP_SHARE).map(([step]) => step);
  return common.length === 0 ? undefined : Math.min(...common);
}

/** The pauses of a segment; the one before its open `at` has number `at`, from 1. */
interface Pauses {
  /** Numbers, the longest pause first. */
  readonly longestFirst: Int32Array;
  /** By number: the share of pauses that are shorter, and that as a score: exponential, 1 in the mean, without outliers. */
  readonly ranks: Float64Array;
  readonly scores: Float64Array;
  readonly begun: boolean;
}

/** The pauses where batches would begin. */
class Folded {
  batches = 0;
  /** What else might have been taken in their place, as a logarithm. */
  choicesLog: number = Math.LN2;
  #score = 0;
  #rank = 0;

  add({ ranks, scores }: Pauses, period: number, first: number): void {
    for (let at = first; at < scores.length; at += period) {
      this.#score += scores[at]!;
      this.#rank += ranks[at]!;
      this.batches++;
    }
  }

  /** How likely they are so long where there are no batches, as a logarithm. */
  get chanceLog(): number {
    const mean = this.#score / this.batches;
    return mean > 1 ? this.choicesLog - this.batches * (mean - 1 - Math.log(mean)) : 0;
  }

  /** How much oftener a pause before a batch is longer than one inside than shorter: 0 by chance, 1 always. */
  confidence(period: number): number {
    return ((2 * this.#rank) / this.batches - 1) / (1 - 1 / period);
  }
}

function batchByPauses(sequence: OpenSequence, segments: readonly Segment[]): Found | undefined {
  const pauses = segments.map((segment) => pausesOf(sequence, segment));
  const most = Math.min(BATCH_MOST, Math.max(1, ...pauses.map(({ scores }) => scores.length - 1)));
  const counts = new Int32Array(BATCH_MOST);
  let files = 0;
  let best = new Folded();
  for (let period = 2; period <= most; period++) {
    for (const folded of foldsOf(pauses, period, counts)) {
      if (folded.batches < BATCHES_LEAST || folded.chanceLog >= best.chanceLog) continue;
      best = folded;
      files = period;
    }
  }
  if (files === 0 || best.chanceLog + Math.log(most) > CHANCE_LOG_MOST) return undefined;
  const confidence = best.confidence(files);
  return confidence < CONFIDENCE_LEAST ? undefined : { files, confidence };
}

/** In the phases that are known, and in those that look best. */
function foldsOf(pauses: readonly Pauses[], period: number, counts: Int32Array): Folded[] {
  const known = new Folded();
  const best = new Folded();
  for (const segment of pauses) {
    if (segment.scores.length <= period) continue;
    const looksBest = phaseOf(segment, period, counts);
    best.add(segment, period, looksBest);
    best.choicesLog += Math.log(period);
    known.add(segment, period, segment.begun ? period : looksBest);
    if (!segment.begun) known.choicesLog += Math.log(period);
  }
  return [known, best];
}

/** The phase that most of the longest pauses have, of twice as many as there would be batches: from 1 to the period. `counts`: zeros. */
function phaseOf({ longestFirst }: Pauses, period: number, counts: Int32Array): number {
  const looked = Math.min(longestFirst.length, 2 * Math.ceil(longestFirst.length / period));
  let phase = 0;
  let most = 0;
  for (let at = 0; at < looked; at++) {
    const other = longestFirst[at]! % period;
    const count = ++counts[other]!;
    if (count <= most) continue;
    most = count;
    phase = other;
  }
  for (let at = 0; at < looked; at++) counts[longestFirst[at]! % period] = 0; // fewer than there are phases
  return phase === 0 ? period : phase;
}

/** A pause and its number as one, so that a typed array sorts them. */
const NUMBERS = 2 ** 22;
const PAUSE_MOST_US: number = 2 ** 30;

function pausesOf({ pausesMs, directories }: OpenSequence, { opens, begun }: Segment): Pauses {
  const count = Math.min(opens.length, NUMBERS) - 1;
  const keyed = new Float64Array(count);
  const walks = walksDirectories(directories, opens);
  for (let at = 1; at <= count; at++) {
    const open = opens[at]!;
    // Who goes through one directory after the other lists it in between.
    const lists = walks && directories[open] !== directories[opens[at - 1]!];
    const pauseUs = lists ? 0 : Math.min(PAUSE_MOST_US, Math.max(0, Math.round(pausesMs[open]! * 1000)));
    keyed[at - 1] = pauseUs * NUMBERS + at;
  }
  keyed.sort();
  const longestFirst = new Int32Array(count);
  const ranks = new Float64Array(count + 1);
  const scores = new Float64Array(count + 1);
  for (let shorter = 0; shorter < count; shorter++) {
    const number = keyed[shorter]! % NUMBERS;
    const rank = (shorter + 0.5) / count;
    longestFirst[count - 1 - shorter] = number;
    ranks[number] = rank;
    scores[number] = -Math.log(1 - rank);
  }
  return { longestFirst, ranks, scores, begun };
}

/** It changes directories less than half as often as who opens their files in any order. */
function walksDirectories(directories: Int32Array, opens: readonly number[]): boolean {
  const counts = new Map<number, number>();
  let changes = 0;
  for (let at = 0; at < opens.length; at++) {
    const directory = directories[opens[at]!]!;
    counts.set(directory, (counts.get(directory) ?? 0) + 1);
    if (at > 0 && directory !== directories[opens[at - 1]!]) changes++;
  }
  let stays = 0;
  for (const count of counts.values()) stays += (count / opens.length) ** 2;
  return changes * 2 < (1 - stays) * opens.length;
}
