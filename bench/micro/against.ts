/** An older state of this repository, beside ours, for as long as it is compared with. */
import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from '../support/scope.ts';

function git(root: string, ...args: string[]): string {
  // Reading only, and of a checkout whose code is being run: whoever owns it, it is trusted already.
  return execFileSync('git', ['-c', 'safe.directory=*', '-C', root, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
    stdio: 'pipe',
  }).trim();
}

function tried(root: string, ...args: string[]): string | undefined {
  try {
    return git(root, ...args);
  } catch {
    return undefined;
  }
}

/** Branches that changes are made for, the likeliest first. */
const TRUNKS = ['origin/HEAD', 'origin/main', 'origin/master', 'main', 'master'];

export type Against = { root: string; commit: string } | { reason: string };

/**
 * What a change starts from: where it left the trunk. On the trunk itself, with nothing to commit, that is the commit before;
 * with changes not committed yet, the commit they are on.
 */
function mergeBase(root: string): string | undefined {
  const head = tried(root, 'rev-parse', 'HEAD');
  if (head === undefined) return undefined;
  const trunks = process.env.GITHUB_BASE_REF ? [`origin/${process.env.GITHUB_BASE_REF}`, ...TRUNKS] : TRUNKS;
  for (const trunk of trunks) {
    if (tried(root, 'rev-parse', '--verify', '--quiet', `${trunk}^{commit}`) === undefined) continue;
    const base = tried(root, 'merge-base', trunk, 'HEAD');
    if (base !== undefined && base !== head) return base;
  }
  const changed = tried(root, 'status', '--porcelain', '--', 'src') !== '';
  return changed ? head : tried(root, 'rev-parse', '--verify', '--quiet', 'HEAD~1^{commit}');
}

/** Puts REF's src/ into a directory of its own; 'merge-base' finds it. Without history to compare with: why. */
export function checkOut(scope: Scope, root: string, ref: string): Against {
  if (tried(root, 'rev-parse', '--is-inside-work-tree') !== 'true') return { reason: 'this is no git checkout' };
  const commit =
    ref === 'merge-base' ? mergeBase(root) : tried(root, 'rev-parse', '--verify', '--quiet', `${ref}^{commit}`);
  if (commit === undefined) {
    const shallow = tried(root, 'rev-parse', '--is-shallow-repository') === 'true';
    const why = shallow ? 'the clone is shallow' : 'there is no earlier commit';
    return { reason: ref === 'merge-base' ? why : `${ref} is not here${shallow ? ': the clone is shallow' : ''}` };
  }
  const tree = scope.directory(undefined, 'ml-overlay-against-');
  try {
    // Not `git worktree`: that would write into the repository, and leave something there when killed.
    const archive = join(tree, 'src.tar');
    git(root, 'archive', '--format=tar', `--output=${archive}`, commit, 'src', 'package.json');
    execFileSync('tar', ['-x', '-f', archive, '-C', tree], { timeout: 60_000, stdio: 'pipe' });
  } catch (error) {
    return {
      reason: `${commit.slice(0, 10)} cannot be checked out: ${(error as Error).message.trim().split('\n').at(-1)}`,
    };
  }
  // What it depends on may have been older; the same packages on both sides compare our code, not theirs.
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  return { root: tree, commit };
}
