/**
 * As mount(8) calls. Through mount.fuse3: `ml-overlay [SOURCE] MOUNTPOINT -o options`. Itself as /sbin/mount.fuse.ml-overlay,
 * which mount(8) prefers: `SOURCE MOUNTPOINT [-sfnv] [-N namespace] [-t type] -o options`; the launcher then says `--helper`.
 */
import { mountOne } from './mount.ts';
import { parseMountWords } from './mount-words.ts';
import { planMount } from './plan-mount.ts';

export async function run(words: string[]): Promise<number> {
  const direct = words[0] === '--helper';
  const { rest, fake } = direct ? helperFlags(words.slice(1)) : { rest: words, fake: false };
  const parsed = parseMountWords(rest, true);
  if (parsed === 'done') return 0;
  if (!fake) return mountOne(parsed);
  await planMount(parsed); // `mount -f` does everything but mount: it still says what is wrong
  return 0;
}

/** Takes out what says nothing to us: sloppy, no /etc/mtab, verbose. `-f` is not ours: it means fake here. */
function helperFlags(words: readonly string[]): { rest: string[]; fake: boolean } {
  const rest: string[] = [];
  let fake = false;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (/^-[sfnv]+$/.test(word)) fake ||= word.includes('f');
    else if (word === '-N' || word === '-t') at++;
    else {
      rest.push(word);
      if (word === '-o') rest.push(words[++at] ?? '');
    }
  }
  return { rest, fake };
}
