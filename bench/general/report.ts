/** A result as markdown: what is printed after a run and what docs/BENCHMARKS.md holds between its markers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { formatBytes } from '../support/sizes.ts';
import { median, spread } from '../support/table.ts';
import { type FigureSays, moreIsBetter, type Result, values, type WorkSays } from './result.ts';

const SOURCE = 'source';
const NATIVE = 'native disk';

export function report(result: Result): string {
  const parts = [heading(result), systemsList(result)];
  for (const work of result.works) parts.push(workTable(result, work));
  parts.push(daemonsTable(result));
  const notes = notesOf(result);
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join('\n'));
  return `${parts.join('\n\n')}\n`;
}

function heading({ machine, rounds, source, fileSystem, quick, sizes, reader, module }: Result): string {
  const on = `${machine.processors} processors (${machine.processor}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ${machine.distribution}, Node ${machine.node}, ${fileSystem}`;
  const from =
    source.kind === 'plain'
      ? 'Source: a plain local directory (so the source is the native disk, and what differs between the two is noise).'
      : `Source: the slow store, ${source.latencyMs} ms a request, ${formatBytes(source.bandwidth)}/s.`;
  const size = (name: string): string => formatBytes(sizes[name] ?? 0);
  const data = `${sizes.files} small files of ${size('filesBytes')} together, a large file of ${size('largeBytes')}, ${sizes.shards} shards of ${size('shardBytes')}, a table and model of ${size('bigBytes')}, a checkpoint of ${size('checkpointBytes')}, ${sizes.treeFiles} files to walk, ${sizes.reads} random reads, ${sizes.rows} rows; epochs by ${reader}; import of ${module}.`;
  const when = String(machine.date).slice(0, 10);
  return `One run${quick ? ' with --quick' : ''}, ${rounds} round${rounds === 1 ? '' : 's'}, ${when}, commit ${machine.commit}: ${on}.\n${from}\nData: ${data}`;
}

function systemsList({ systems }: Result): string {
  const lines = systems
    .filter(({ name }) => name !== SOURCE && name !== NATIVE)
    .map(({ name, version, settings, because }) => `- ${name} ${version}: ${settings}${because && ` (${because})`}`);
  return lines.join('\n');
}

/** "1,234 MB/s ±3 %, ×1.20": the median, its spread, and how many times as fast as the bare source. */
function figureCell(result: Result, work: string, system: string, figure: FigureSays): string {
  const taken = values(result, work, system, figure.name).map(({ value }) => value);
  if (taken.length === 0) return '-';
  const ratio = timesAsFast(result, work, system, figure, SOURCE);
  const against = system === SOURCE || ratio === undefined ? '' : `, ×${short(ratio)}`;
  const between = taken.length > 1 ? ` ±${Math.round(spread(taken) * 100)} %` : '';
  return `${short(median(taken))}${between}${against}`;
}

export function timesAsFast(
  result: Result,
  work: string,
  system: string,
  figure: FigureSays,
  than: string,
): number | undefined {
  const [of, to] = [system, than].map((name) => values(result, work, name, figure.name).map(({ value }) => value));
  if (of === undefined || to === undefined || of.length === 0 || to.length === 0) return undefined;
  const ratio = median(of) / median(to);
  return moreIsBetter(figure.unit) ? ratio : 1 / ratio;
}

/** The link where it is the narrower one, else what the native disk does. */
function boundCell(result: Result, work: string, figure: FigureSays): string {
  const local = values(result, work, NATIVE, figure.name).map(({ value }) => value);
  const disk = local.length === 0 ? undefined : median(local);
  if (figure.link !== undefined && (disk === undefined || figure.link < disk)) return `${short(figure.link)} (link)`;
  return disk === undefined ? '-' : `${short(disk)} (native disk)`;
}

