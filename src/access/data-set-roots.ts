/**
 * Which directory trees are data sets: the deepest ones under which a job opened many files, where the directories that
 * are read together make one.
 *
 * From the root down, the parts of a directory (its own files, and each child with many) are grouped: parts that belong
 * together make the directory a data set, a part alone is looked at by itself. Classes of images, shards by number, a
 * corpus by speaker and chapter so end up at their common root; a data set beside the interpreter's library does not.
 */
import type { Directory } from './data-set-tree.ts';

/** Many files; or few, with much in them. */
const FILES_LEAST = 8;
const BYTES_LEAST: number = 64 * 1024 * 1024;
/** A reader that stays in a part for fewer opens than this, in the mean, reads it together with others. */
const MIXED_RUN = 5;
/** So many parts of one kind are shares of one thing, whoever reads which. */
const ALIKE_LEAST = 3;
/** Passes over a part without leaving it: then it is a data set by itself. */
const PASSES_ALONE = 1.5;
const GROUPS_MOST = 32;

/** A directory with all below it; or its own files and the small directories below. */
class Part {
  directory: Directory | undefined = undefined;
  files = 0;
  bytes = 0;
  opens = 0;
  entries = 0;
  processes = 0;
  jobs = 0;
  kind = 0;
  votes = 0;

  add(other: Part): void {
    this.files += other.files;
    this.bytes += other.bytes;
    this.opens += other.opens;
    this.processes |= other.processes;
    this.jobs |= other.jobs;
    this.vote(other.kind, other.votes);
  }

  addOwn(directory: Directory): void {
    this.files += directory.files;
    this.bytes += directory.bytes;
    this.opens += directory.opens;
    this.processes |= directory.processes | directory.olderProcesses;
    this.jobs |= directory.jobs | directory.olderJobs;
    this.vote(directory.kind, directory.kindVotes);
  }

  vote(kind: number, votes: number): void {
    if (votes === 0) return;
    if (this.kind === kind || this.votes === 0) {
      this.kind = kind;
      this.votes += votes;
    } else if (this.votes >= votes) {
      this.votes -= votes;
    } else {
      this.kind = kind;
      this.votes = votes - this.votes;
    }
  }

  get many(): boolean {
    return this.files >= FILES_LEAST || (this.files > 0 && this.bytes >= BYTES_LEAST);
  }
}

interface Group {
  sum: Part;
  parts: Part[];
}

/** The roots of the data sets; `directories`: all that are known, each at its index, parents before their children. */
export function findRoots(directories: readonly Directory[]): Set<Directory> {
  const whole: Part[] = new Array(directories.length);
  for (let i = directories.length - 1; i >= 0; i--) {
    const directory = directories[i]!;
    const part = new Part();
    part.directory = directory;
    part.entries = directory.entries;
    part.addOwn(directory);
    for (const child of directory.children) part.add(whole[child.index]!);
    whole[i] = part;
  }
  const roots = new Set<Directory>();
  const toVisit: Directory[] = directories.slice(0, 1);
  for (let directory = toVisit.pop(); directory !== undefined; directory = toVisit.pop()) {
    if (!whole[directory.index]!.many) continue;
    const groups = groupsOf(directory, whole);
    const [only] = groups;
    if (only === undefined || groups.some(isTogether)) roots.add(directory);
    for (const group of groups) {
      const [alone] = group.parts;
      if (!isTogether(group) && alone?.directory !== undefined) toVisit.push(alone.directory);
    }
  }
  return roots;
}

/** Not just one child. */
function isTogether({ parts }: Group): boolean {
  return parts.length > 1 || parts[0]?.directory === undefined;
}

function groupsOf(directory: Directory, whole: readonly Part[]): Group[] {
  const rest = new Part();
  rest.addOwn(directory);
  const parts: Part[] = [];
  for (const child of directory.children) {
    const part = whole[child.index]!;
    if (part.many) parts.push(part);
    else rest.add(part);
  }
  if (rest.many) parts.push(rest);
  parts.sort((a, b) => b.files - a.files);
  const ofKind = new Map<number, number>();
  for (const { kind } of parts) ofKind.set(kind, (ofKind.get(kind) ?? 0) + 1);
  const groups: Group[] = [];
  for (const part of parts) {
    const alike = (ofKind.get(part.kind) ?? 0) >= ALIKE_LEAST;
    const group =
      groups.find((group) => belongs(group, part, alike)) ?? (groups.length < GROUPS_MOST ? undefined : groups.at(-1));
    if (group === undefined) {
      const sum = new Part();
      sum.add(part);
      groups.push({ sum, parts: [part] });
    } else {
      group.parts.push(part);
      group.sum.add(part);
    }
  }
  return groups;
}

function belongs({ sum, parts }: Group, part: Part, alike: boolean): boolean {
  if (disjoint(sum.jobs, part.jobs)) return false;
  const mixed = part.directory !== undefined && part.entries * MIXED_RUN >= part.opens;
  if (mixed && (sum.processes & part.processes) !== 0) return true;
  if (sum.kind !== part.kind) return false;
  if (alike) return true;
  const alone = isAlone(part) || (parts.length === 1 && isAlone(parts[0]!));
  return !alone && !disjoint(sum.processes, part.processes);
}

/** Read over and over before its reader came to anything else. */
function isAlone({ opens, files, entries }: Part): boolean {
  return opens > PASSES_ALONE * files * Math.max(1, entries);
}

/** Of masks; an empty one says nothing. */
function disjoint(a: number, b: number): boolean {
  return a !== 0 && b !== 0 && (a & b) === 0;
}
