/** "500M" (binary), "4GiB", "200MB" (decimal), "1048576" -> bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?b)?|b)?$/i.exec(text.trim());
  if (match === null) throw new Error(`not a size: ${text}`);
  const [, digits, unit, suffix] = match;
  const power = unit === undefined ? 0 : 'kmgt'.indexOf(unit.toLowerCase()) + 1;
  const base = suffix?.toLowerCase() === 'b' ? 1000 : 1024;
  return Math.round(Number(digits) * base ** power);
}

/** 123456789 -> "123.5 MB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  let value = bytes;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at++;
  }
  return at === 0 ? `${value} B` : `${value.toFixed(1)} ${units[at]}`;
}