function workTable(result: Result, work: WorkSays): string {
  const shown = work.figures.filter((figure) =>
    result.systems.some(({ name }) => values(result, work.name, name, figure.name).length > 0),
  );
  const slow = result.source.kind === 'slow';
  const header = [
    work.name,
    ...shown.map(({ name, unit }) => `${name}, ${unit}`),
    'daemon CPU',
    ...(slow ? ['requests', 'link'] : []),
  ];
  const rows = result.systems.flatMap(({ name }) => {
    const cells = result.cells.filter((cell) => cell.work === work.name && cell.system === name);
    if (cells.length === 0) return [];
    const taken = shown.map((figure) => values(result, work.name, name, figure.name));
    const sum = (of: (one: (typeof taken)[number][number]) => number): number =>
      taken.reduce((total, all) => total + (all.length === 0 ? 0 : median(all.map(of))), 0);
    const own = name === SOURCE || name === NATIVE;
    const asked =
      name === NATIVE
        ? ['-', '-']
        : [
            short(sum(({ store }) => store?.requests ?? 0)),
            formatBytes(sum(({ store }) => (store?.bytesRead ?? 0) + (store?.bytesWritten ?? 0))),
          ];
    return [
      [
        name,
        ...shown.map((figure) => figureCell(result, work.name, name, figure)),
        own ? '-' : `${sum(({ cpuSeconds }) => cpuSeconds).toFixed(2)} s`,
        ...(slow ? asked : []),
      ],
    ];
  });
  const bound = [
    '*bound*',
    ...shown.map((figure) => boundCell(result, work.name, figure)),
    '',
    ...(slow ? ['', ''] : []),
  ];
  const how = shown.map(({ name, how: text }) => `${name}: ${text}`).join('; ');
  return `**${work.title}.** ${how}.\n\n${markdown(header, [bound, ...rows])}`;
}

function daemonsTable(result: Result): string {
  const rows = result.systems
    .filter(({ name }) => name !== SOURCE && name !== NATIVE)
    .map(({ name }) => {
      const cells = result.cells.filter((cell) => cell.system === name);
      const good = cells.filter((cell) => cell.failed === undefined);
      const of = (work: string): string => {
        const peaks = cells.filter((cell) => cell.work === work).map(({ peakBytes }) => peakBytes);
        return peaks.length === 0 ? '-' : `${(median(peaks) / 2 ** 20).toFixed(0)} MiB`;
      };
      const most = Math.max(0, ...cells.map(({ peakBytes }) => peakBytes)) / 2 ** 20;
      const mount = good.length === 0 ? '-' : `${median(good.map(({ mountSeconds }) => mountSeconds)).toFixed(2)} s`;
      const cpu = cells.reduce(
        (sum, cell) => sum + Object.values(cell.figures).reduce((total, taken) => total + taken.cpuSeconds, 0),
        0,
      );
      return [name, mount, of('epochs'), of('sequential'), `${most.toFixed(0)} MiB`, `${cpu.toFixed(1)} s`];
    });
  const header = ['daemon', 'mounted in', 'resident: epochs', 'sequential', 'the most', 'CPU, whole run'];
  return `**Memory and processor time of the daemons.**\n\n${markdown(header, rows)}`;
}

function notesOf(result: Result): string[] {
  const notes = result.unable.map(
    ({ system, work, why }) => `${system}: ${work === undefined ? '' : `${work}: `}${why}.`,
  );
  const failures = new Map<string, number>();
  for (const { system, work, failed } of result.cells) {
    if (failed !== undefined) {
      const what = `${system}, ${work}: failed: ${failed.replaceAll(/\s+/g, ' ').slice(0, 200)}`;
      failures.set(what, (failures.get(what) ?? 0) + 1);
    }
  }
  for (const [what, times] of failures) notes.push(times === 1 ? what : `${what} (${times} times)`);
  if (!result.dropped) notes.push('Caches were not dropped: figures that need it are absent.');
  return [...notes, ...result.disturbed.map((text) => `${text}.`)];
}

/** 12345.6 -> "12,346", 1.234 -> "1.23". */
function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** As aligned text, so that it can be read as it is. */
function markdown(header: string[], rows: string[][]): string {
  const widths = header.map((_, at) => Math.max(3, ...[header, ...rows].map((row) => [...(row[at] ?? '')].length)));
  const pad = (text: string, at: number): string => {
    const space = ' '.repeat(widths[at]! - [...text].length);
    return at > 0 ? space + text : text + space;
  };
  const line = (row: string[]): string => `| ${header.map((_, at) => pad(row[at] ?? '', at)).join(' | ')} |`;
  const rule = widths.map((width, at) => (at > 0 ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)));
  return [line(header), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** The name of the place in the documentation that a result belongs to. */
export function markerOf({ source, quick }: Pick<Result, 'source' | 'quick'>): string {
  return `${quick ? 'quick ' : ''}${source.kind}`;
}

/** Puts a report between `<!-- bench: NAME -->` and `<!-- /bench -->`. */
export function writeReport(document: string, name: string, text: string): void {
  const whole = readFileSync(document, 'utf8');
  const begin = `<!-- bench: ${name} -->`;
  const from = whole.indexOf(begin);
  const to = whole.indexOf('<!-- /bench -->', from);
  if (from < 0 || to < 0) throw new Error(`${document} has no place for it: "${begin}" ... "<!-- /bench -->"`);
  writeFileSync(document, `${whole.slice(0, from + begin.length)}\n\n${text}\n${whole.slice(to)}`);
}
