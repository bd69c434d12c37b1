/** Reads the command line of `mount` with commander; its flags come from the schema. */
import { Command, CommanderError, Option } from 'commander';
import type { OptionText } from '../config/mount-options.ts';
import { unknownOption } from '../config/resolve.ts';
import { metaOf, type OptionName, optionNames } from '../config/schema.ts';
import { MloError } from '../errors.ts';

export interface MountWords {
  source: string | undefined;
  mountpoint: string | undefined;
  flags: OptionText[];
  /** The texts after -o. */
  options: string[];
  config: string | undefined;
  foreground: boolean;
  all: boolean;
  /** Say what was mounted as JSON. */
  json: boolean;
  /** Called by mount(8), not by a user. */
  byHelper: boolean;
}

export function mountCommand(): Command {
  const command = new Command('ml-overlay mount')
    .description('Mounts SOURCE over MOUNTPOINT; returns when the mount answers.')
    .argument('[source]', 'a directory')
    .argument('[mountpoint]', 'a directory that is there; alone: a mount of the configuration file')
    .option('-o <options>', 'options as mount(8) writes them: name[=value],...', collect)
    .option('-f, --foreground', 'stay in front, log to the terminal')
    .option('--json', 'print what was mounted as JSON: pid, mountpoint, source, socket, log, cache')
    .option('--all', 'mount every entry of the configuration file that is not mounted yet')
    .option(
      '--config <file>',
      'default: /etc/ml-overlay/config.yaml, for an ordinary user $XDG_CONFIG_HOME/ml-overlay/config.yaml',
    );
  for (const name of optionNames) {
    const { value, about, fallback } = metaOf(name);
    const shown = fallback === '' ? about : `${about} Default: ${fallback}.`;
    // "[value]": a switch stands alone, and can be said to be off
    const option = new Option(value === '' ? `--${name} [on|off]` : `--${name} <${value}>`, shown.replaceAll('`', ''));
    command.addOption(option.argParser(collect));
  }
  return command;
}

function collect(value: string, earlier: string[] = []): string[] {
  return [...earlier, value];
}

/** 'done': help was asked for and printed. */
export function parseMountWords(words: string[], byHelper = false): MountWords | 'done' {
  const command = mountCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  try {
    command.parse(bareSwitches(words), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 'done';
    throw usage(error);
  }
  const values = command.opts<Record<string, unknown>>();
  const flags: OptionText[] = [];
  for (const name of optionNames) {
    const given = values[camelCase(name)];
    if (Array.isArray(given))
      for (const value of given) flags.push({ name, value: value === true ? '' : String(value) });
  }
  const [first, second] = command.args;
  return {
    source: second === undefined ? undefined : first,
    mountpoint: second ?? first,
    flags,
    options: (values.o as string[] | undefined) ?? [],
    config: values.config as string | undefined,
    foreground: values.foreground === true,
    all: values.all === true,
    json: values.json === true,
    byHelper,
  };
}

/** `--ro /src /mnt`: the word after a switch is not its value unless it says on or off. */
function bareSwitches(words: readonly string[]): string[] {
  const switches = new Set(optionNames.filter((name) => metaOf(name).value === '').map((name) => `--${name}`));
  return words.map((word) => (switches.has(word) ? `${word}=on` : word));
}

function camelCase(name: OptionName): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function usage(error: CommanderError): MloError {
  const unknown = /unknown option '-*([^'=]*)/.exec(error.message)?.[1];
  if (unknown !== undefined) return unknownOption(unknown, 'command line');
  return new MloError('MLO_USAGE', error.message.replace(/^error: /, ''));
}
