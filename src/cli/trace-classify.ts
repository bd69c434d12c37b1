/** Says what data sets a trace has, how each large file was read, what the files are, and what the processes did. */
import { parseArgs } from 'node:util';
import { type Classification, type ClassifiedProcess, Classifier } from '../access/classify.ts';
import type { ClassifiedDataSet } from '../access/classify-orders.ts';
import { TraceReader } from '../access/trace-reader.ts';
import { formatSize } from '../config/units.ts';
import { MloError } from '../errors.ts';
import { epochOf, sureOf } from './stats-page.ts';
import { percent, table } from './stats-text.ts';
import { help } from './trace.ts';
import { damageTold, put, whole } from './trace-show.ts';
import { pathShown } from './trace-text.ts';

export async function classify(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      after: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new MloError('MLO_USAGE', 'trace classify takes one FILE');
  const classifier = new Classifier(values.after === undefined ? undefined : whole('--after', values.after));
  using trace = new TraceReader(file);
  for (const event of trace.events()) classifier.add(event);
  const found = await classifier.document();
  await put(`${values.json ? JSON.stringify(found, null, 2) : page(found).join('\n')}\n`);
  return damageTold(trace);
}

function page({ dataSets, sequences, streams, processes }: Classification): string[] {
  const lines = ['data sets'];
  lines.push(
    ...table(
      [
        { title: 'PATH', text: ({ path }) => pathShown(`/${path}`), left: true },
        { title: 'FILES', text: ({ files }) => String(files) },
        { title: 'SIZE', text: ({ bytes }) => formatSize(bytes) },
        { title: 'OPENS', text: ({ opens }) => String(opens) },
        { title: 'READERS', text: ({ readers }) => String(readers) },
        { title: 'WORKERS', text: ({ workers, workersConfidence }) => sureOf(workers, workersConfidence) },
        { title: 'BATCH', text: ({ batchFiles, batchConfidence }) => sureOf(batchFiles, batchConfidence) },
        { title: 'PASSES', text: ({ passes, passDone }) => `${passes} (${percent(passDone)} of the last)` },
        { title: 'ORDER', text: orderShown, left: true },
      ],
      dataSets,
      Number.POSITIVE_INFINITY,
    ),
  );
  lines.push('', 'large files in the order of their names');
  lines.push(
    ...table(
      [
        { title: 'PATH', text: ({ path }) => pathShown(`/${path}`), left: true },
        { title: 'STEP', text: ({ step }) => String(step) },
        { title: 'READERS', text: ({ readers }) => String(readers) },
        { title: 'FILES', text: ({ files }) => String(files) },
        { title: 'SHARE', text: ({ share }) => percent(share) },
      ],
      sequences,
      Number.POSITIVE_INFINITY,
    ),
  );
  lines.push('', 'large files, by reader');
  lines.push(
    ...table(
      [
        { title: 'PATH', text: ({ path }) => pathShown(path), left: true },
        { title: 'KIND', text: ({ kind }) => kind, left: true },
        { title: 'PID', text: ({ process }) => String(process) },
        { title: 'COMMAND', text: ({ command }) => pathShown(command), left: true },
        { title: 'PATTERN', text: ({ pattern }) => pattern, left: true },
        { title: 'STEP', text: ({ stepBytes }) => (stepBytes === null ? '-' : String(Math.round(stepBytes))) },
        { title: 'READS', text: ({ reads }) => String(reads) },
        { title: 'PASSES', text: ({ passes: epoch, passDone: epochDone }) => epochOf({ epoch, epochDone }) },
      ],
      streams,
      Number.POSITIVE_INFINITY,
    ),
  );
  lines.push('', 'processes');
  lines.push(
    ...table(
      [
        { title: 'PID', text: ({ pid }) => (pid === null ? '-' : String(pid)) },
        { title: 'COMMAND', text: ({ command }) => pathShown(command), left: true },
        { title: 'JOB', text: ({ job }) => job, left: true },
        { title: 'SURE', text: ({ confidence }) => percent(confidence) },
        { title: 'BYTES', text: bytesShown, left: true },
      ],
      processes,
      Number.POSITIVE_INFINITY,
    ),
  );
  return lines;
}

function orderShown({ repeats }: ClassifiedDataSet): string {
  if (repeats === null) return '-';
  return repeats ? 'as the pass before' : 'another each pass';
}

function bytesShown({ bytes }: ClassifiedProcess): string {
  const said: string[] = [];
  for (const [kind, { read, written }] of Object.entries(bytes)) {
    if (read > 0) said.push(`${kind} ${formatSize(read)} read`);
    if (written > 0) said.push(`${kind} ${formatSize(written)} written`);
  }
  return said.join(', ');
}
