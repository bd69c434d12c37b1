/** What the command hands to the daemon it starts: everything decided, so that the daemon parses nothing. */
import type { KernelFlag } from './mount-options.ts';
import type { Settings } from './schema.ts';

export interface DaemonRequest {
  /** Absolute. */
  source: string;
  mountpoint: string;
  settings: Settings;
  flags: KernelFlag[];
  /** Where each setting came from, and how it was written; for `status`. */
  origins: Record<string, string>;
  texts: Record<string, string>;
  /** The daemon stays in front: nobody waits for its report, and it may use the terminal. */
  foreground: boolean;
  /** Where the registry and the control socket are. */
  runtimeDirectory: string;
}

/** The variable that carries the request as JSON. */
export const REQUEST_VARIABLE = 'ML_OVERLAY_REQUEST';
/** The descriptor on which a daemon in the background reports, in lines of JSON: where it will mount, then how it went. */
export const REPORT_FD = 3;

export type DaemonReport =
  | { mountingOn: string }
  /** `known`: directories, below the mountpoint as byte strings, whose names are known from an earlier mount. */
  | { mounted: true; pid: number; device: string; mountpoint: string; known: string[] }
  | { mounted: false; code: string; message: string; remedy: string };
