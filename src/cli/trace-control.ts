/** What the daemon does with POST /trace: {"action": "start" | "stop" | "status", ...}. */
import { MAX_BYTES_LEAST, type RecordingSnapshot, type RecordRequest } from '../access/recording.ts';
import { MloError } from '../errors.ts';
import { mountedAt } from '../fuse/index.ts';
import type { DaemonParts } from './control-handlers.ts';

/** The longest a timer takes. */
const SECONDS_MOST = 2_147_483;

export interface TraceAnswer {
  /** Of the recording that goes on or ended last; null: there was none. */
  recording: RecordingSnapshot | null;
}

export async function traceControl(parts: DaemonParts, wanted: Record<string, unknown>): Promise<TraceAnswer> {
  const { request, assembly, log } = parts;
  const recorder = assembly.access?.recorder;
  if (recorder === undefined) {
    throw new MloError('MLO_TRACE', 'this mount sees no accesses', 'mount it without -o telemetry=off');
  }
  switch (wanted.action) {
    case 'start': {
      const device = mountedAt(request.mountpoint)?.device;
      const recording = await recorder.start({ ...requestOf(wanted), ...(device !== undefined && { device }) });
      log.log.info({ file: recording.file }, 'recording a trace');
      return { recording };
    }
    case 'stop':
      return { recording: await recorder.stop() };
    case 'status':
      return { recording: recorder.snapshot() };
    default:
      throw new MloError('MLO_USAGE', 'a trace is started or stopped, or its status asked for');
  }
}

function requestOf({ file, force, seconds, maxBytes }: Record<string, unknown>): RecordRequest {
  if (typeof file !== 'string' || !file.startsWith('/') || file.includes('\0')) {
    throw new MloError('MLO_USAGE', 'a trace needs the absolute path of its file');
  }
  return {
    file,
    force: force === true,
    ...(seconds !== undefined && { seconds: within('seconds', seconds, 0.001, SECONDS_MOST) }),
    ...(maxBytes !== undefined && { maxBytes: within('maxBytes', maxBytes, MAX_BYTES_LEAST, Number.MAX_SAFE_INTEGER) }),
  };
}

function within(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw new MloError('MLO_USAGE', `${name} of a trace is a number between ${least} and ${most}`);
}
