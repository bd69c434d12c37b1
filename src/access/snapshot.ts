/** What `stats` tells of readers and data sets. Numbers that cannot be known are null, and those that are estimated say so. */

import type { Batches } from './detectors/batch.ts';

/** A process that reads through the mount, or all whose process cannot be seen (`pid` null). */
export interface ProcessSnapshot {
  pid: number | null;
  /** As in /proc/PID/comm. */
  command: string;
  /** Threads of it that asked for something. */
  threads: number;
  opens: number;
  /** READs the daemon served, and their bytes. */
  reads: number;
  readBytes: number;
  /** From its first request to its last, in seconds. */
  activeSeconds: number;
  /** Time its threads were held up by requests, in seconds, and its share of their active time; null: cannot be known. */
  waitSeconds: number;
  stallShare: number | null;
  /** `stallShare` was made out partly from samples, or from what the kernel hides. */
  estimated: boolean;
}

/** The waiting of a whole job: of all that was read since nobody had read for five minutes. docs/STALL.md says how. */
export interface StallSnapshot {
  /**
   * Share of its time that the job waited for data: of whoever consumes what the readers read, where that can be seen, else
   * of the readers. Null: nobody reads, or it cannot be known.
   */
  share: number | null;
  /** Share of the readers' time that they were held up by our requests. */
  readersShare: number | null;
  /** Of that time, the share spent in the first read (and open) of a file. */
  firstReadShare: number | null;
  /** Accelerator utilisation as MLPerf Storage defines it (compute time / total time); null: the consumer's pace cannot be seen. */
  au: number | null;
  /** The pass over the data that has ended last. */
  lastEpoch: EpochStall | null;
  estimated: boolean;
  /** What a person should know, as plain sentences; the most important first. */
  sentences: string[];
}

export interface EpochStall {
  seconds: number;
  share: number | null;
  firstReadShare: number | null;
  au: number | null;
  /** What it would have taken with all its data in the cache, about. */
  cachedSeconds: number;
}

/** Of a mount that nobody reads, or that is not observed. */
export const NO_STALL: StallSnapshot = {
  share: null,
  readersShare: null,
  firstReadShare: null,
  au: null,
  lastEpoch: null,
  estimated: false,
  sentences: [],
};

/** A directory tree that a job reads. */
export interface DataSetSnapshot extends Batches {
  /** Below the mount's root, '' for the root. */
  path: string;
  /** Files of it that were opened so far, and their bytes. */
  files: number;
  bytes: number;
  opens: number;
  reads: number;
  readBytes: number;
  /** READs (and their bytes) that did not have to wait for the store. */
  hits: number;
  hitBytes: number;
  waitSeconds: number;
  /** Time of its readers between their reads, in seconds. */
  betweenSeconds: number;
  /** Passes over the data set begun, and the share of its known files that the present one has read. */
  epoch: number;
  epochDone: number | null;
}

/** How one process reads one large file by one descriptor, from its last READs. */
export interface StreamSnapshot {
  /** Below the mount's root. */
  path: string;
  /** Its process, or its thread where that cannot be seen. */
  process: number;
  pattern: 'sequential' | 'backward' | 'strided' | 'random' | 'unknown';
  /** Between the places it reads, in bytes; the mean where the steps are several. Null: it does not stride. */
  stepBytes: number | null;
  reads: number;
  bytes: number;
  /**
   * Passes over the file begun, by all who read it, and the share of it that the present one has read, of what the daemon saw;
   * null: it is not read in passes, or that cannot be told yet.
   */
  epoch: number | null;
  epochDone: number | null;
}

export interface AccessSnapshot {
  processes: ProcessSnapshot[];
  dataSets: DataSetSnapshot[];
  /** Those used last, first. */
  streams: StreamSnapshot[];
  stall: StallSnapshot;
  trace: { file: string; events: number; bytes: number; lost: number } | null;
}
