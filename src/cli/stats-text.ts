/** How numbers, names and tables of statistics are written. Pure, and safe to show whatever a process or a file is called. */
import { formatSize } from '../config/units.ts';

/**
 * Names come from others: what a terminal would act on, or what would turn the text around, is shown as "?". A process may
 * call itself anything.
 */
export function clean(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '?');
}

const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;

/** Columns of a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += ZERO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return width;
}

/** What fits into `width`; cut short at its end, or for a path at its beginning, where it tells least. */
export function fit(text: string, width: number, cut: 'end' | 'start' = 'end'): string {
  if (widthOf(text) <= width) return text;
  const dots = '.'.repeat(Math.max(0, Math.min(3, width - 1)));
  const kept: string[] = [];
  let room = width - dots.length;
  const characters = [...text];
  if (cut === 'start') characters.reverse();
  for (const character of characters) {
    room -= widthOf(character);
    if (room < 0) break;
    kept.push(character);
  }
  return cut === 'start' ? dots + kept.reverse().join('') : kept.join('') + dots;
}

/** Lines of at most `width`, broken between words. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && widthOf(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

/** At most `most` of them. What there is no room for goes clause by clause (";"), the last first; of a single one dots tell. */
export function wrapMost(text: string, width: number, most: number): string[] {
  const lines = wrap(text, width);
  if (lines.length <= most) return lines;
  const clauses = text.lastIndexOf('; ');
  if (clauses > 0) return wrapMost(text.slice(0, clauses), width, most);
  return [...lines.slice(0, most - 1), fit(`${lines[most - 1] ?? ''} ${lines[most] ?? ''}`, width)];
}

export function percent(share: number | null): string {
  if (share === null || !Number.isFinite(share)) return '-';
  const value = share * 100;
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

const thousands = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function whole(count: number): string {
  return thousands.format(count);
}

/** "870", "12.3k": at most five characters up to a quadrillion. */
export function short(count: number): string {
  if (count < 9.95 && count % 1 !== 0) return count.toFixed(1);
  if (count < 9999.5) return String(Math.round(count));
  let value = count;
  for (const unit of ['k', 'M', 'G', 'T']) {
    value /= 1000;
    if (value < 999.5) return `${value < 99.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
  }
  return `${Math.round(value)}T`;
}

export function milliseconds(ms: number | null): string {
  if (ms === null) return '-';
  if (ms >= 999.5) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 9.995) return `${ms < 99.95 ? ms.toFixed(1) : Math.round(ms)} ms`;
  return ms >= 0.0995 ? `${ms.toFixed(2)} ms` : `${Math.round(ms * 1000)} us`;
}

/** "12.0 ms", "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h". */
export function span(seconds: number): string {
  if (seconds > 0 && seconds < 0.0995) return milliseconds(seconds * 1000);
  const s = Math.floor(seconds);
  if (s < 60) return `${seconds < 9.95 ? Number(seconds.toFixed(1)) : s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

export function size(bytes: number): string {
  return formatSize(Math.round(bytes));
}

export interface Column<T> {
  title: string;
  text: (row: T) => string;
  /** Numbers stand at the right. */
  left?: boolean;
  /** Takes the room that is left; paths lose their beginning. */
  flexible?: 'end' | 'start';
  /** At least so wide: a column of a live table that followed its numbers would wobble. */
  least?: number;
  /** Left out where there is less room than this. */
  fromWidth?: number;
}

const GAP = '  ';
const NARROWEST = 8;

/** The heading and a line for each row, none wider than `width`. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], width: number): string[] {
  const shown = columns.filter(({ fromWidth = 0 }) => width >= fromWidth);
  const cells = rows.map((row) => shown.map(({ text }) => text(row)));
  const widths = shown.map(({ title, least = 0 }, at) =>
    Math.max(least, title.length, ...cells.map((line) => widthOf(line[at] ?? ''))),
  );
  const flexible = shown.findIndex((column) => column.flexible !== undefined);
  const used = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (shown.length - 1);
  if (flexible >= 0 && used > width) widths[flexible] = Math.max(NARROWEST, (widths[flexible] ?? 0) - (used - width));
  const line = (texts: readonly string[]): string =>
    fit(
      texts
        .map((text, at) => {
          const room = widths[at] ?? 0;
          const fitted = fit(text, room, shown[at]?.flexible);
          const padding = ' '.repeat(room - widthOf(fitted));
          return shown[at]?.left ? fitted + padding : padding + fitted;
        })
        .join(GAP)
        .trimEnd(),
      width,
    );
  return [line(shown.map(({ title }) => title)), ...cells.map(line)];
}
