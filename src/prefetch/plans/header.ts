/**
 * The first line of an announcement, which may be left out (docs/PLAN.md):
 *
 *   #ml-overlay-plan 1 name=NAME mode=append|replace listing=NAME encoding=percent
 *   #ml-overlay-listing 1 name=NAME mode=append|replace encoding=percent
 *   #ml-overlay-withdraw 1 name=NAME
 */

export type Verb = 'plan' | 'listing' | 'withdraw';

export interface Header {
  readonly verb: Verb;
  /** Undefined: whoever takes the announcement gives it one. */
  readonly name?: string;
  /** 'replace': what was announced under that name before counts no more. */
  readonly mode: 'append' | 'replace';
  /** The lines are numbers of lines of that listing. */
  readonly listing?: string;
  /** Paths have %HH for bytes, so that they can have TAB and newline. */
  readonly percent: boolean;
}

export const MAGIC = '#ml-overlay-';
export const VERSION = 1;
const VERBS: readonly string[] = ['plan', 'listing', 'withdraw'] satisfies Verb[];
const NAME = /^[\w.-]{1,64}$/;

/** What an announcement without a header says. */
export const NO_HEADER: Header = { verb: 'plan', mode: 'append', percent: false };

export const isName = (text: string): boolean => NAME.test(text);

/** A line that begins with MAGIC; why it cannot be understood, as text. */
export function parseHeader(line: string): Header | string {
  const [first = '', version = '', ...fields] = line.slice(MAGIC.length).trim().split(/ +/);
  if (!VERBS.includes(first)) return `${MAGIC}${first} is none of ${VERBS.join(', ')}`;
  if (version !== String(VERSION)) return `version ${version || '(none)'} is not known, only ${VERSION}`;
  const verb = first as Verb;
  const header: { -readonly [Key in keyof Header]: Header[Key] } = { verb, mode: 'append', percent: false };
  for (const field of fields) {
    const trouble = setField(header, field);
    if (trouble !== undefined) return trouble;
  }
  return verb !== 'plan' && header.name === undefined ? `${verb} needs name=NAME` : header;
}

function setField(header: { -readonly [Key in keyof Header]: Header[Key] }, field: string): string | undefined {
  const equals = field.indexOf('=');
  const [key, value] = [field.slice(0, equals), field.slice(equals + 1)];
  if ((key === 'name' || key === 'listing') && isName(value)) header[key] = value;
  else if (key === 'mode' && (value === 'append' || value === 'replace')) header.mode = value;
  else if (key === 'encoding' && value === 'percent') header.percent = true;
  else return `${field}: there is no such field, or it cannot have this value`;
  return undefined;
}

/** The line, with its end. */
export function headerLine({ verb, name, mode, listing, percent }: Header): string {
  const fields = [
    `${MAGIC}${verb} ${VERSION}`,
    ...(name === undefined ? [] : [`name=${name}`]),
    ...(verb === 'withdraw' ? [] : [`mode=${mode}`]),
    ...(listing === undefined ? [] : [`listing=${listing}`]),
    ...(percent ? ['encoding=percent'] : []),
  ];
  return `${fields.join(' ')}\n`;
}
