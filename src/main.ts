/** The command: picks a file of cli/ and loads only that. */

import { accessSync, constants } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

keepCompiled();

interface CommandModule {
  run(words: string[]): Promise<number>;
}

const commands: Readonly<Record<string, () => Promise<CommandModule>>> = {
  mount: () => import('./cli/mount.ts'),
  umount: () => import('./cli/umount.ts'),
  unmount: () => import('./cli/umount.ts'),
  status: () => import('./cli/status.ts'),
  stats: () => import('./cli/stats.ts'),
  doctor: () => import('./cli/doctor.ts'),
  set: () => import('./cli/set.ts'),
  support: () => import('./cli/support.ts'),
  cache: () => import('./cli/cache.ts'),
  warmup: () => import('./cli/warmup.ts'),
  plan: () => import('./cli/plan.ts'),
  trace: () => import('./cli/trace.ts'),
  simulate: () => import('./cli/simulate.ts'),
  help: () => import('./cli/help.ts'),
  version: () => import('./cli/help.ts'),
  daemon: () => import('./cli/daemon.ts'),
};
const spelled: Readonly<Record<string, string>> = {
  '--help': 'help',
  '-h': 'help',
  '--version': 'version',
  '-V': 'version',
};

/** A path as the first word, or -o somewhere, is how mount(8) calls. */
function calledByMount([first = '', ...others]: readonly string[]): boolean {
  return (
    first === '--helper' || first.includes('/') || first === 'none' || (!first.startsWith('-') && others.includes('-o'))
  );
}

async function main(words: string[]): Promise<number> {
  const [first = 'help', ...rest] = words;
  const name = spelled[first] ?? first;
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return (await load()).run(name === 'help' || name === 'version' ? [name, ...rest] : rest);
  if (calledByMount(words)) return (await import('./cli/mount-helper.ts')).run(words);
  return (await import('./cli/help.ts')).unknown(first, Object.keys(commands));
}

/**
 * Compiled code is kept beside the code itself, or in the user's own cache: never where another user could put some. Saves
 * half of the time to start.
 */
function keepCompiled(): void {
  const { XDG_CACHE_HOME, HOME } = process.env;
  const own = XDG_CACHE_HOME ?? (HOME === undefined ? undefined : join(HOME, '.cache'));
  const modules = join(import.meta.dirname, '../node_modules');
  try {
    accessSync(modules, constants.W_OK);
    enableCompileCache(join(modules, '.cache/ml-overlay'));
  } catch {
    if (own?.startsWith('/')) enableCompileCache(join(own, 'ml-overlay/compiled'));
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { showError } = await import('./cli/show-error.ts');
  process.exitCode = showError(error);
}
if (process.argv[2] === 'daemon' || process.exitCode !== 0) process.exit(); // threads that wait for a store must not hold it
