/** ml-overlay set MOUNTPOINT OPTION=VALUE... */
import { parseArgs } from 'node:util';
import { callDaemon } from '../control/client.ts';
import { MloError } from '../errors.ts';
import { liveRecord } from './live-record.ts';

export const help = `Usage: ml-overlay set MOUNTPOINT OPTION=VALUE...

Changes a live mount. What can change: log-level=error|warn|info|debug (debug is short for log-level=debug).
`;

export async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [mountpoint, ...changes] = positionals;
  if (mountpoint === undefined || changes.length === 0)
    throw new MloError('MLO_USAGE', 'set takes MOUNTPOINT OPTION=VALUE');
  const body: Record<string, string> = {};
  for (const change of changes) {
    const equals = change.indexOf('=');
    if (change === 'debug') body['log-level'] = 'debug';
    else if (equals > 0) body[change.slice(0, equals)] = change.slice(equals + 1);
    else throw new MloError('MLO_USAGE', `"${change}" is not OPTION=VALUE`);
  }
  const now = await callDaemon(liveRecord(mountpoint).socket, 'POST', '/set', { body });
  for (const [name, value] of Object.entries(now)) console.log(`${name}=${String(value)}`);
  return 0;
}
