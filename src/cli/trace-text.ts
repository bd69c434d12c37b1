/** One event of a trace as a line, or as an object with stable keys. */
import { getSystemErrorName } from 'node:util';
import type { TracedThread, TraceEvent } from '../access/trace-format.ts';
import { formatSize } from '../config/units.ts';

/** A path is bytes; what is no UTF-8 is shown as U+FFFD. */
export function pathText(path: string): string {
  return ascii.test(path) ? path : Buffer.from(path, 'latin1').toString('utf8');
}

/** Printable ASCII: what is shown as it is. */
const ascii = /^[\x20-\x7e]*$/;

/** For a terminal: a name can hold a newline or an escape sequence. */
export function pathShown(path: string): string {
  if (ascii.test(path)) return path;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return pathText(path).replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

export function processShown(by: TracedThread | undefined): string {
  if (by === undefined) return '(damaged)';
  if (by.pid === null) return by.thread === 0 ? '(unseen)' : `(thread ${by.thread})`;
  return `${pathShown(by.command)} ${by.pid}`;
}

export function eventLine(event: TraceEvent): string {
  const at = `${seconds(event.atUs).padStart(13)} `;
  if (event.kind === 'lost') return `${at} ${event.count} events were lost: the disk was too slow`;
  const path = event.file === undefined ? `(handle ${event.handle})` : pathShown(event.file.path);
  if (event.kind === 'release') return `${at} ${''.padEnd(22)} close  ${path}`;
  const start = `${at} ${processShown(event.by).padEnd(22)} ${event.kind.padEnd(5)}  ${path}`;
  const wait = milliseconds(event.waitUs);
  if (event.kind === 'open') {
    const kept = event.keptPages ? ', pages kept' : '';
    const writes = event.writes ? ', for writing' : '';
    const before = event.before ? ', open before' : `  ${wait}`;
    return `${start}  ${formatSize(event.size)}  ${event.way}${kept}${writes}${before}`;
  }
  if (event.errno !== 0) return `${start}  ${event.offset}  ${errorName(event.errno)}  ${wait}`;
  const from = event.kind === 'read' ? `  ${event.from}` : '';
  return `${start}  ${event.offset}+${event.count}${from}  ${wait}`;
}

/** Times in microseconds, sizes in bytes; docs/TRACE.md tells each key. */
export function eventObject(event: TraceEvent): Record<string, unknown> {
  const { kind, atUs } = event;
  if (event.kind === 'lost') return { kind, atUs, count: event.count };
  const { handle, file } = event;
  const about = {
    handle,
    node: file?.node ?? null,
    path: file === undefined ? null : pathText(file.path),
    ...(file !== undefined && !isText(file.path) && { pathHex: Buffer.from(file.path, 'latin1').toString('hex') }),
  };
  if (event.kind === 'release') return { kind, atUs, ...about };
  const { by, waitUs } = event;
  const who = {
    pid: by?.pid ?? null,
    thread: by?.thread ?? null,
    command: by === undefined ? null : pathText(by.command),
  };
  if (event.kind === 'open') {
    const { size, way, keptPages, writes, before } = event;
    return {
      kind,
      atUs,
      waitUs,
      ...who,
      ...about,
      content: file?.content ?? null,
      size,
      way,
      keptPages,
      writes,
      before,
    };
  }
  const { offset, count, from, errno } = event;
  return { kind, atUs, waitUs, ...who, ...about, offset, count, ...(kind === 'read' && { from }), errno };
}

function isText(path: string): boolean {
  return ascii.test(path) || Buffer.from(pathText(path)).toString('latin1') === path;
}

export function errorName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

export function seconds(us: number): string {
  return (us / 1e6).toFixed(6);
}

function milliseconds(us: number): string {
  return `${(us / 1000).toFixed(us < 10_000 ? 3 : 1)} ms`;
}
