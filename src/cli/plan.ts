/** ml-overlay plan MOUNTPOINT FILE|- [--name NAME] [--append] ... | --list [--json] | --withdraw NAME */
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { callDaemon } from '../control/client.ts';
import { Exit, MloError } from '../errors.ts';
import { type Header, headerLine, isName, MAGIC, NO_HEADER, parseHeader } from '../prefetch/plans/header.ts';
import { liveRecord } from './live-record.ts';
import type { PlanAnswer } from './plan-control.ts';
import { planColumns } from './plan-table.ts';
import { table, whole } from './stats-text.ts';

export const help = `Usage: ml-overlay plan MOUNTPOINT FILE|- [--name NAME] [--append] [--listing NAME] [--json]
       ml-overlay plan MOUNTPOINT FILE|- --as-listing NAME
       ml-overlay plan MOUNTPOINT --list [--json]
       ml-overlay plan MOUNTPOINT --withdraw NAME

Announces what a job will read, in order, so that it is in the cache before it is read: a path below the mountpoint a line, or
path TAB offset TAB length. FILE "-" is standard input, which may go on while the job reads. docs/PLAN.md has the format, and
how a job announces by itself: from Python, and through MOUNTPOINT/.mlo/plan.

  --name NAME        what to call it; a plan of that name is replaced. Unless said, after FILE
  --append           goes on with the plan of that name instead
  --listing NAME     the lines are numbers of lines of that listing, counted from 0
  --as-listing NAME  the lines are no plan: later ones name them by their number
  --list             the plans there are, and how far their jobs have come
  --withdraw NAME    forget a plan, or a listing
  --json             what became of it, as a document
`;

/** A part of the lines could not be understood. */
const INCOMPLETE = 1;
/** What the daemon takes at once (docs/PLAN.md); a request of it has 64 KiB, in which a byte may take two. */
const BATCH_BYTES = 24 * 1024;
const TIMEOUT_MS = 15_000;
/** Between two looks whether there is room again, and how long to look. */
const AGAIN_MS = 500;
const FULL_MS = 10 * 60_000;
const NEWLINE = 10;

type Ask = (body: object) => Promise<PlanAnswer>;

export async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      name: { type: 'string' },
      append: { type: 'boolean', default: false },
      listing: { type: 'string' },
      'as-listing': { type: 'string' },
      list: { type: 'boolean', default: false },
      withdraw: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [mountpoint, file, more] = positionals;
  const announces = !values.list && values.withdraw === undefined;
  if (mountpoint === undefined || more !== undefined || (file !== undefined) !== announces) {
    throw new MloError('MLO_USAGE', 'plan takes MOUNTPOINT and FILE, or --list, or --withdraw NAME');
  }
  for (const name of [values.name, values.listing, values['as-listing']]) {
    if (name !== undefined && !isName(name)) throw new MloError('MLO_USAGE', `"${name}" is no name`, NAMES);
  }
  const { socket } = liveRecord(mountpoint);
  const ask: Ask = async (body) =>
    (await callDaemon(socket, 'POST', '/plan', { body, timeoutMs: TIMEOUT_MS })) as unknown as PlanAnswer;
  if (values.withdraw !== undefined) return show(await ask({ action: 'withdraw', name: values.withdraw }), values.json);
  if (values.list) return show(await ask({ action: 'list' }), values.json);
  const { name, listing, append, 'as-listing': asListing } = values;
  return announce(ask, file!, values.json, (said) => ({
    ...said,
    ...(asListing !== undefined && { verb: 'listing' }),
    name: asListing ?? name ?? said.name ?? nameAfter(file!),
    ...(listing !== undefined && { listing }),
    mode: append || (said !== NO_HEADER && said.mode === 'append') ? 'append' : 'replace',
  }));
}

const NAMES = 'names are of up to 64 letters, digits, "_", "." and "-"';

