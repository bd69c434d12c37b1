/** ml-overlay stats MOUNTPOINT [--json] [--watch [SECONDS]] */
import { parseArgs } from 'node:util';
import { callDaemon } from '../control/client.ts';
import { Exit, MloError } from '../errors.ts';
import type { StatsDocument } from '../telemetry/stats.ts';
import { liveRecord } from './live-record.ts';

export const help = `Usage: ml-overlay stats MOUNTPOINT [--json] [--watch [SECONDS]]

Where reads are served from, who waits and what would help. --json: the whole document, with keys that stay (docs/STATS.md).
--watch: a live table, anew every second or every SECONDS, until q or Ctrl-C; into a pipe a line each time, with --json a
document a line.
`;

const LONGEST_SECONDS = 3600;
const SHORTEST_SECONDS = 0.1;

export async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: withSeconds(words),
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      watch: { type: 'string', short: 'w' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [mountpoint, ...more] = positionals;
  if (mountpoint === undefined || more.length > 0) throw new MloError('MLO_USAGE', 'stats takes one MOUNTPOINT');
  if (values.watch !== undefined) {
    const everySeconds = secondsOf(values.watch);
    const { watch } = await import('./stats-watch.ts');
    return watch({ everySeconds, json: values.json, ask: () => ask(mountpoint, Math.max(1, everySeconds)) });
  }
  const stats = await ask(mountpoint);
  if (values.json) console.log(JSON.stringify(stats, null, 2));
  else {
    const { page } = await import('./stats-page.ts');
    const width = process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY;
    console.log(page(stats, width).join('\n'));
  }
  return Exit.ok;
}

/** The record is read anew each time: after a new mount there, another daemon answers. */
async function ask(mountpoint: string, seconds = 5): Promise<StatsDocument> {
  const { socket } = liveRecord(mountpoint);
  const stats = await callDaemon(socket, 'GET', '/stats', { timeoutMs: seconds * 1000 });
  return stats as unknown as StatsDocument;
}

/** `--watch` stands alone or before a number, which no mountpoint is: a directory of such a name can be said as ./5. */
function withSeconds(words: readonly string[]): string[] {
  const given: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const next = words[at + 1] ?? '';
    if (word !== '--watch' && word !== '-w') given.push(word);
    else if (/^[\d.]+$/.test(next)) given.push(`--watch=${words[++at]}`);
    else given.push('--watch=1');
  }
  return given;
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (seconds >= SHORTEST_SECONDS && seconds <= LONGEST_SECONDS) return seconds;
  throw new MloError('MLO_USAGE', `--watch=${text}: it takes seconds, from ${SHORTEST_SECONDS} to ${LONGEST_SECONDS}`);
}
