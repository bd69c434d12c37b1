/** Has a daemon record a trace, and waits for its end. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { RecordingSnapshot } from '../access/recording.ts';
import type { EndReason } from '../access/trace-format.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../config/units.ts';
import { callDaemon } from '../control/client.ts';
import { Exit, MloError } from '../errors.ts';
import { liveRecord } from './live-record.ts';
import { help } from './trace.ts';
import type { TraceAnswer } from './trace-control.ts';

const POLL_MS = 500;
/** What is recorded last has to reach the disk. */
const STOP_TIMEOUT_MS = 30_000;

export async function record(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      seconds: { type: 'string' },
      'max-size': { type: 'string' },
      force: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [mountpoint, file = defaultName(), ...more] = positionals;
  if (mountpoint === undefined || more.length > 0)
    throw new MloError('MLO_USAGE', 'trace record takes MOUNTPOINT [FILE]');
  const { socket } = liveRecord(mountpoint);
  const body = {
    action: 'start',
    file: realPath(file),
    force: values.force,
    ...(values.seconds !== undefined && { seconds: understood('--seconds', parseDuration, values.seconds) / 1000 }),
    ...(values['max-size'] !== undefined && { maxBytes: understood('--max-size', parseSize, values['max-size']) }),
  };
  const interrupt = interrupted(); // before it begins: Ctrl-C must not leave a recording behind
  const { recording } = await ask(socket, body);
  if (recording === null) throw new MloError('MLO_DEFECT', 'the daemon records nothing');
  console.error(`recording to ${recording.file}; Ctrl-C ends it`);
  return follow(socket, recording, interrupt);
}

export async function stop(words: string[]): Promise<number> {
  const [mountpoint, ...more] = words;
  if (mountpoint === undefined || more.length > 0) throw new MloError('MLO_USAGE', 'trace stop takes one MOUNTPOINT');
  const { socket } = liveRecord(mountpoint);
  const before = (await ask(socket, { action: 'status' })).recording;
  if (before?.recording !== true)
    throw new MloError('MLO_TRACE', `nothing is recorded of ${mountpoint}`, 'see trace record');
  return told(await stopped(socket, before));
}

async function follow(socket: string, begun: RecordingSnapshot, interrupt: Interrupt): Promise<number> {
  const live = process.stderr.isTTY;
  let last = begun;
  for (;;) {
    await Promise.race([sleep(POLL_MS), interrupt.came]);
    if (interrupt.asked) return told(await stopped(socket, last));
    const now = await status(socket);
    if (now === 'gone') return gone(last);
    if (now?.file !== begun.file || !now.recording) return told(now?.file === begun.file ? now : last);
    last = now;
    if (live) process.stderr.write(`\r\x1b[K${line(now)}`);
  }
}

/** The mount has gone, and its daemon has ended the trace with it. */
function gone(last: RecordingSnapshot): number {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  console.log(`${last.file}: the mount has ended; what was recorded until then is in the file`);
  return Exit.ok;
}

async function stopped(socket: string, last: RecordingSnapshot): Promise<RecordingSnapshot> {
  const { recording } = await ask(socket, { action: 'stop' }, STOP_TIMEOUT_MS);
  return recording ?? last;
}

async function status(socket: string): Promise<RecordingSnapshot | null | 'gone'> {
  try {
    return (await ask(socket, { action: 'status' })).recording;
  } catch (error) {
    if (error instanceof MloError && error.code === 'MLO_UNREACHABLE') return 'gone';
    throw error;
  }
}

async function ask(socket: string, body: object, timeoutMs?: number): Promise<TraceAnswer> {
  const options = timeoutMs === undefined ? { body } : { body, timeoutMs };
  return (await callDaemon(socket, 'POST', '/trace', options)) as unknown as TraceAnswer;
}

const why: Readonly<Record<EndReason, string>> = {
  stopped: '',
  seconds: '; the time was over',
  size: '; the limit of its size was reached',
  unmounted: '; the mount has ended',
  error: '',
};

function told(recording: RecordingSnapshot): number {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const { file, reason, message } = recording;
  if (reason === 'error') {
    throw new MloError(
      'MLO_TRACE',
      `${file}: the recording ended early: ${message ?? 'unknown'}`,
      'what is there can be read',
    );
  }
  console.log(`${line(recording)}${why[reason ?? 'stopped']}`);
  console.log(`ml-overlay trace show ${file} --summary`);
  return Exit.ok;
}

function line({ file, events, lost, bytes, seconds }: RecordingSnapshot): string {
  const missing = lost === 0 ? '' : `, ${lost} lost (the disk was too slow)`;
  return `${file}: ${events} events${missing}, ${formatSize(bytes)}, ${formatDuration(Math.round(seconds * 1000))}`;
}

interface Interrupt {
  readonly asked: boolean;
  came: Promise<void>;
}

function interrupted(): Interrupt {
  const { promise, resolve: come } = Promise.withResolvers<void>();
  const interrupt = { asked: false, came: promise };
  const note = (): void => {
    interrupt.asked = true;
    come();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, note);
  return interrupt;
}

/** Resolved here and not in the daemon, which serves what may lie on the way. */
function realPath(file: string): string {
  const path = resolve(file);
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch (error) {
    throw new MloError('MLO_TRACE', `cannot write ${path}: ${(error as Error).message}`, 'name another file');
  }
}

function defaultName(): string {
  const now = new Date();
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `ml-overlay-${date}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}.trace`;
}

function understood(name: string, parse: (text: string) => number, text: string): number {
  try {
    return parse(text);
  } catch (error) {
    throw new MloError('MLO_USAGE', `${name} takes ${(error as Error).message}`);
  }
}
