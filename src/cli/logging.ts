/** The daemon's log: pino to standard error, a file or the journal, behind the filter that counts repetitions. */

import { writeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import pino from 'pino';
import type { Log } from '../telemetry/log.ts';
import { RepeatFilter } from '../telemetry/repeats.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export interface DaemonLog {
  log: Log;
  filter: RepeatFilter;
  /** What `status` shows: "stderr", "journald" or the file. */
  readonly where: string;
  level: LogLevel;
  /** Opens the file anew, after it was moved away. */
  reopen(): void;
  close(): void;
}

/** Lines that a full disk refused, in bytes; more are dropped. */
const KEPT_MOST = 1024 * 1024;
const JOURNAL = '/run/systemd/journal/stdout';
/** Of syslog(3), which the journal takes as a prefix. */
const PRIORITIES: Readonly<Record<string, number>> = { debug: 7, info: 6, warn: 4, error: 3 };

export function openLog(where: string, level: LogLevel): DaemonLog {
  const { destination, reopen, close } = open(where);
  const logger = pino(
    {
      level,
      base: { pid: process.pid },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination,
  );
  const filter = new RepeatFilter(logger);
  return {
    log: filter,
    filter,
    where,
    get level() {
      return logger.level as LogLevel;
    },
    set level(next: LogLevel) {
      logger.level = next;
    },
    reopen,
    close: () => {
      filter.flush();
      close();
    },
  };
}

interface Output {
  destination: { write(line: string): void };
  reopen(): void;
  close(): void;
}

function open(where: string): Output {
  const nothing = (): void => {};
  if (where === 'stderr') return { destination: { write: terminal }, reopen: nothing, close: nothing };
  if (where === 'journald') return journal();
  // Synchronous: a line is there before the process can end, and lines are few.
  const file = pino.destination({ dest: where, append: true, mode: 0o640, sync: true, maxLength: KEPT_MOST });
  file.on('error', nothing); // a full disk must not end the daemon
  return { destination: file, reopen: () => file.reopen(), close: () => file.end() };
}

function terminal(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // nobody reads it any more
  }
}

/** Under systemd standard error is the journal already; else its socket is spoken to. */
function journal(): Output {
  if (process.env.JOURNAL_STREAM !== undefined) {
    return { destination: { write: (line) => terminal(prefixed(line)) }, reopen: () => {}, close: () => {} };
  }
  const socket: Socket = connect(JOURNAL);
  socket.on('error', () => {});
  // identifier, unit, priority, whether lines begin with one, and no forwarding (sd_journal_stream_fd(3))
  socket.write('ml-overlay\n\n6\n1\n0\n0\n0\n');
  socket.unref();
  return {
    destination: { write: (line) => socket.write(prefixed(line)) },
    reopen: () => {},
    close: () => socket.end(),
  };
}

function prefixed(line: string): string {
  const level = /"level":"(\w+)"/.exec(line)?.[1] ?? 'info';
  return `<${PRIORITIES[level] ?? 6}>${line}`;
}
