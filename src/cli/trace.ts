/** ml-overlay trace record | show | classify | stop */
import { MloError } from '../errors.ts';

export const help = `Usage: ml-overlay trace record MOUNTPOINT [FILE] [--seconds N] [--max-size SIZE] [--force]
       ml-overlay trace stop MOUNTPOINT
       ml-overlay trace show FILE [--summary] [--json] [--limit N] [--process PID] [--path GLOB]
       ml-overlay trace classify FILE [--after N] [--json]

record: writes who opens, reads, writes and closes what into FILE (default: ml-overlay-DATE-TIME.trace in this directory),
until Ctrl-C, the limit of time or size (default 1 GiB), or the unmount. The daemon writes the file: a recording whose
command was killed goes on until its limit, or until trace stop.

  --seconds N      end after N seconds
  --max-size SIZE  end before the file would be larger: 500M, 4GiB
  --force          overwrite a file that is no trace

show: the events, one a line, or a summary.

  --summary        totals, by process, and the files and bytes behind them
  --json           an object a line; with --summary one object
  --limit N        the first N events only
  --process PID    of this process only
  --path GLOB      of files whose path below the mount matches, ** for any depth; without a slash, whose name does

classify: which directories were read in passes and in what order, how each large file was read and by whom (sequential,
backward, strided, random), what the files are, and what each process did with them (training, inference, checkpointing).

  --after N        by the first N reads of each reader only: 32 is what a mount goes by
  --json           one object

What the kernel serves by itself (kept pages, passthrough) is in it as opens, not as reads. docs/TRACE.md has the format.
`;

export async function run([action, ...words]: string[]): Promise<number> {
  switch (action) {
    case 'record':
      return (await import('./trace-record.ts')).record(words);
    case 'stop':
      return (await import('./trace-record.ts')).stop(words);
    case 'show':
      return (await import('./trace-show.ts')).show(words);
    case 'classify':
      return (await import('./trace-classify.ts')).classify(words);
    case '--help':
    case '-h':
      return console.log(help.trimEnd()) ?? 0;
    default:
      throw new MloError('MLO_USAGE', 'trace takes record, show, classify or stop', 'see ml-overlay help trace');
  }
}
