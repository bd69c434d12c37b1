/** Shows a trace: its events, or what they come to. */
import { matchesGlob } from 'node:path';
import { parseArgs } from 'node:util';
import type { TracedFile, TraceEvent } from '../access/trace-format.ts';
import { TraceReader } from '../access/trace-reader.ts';
import { Exit, MloError } from '../errors.ts';
import { help } from './trace.ts';
import { Summary } from './trace-summary.ts';
import { eventLine, eventObject, pathText } from './trace-text.ts';

/** What is gathered before it is written. */
const CHUNK = 64 * 1024;

interface Wanted {
  limit: number;
  pid: number | undefined;
  glob: string | undefined;
}

export async function show(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      summary: { type: 'boolean', default: false },
      limit: { type: 'string' },
      process: { type: 'string' },
      path: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new MloError('MLO_USAGE', 'trace show takes one FILE');
  const wanted: Wanted = {
    limit: values.limit === undefined ? Number.POSITIVE_INFINITY : whole('--limit', values.limit),
    pid: values.process === undefined ? undefined : whole('--process', values.process),
    glob: values.path,
  };
  using trace = new TraceReader(file);
  const events = chosen(trace.events(), wanted);
  if (values.summary) {
    const summary = new Summary(trace.header);
    for (const event of events) summary.add(event);
    const text = values.json ? JSON.stringify(summary.document(trace), null, 2) : summary.page(trace).join('\n');
    await put(`${text}\n`);
  } else {
    await putAll(events, values.json ? (event) => JSON.stringify(eventObject(event)) : eventLine);
  }
  return damageTold(trace);
}

function* chosen(events: Iterable<TraceEvent>, { limit, pid, glob }: Wanted): Generator<TraceEvent> {
  const matches = glob === undefined ? undefined : matcher(glob);
  const opened = new Set<number>(); // handles of the process: a release does not say whose it is
  let count = 0;
  if (limit === 0) return;
  for (const event of events) {
    if (pid !== undefined && !isOf(event, pid, opened)) continue;
    if (matches !== undefined && (event.kind === 'lost' || event.file === undefined || !matches(event.file))) continue;
    yield event;
    if (++count >= limit) return;
  }
}

function isOf(event: TraceEvent, pid: number, opened: Set<number>): boolean {
  if (event.kind === 'lost') return false;
  if (event.kind === 'release') return opened.delete(event.handle);
  const own = event.by?.pid === pid;
  if (own && event.kind === 'open') opened.add(event.handle);
  return own;
}

/** Each file is looked at once. */
function matcher(glob: string): (file: TracedFile) => boolean {
  const known = new WeakMap<TracedFile, boolean>();
  const byName = !glob.includes('/');
  return (file) => {
    let match = known.get(file);
    if (match === undefined) {
      const path = pathText(file.path);
      match = matchesGlob(byName ? path.slice(path.lastIndexOf('/') + 1) : path, glob);
      known.set(file, match);
    }
    return match;
  };
}

async function putAll(events: Iterable<TraceEvent>, text: (event: TraceEvent) => string): Promise<void> {
  let chunk = '';
  for (const event of events) {
    chunk += text(event);
    chunk += '\n';
    if (chunk.length >= CHUNK) {
      if (!(await put(chunk))) return;
      chunk = '';
    }
  }
  await put(chunk);
}

/** False: nobody reads any more (`| head`). */
export function put(text: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (text === '') {
      resolve(true);
      return;
    }
    const failed = (error: NodeJS.ErrnoException): void => {
      if (error.code === 'EPIPE') resolve(false);
      else reject(error);
    };
    process.stdout.once('error', failed);
    process.stdout.write(text, (error) => {
      if (error) return;
      process.stdout.off('error', failed);
      resolve(true);
    });
  });
}

export function damageTold({ path, damage, damageUntold }: TraceReader): number {
  if (damage.length === 0) return Exit.ok;
  const told = damage.map(({ at, message }) => `at byte ${at}: ${message}`);
  if (damageUntold > 0) told.push(`and ${damageUntold} more`);
  throw new MloError('MLO_TRACE', `${path} is not whole: ${told.join('; ')}`, 'everything before and after is shown');
}

export function whole(name: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new MloError('MLO_USAGE', `${name} takes a whole number, not "${text}"`);
  return Number(text);
}