/** `complete`: what the words of the command make of the header of the file. */
async function announce(ask: Ask, file: string, json: boolean, complete: (said: Header) => Header): Promise<number> {
  let header: Header | undefined;
  let answer: PlanAnswer | undefined;
  for await (const lines of batchesOf(file)) {
    const [said, rest] = header === undefined ? headerOf(lines, file) : [header, lines];
    header ??= complete(said);
    answer = await send(ask, header, rest);
    header = { ...header, mode: 'append' };
  }
  answer ??= await send(ask, complete(NO_HEADER), Buffer.alloc(0));
  const { name = '', verb } = header ?? complete(NO_HEADER);
  const plan = answer.plans.find((one) => one.name === name);
  if (json) console.log(JSON.stringify(plan ?? answer.listings.find((one) => one.name === name) ?? {}, null, 2));
  else if (verb === 'plan') console.log(`plan ${name}: ${whole(plan?.items ?? 0)} items`);
  if (verb !== 'plan' || plan === undefined || plan.malformed === 0) return Exit.ok;
  console.error(`${whole(plan.malformed)} lines say nothing; the first: ${plan.trouble}`);
  return INCOMPLETE;
}

/** Sends until all of it is taken. */
async function send(ask: Ask, header: Header, lines: Buffer): Promise<PlanAnswer> {
  let fullSinceMs: number | undefined;
  for (let rest = lines; ; ) {
    const first = headerLine(rest === lines ? header : { ...header, mode: 'append' });
    const answer = await ask({ action: 'announce', lines: first + rest.toString('latin1') });
    const taken = Math.max(0, (answer.taken ?? 0) - first.length);
    rest = rest.subarray(taken);
    if (rest.length === 0) return answer;
    fullSinceMs = taken > 0 ? undefined : (fullSinceMs ?? performance.now());
    if (fullSinceMs !== undefined && performance.now() - fullSinceMs > FULL_MS) {
      throw new MloError(
        'MLO_PLAN',
        `there is no room for more of plan ${header.name}, and its job reads nothing of it`,
      );
    }
    if (taken === 0) await sleep(AGAIN_MS);
  }
}

function headerOf(lines: Buffer, file: string): [Header, Buffer] {
  if (!lines.toString('latin1', 0, MAGIC.length).startsWith(MAGIC)) return [NO_HEADER, lines];
  const end = lines.indexOf(NEWLINE);
  const said = parseHeader(lines.toString('latin1', 0, end < 0 ? lines.length : end));
  if (typeof said === 'string') throw new MloError('MLO_PLAN', `${file}: ${said}`);
  return [said, end < 0 ? Buffer.alloc(0) : lines.subarray(end + 1)];
}

function nameAfter(file: string): string {
  const name = basename(file)
    .replace(/[^\w.-]/g, '_')
    .slice(0, 64);
  return file === '-' || name === '' ? `plan-${process.pid}` : name;
}

/** The file in pieces that end with a line. From a pipe they come as they are written. */
async function* batchesOf(file: string): AsyncGenerator<Buffer> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, chunk]);
      for (let end = endOfLines(rest); end > 0; end = endOfLines(rest)) {
        yield rest.subarray(0, end);
        rest = rest.subarray(end);
      }
    }
  } catch (error) {
    if (error instanceof MloError) throw error;
    throw new MloError(
      'MLO_PLAN',
      `cannot read ${file}: ${(error as Error).message}`,
      'name a file with a path a line',
    );
  }
  if (rest.length > 0) yield rest;
}

/** Where the last line ends that fits; one that is longer goes in pieces, and is refused as what it is. */
function endOfLines(bytes: Buffer): number {
  const end = bytes.lastIndexOf(NEWLINE, BATCH_BYTES - 1) + 1;
  return end === 0 && bytes.length >= BATCH_BYTES ? BATCH_BYTES : end;
}

function show(answer: PlanAnswer, json: boolean): number {
  if (json) console.log(JSON.stringify(answer, null, 2));
  else if (answer.plans.length === 0) console.log('no plans');
  else console.log(table(planColumns, answer.plans, process.stdout.columns ?? 120).join('\n'));
  if (!json) for (const { name, lines } of answer.listings) console.log(`listing ${name}: ${whole(lines)} lines`);
  return Exit.ok;
}
