/** ml-overlay set MOUNTPOINT OPTION=VALUE... */
import { parseArgs } from 'node:util';
import { parseMountOptions } from '../config/mount-options.ts';
import { metaOf, optionNames } from '../config/schema.ts';
import { callDaemon } from '../control/client.ts';
import { MloError } from '../errors.ts';
import { liveRecord } from './live-record.ts';

const live = optionNames.filter((name) => metaOf(name).live === true);
const widest = Math.max(...live.map((name) => name.length));

export const help = `Usage: ml-overlay set MOUNTPOINT OPTION=VALUE...

Changes a live mount; several at once are changed all or none. "debug" is short for log-level=debug. What the kernel was
told before holds to its end: a shorter lease is in effect when the longer one it has is over. What can change:

${live.map((name) => `  ${name.padEnd(widest)}  ${metaOf(name).value}`).join('\n')}
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
  const { options, flags } = parseMountOptions(changes);
  for (const flag of flags)
    throw new MloError('MLO_OPTION', `${flag} cannot change while mounted`, 'unmount, and mount with it');
  const body: Record<string, string> = {};
  for (const { name, value } of options) {
    if (Object.hasOwn(body, name))
      throw new MloError('MLO_USAGE', `${name} is given twice`, 'change one after the other');
    body[name] = value;
  }
  if (options.length === 0) throw new MloError('MLO_USAGE', `"${changes.join(' ')}" is no option of ours`);
  const now = await callDaemon(liveRecord(mountpoint).socket, 'POST', '/set', { body });
  for (const [name, value] of Object.entries(now)) console.log(`${name}=${String(value)}`);
  return 0;
}
