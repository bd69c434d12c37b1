/** ml-overlay doctor [--json] */
import { parseArgs } from 'node:util';
import { Exit } from '../errors.ts';
import { checkMachine } from './machine-checks.ts';

export const help = `Usage: ml-overlay doctor [--json]

What this machine offers, and what to do about what it does not. Exit status 2 when nothing could be mounted.
`;

const signs = { ok: 'ok  ', note: 'note', bad: 'BAD ' } as const;

export async function run(words: string[]): Promise<number> {
  const { values } = parseArgs({
    args: words,
    options: { json: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const findings = await checkMachine();
  if (values.json) console.log(JSON.stringify(findings, null, 2));
  else {
    for (const { verdict, subject, found, remedy } of findings) {
      console.log(`${signs[verdict]}  ${subject.padEnd(16)} ${found}${remedy === undefined ? '' : `: ${remedy}`}`);
    }
  }
  return findings.some(({ verdict }) => verdict === 'bad') ? Exit.system : Exit.ok;
}
