/**
 * Writes docs/CONFIGURATION.md, docs/ERRORS.md and docs/METRICS.md from the schema, the table of errors and that of metrics.
 *
 *     scripts/node scripts/make-docs.ts [--check]
 *
 * `--check` writes nothing and exits 1 when a file is not current.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { profiles } from '../src/config/profiles.ts';
import { environmentName, metaOf, optionNames } from '../src/config/schema.ts';
import { type ErrorEntry, errorTable } from '../src/errors.ts';
import { metrics } from '../src/telemetry/metrics.ts';

const root = resolve(import.meta.dirname, '..');

/** The files by path, as they should be. */
export function documents(): Map<string, string> {
  return new Map([
    ['docs/CONFIGURATION.md', configuration()],
    ['docs/ERRORS.md', errors()],
    ['docs/METRICS.md', metricsDocument()],
  ]);
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(row)].join('\n');
}

function configuration(): string {
  const options = optionNames.map((name) => {
    const { value, fallback, about, repeatable, live } = metaOf(name);
    const more = `${repeatable ? ' Repeatable.' : ''}${live ? ' Can be changed live: `ml-overlay set`.' : ''}`;
    const shown = fallback === '' ? '' : `\`${fallback}\``;
    return [`\`${name}\``, value === '' ? 'on, off' : `\`${value}\``, shown, about + more];
  });
  const sets = Object.entries(profiles)
    .filter(([name]) => name !== 'none')
    .flatMap(([name, { about, sets: options }]) => [
      [`\`${name}\``, '', about],
      ...Object.entries(options).map(([option, { value, why }]) => ['', `\`${option}=${value}\``, why]),
    ]);
  return `<!-- Made by scripts/make-docs.ts from src/config/schema.ts: change that. -->
# Configuration

Every option of a mount can be said in five ways; what is nearer to the command wins:

1. a flag: \`--attr-ttl 60\`
2. after \`-o\`, as mount(8) and fstab write it: \`-o attr-ttl=60,ro\` (a comma within a value: \`\\,\`)
3. the environment: \`MLO_ATTR_TTL=60\` (several values with commas between)
4. the mount's entry in the configuration file, then the file's \`defaults\`
5. a profile, then the default

\`ml-overlay status MOUNTPOINT\` shows the value of each and where it came from. An option without a value is on.

## Options

${table(['option', 'value', 'default', 'meaning'], options)}

Sizes: \`500M\` and \`4GiB\` are binary, \`200MB\` is decimal, a plain number is bytes. Durations: seconds, or \`500ms\`, \`30s\`,
\`5m\`, \`1h\`. Environment variables: ${optionNames.map((name) => `\`${environmentName(name)}\``).join(', ')}; \`MLO_CONFIG\` names the configuration file.

After \`-o\` there may also be what every file system has. \`nosuid\`, \`nodev\`, \`noexec\`, \`sync\`, \`dirsync\`, \`noatime\`,
\`nodiratime\`, \`relatime\`, \`strictatime\` and \`lazytime\` reach the kernel, and their opposites take them back; \`user\`, \`users\`,
\`owner\` and \`group\` mean \`nosuid,nodev,noexec\`; \`defaults\`, \`auto\`, \`noauto\`, \`nofail\`, \`_netdev\`, \`comment=\`, \`x-*\` and the
like are for mount(8) and systemd. mount(8) says \`rw\` whether you do or not, so there it does not overrule the file's \`ro\`.

## Profiles

\`--profile NAME\` sets several options at once; each can still be given, and then wins.

${table(['profile', 'sets', 'because'], sets)}

## The configuration file

\`/etc/ml-overlay/config.yaml\`; for an ordinary user \`$XDG_CONFIG_HOME/ml-overlay/config.yaml\` where there is one; another with
\`--config FILE\`.

\`\`\`yaml
${readFileSync(join(root, 'examples/config.yaml'), 'utf8').trim()}
\`\`\`

| command | mounts |
|---|---|
| \`ml-overlay mount /mnt/ml\`, \`mount -t fuse ml-overlay /mnt/ml\` | the entry with this mountpoint |
| \`ml-overlay mount --all\` | every entry that is not mounted and not \`noauto\` |
| \`ml-overlay mount /mnt/beegfs/imagenet /mnt/ml\` | this source, with the options of the entry |

## /etc/fstab

    ${readFileSync(join(root, 'examples/fstab'), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .join('\n    ')}

mount(8) looks for the command in the system's directories: link \`bin/ml-overlay\` to \`/usr/bin\` or \`/usr/local/sbin\`.

## Where things are

| | root | ordinary user |
|---|---|---|
| control socket, record and log of a mount | \`/run/ml-overlay\` | \`$XDG_RUNTIME_DIR/ml-overlay\`, else \`/tmp/ml-overlay-UID\` |
| cache (\`cache=auto\`) | \`/var/cache/ml-overlay\` | \`$XDG_CACHE_HOME/ml-overlay\`, else \`~/.cache/ml-overlay\` |

The log of a daemon that was killed, or had something to complain of, stays: for a week, and the newest hundred. \`mount\` and
\`umount\` take away what is older, and sockets whose daemon is gone.
`;
}

function errors(): string {
  const rows = Object.entries<ErrorEntry>(errorTable).map(([code, { meaning, exit, remedy }]) => [
    `\`${code}\``,
    meaning,
    String(exit),
    remedy,
  ]);
  return `<!-- Made by scripts/make-docs.ts from src/errors.ts: change that. -->
# Errors

Commands print errors as \`MLO_CODE: what happened: what to do\`. What to do is often more exact than here.

${table(['code', 'meaning', 'exit status', 'what to do'], rows)}

Exit statuses are those of mount(8): 0 done, 1 wrong usage or option, 2 the system, 32 the mount (or unmount) failed.
`;
}

function metricsDocument(): string {
  const code = (text: string | undefined): string => (text === undefined ? '' : `\`${text}\``);
  const rows = metrics.map(({ key, name, label, kind, unit, stability, history, meaning }) => [
    code(key),
    name === undefined ? '' : code(label === undefined ? name : `${name}{${label}}`),
    `${kind}${unit === '' ? '' : `, ${unit}`}`,
    `${stability === 'stable' ? '' : 'Experimental. '}${meaning}${history ? ' In the history.' : ''}`,
  ]);
  return `<!-- Made by scripts/make-docs.ts from src/telemetry/metrics.ts: change that. -->
# Metrics

Every number a daemon tells. They are one document, made in one moment:

| where | what |
|---|---|
| \`ml-overlay stats MOUNTPOINT --json\`, \`GET /stats\` on the control socket | the document |
| \`GET /metrics\` on the control socket, and on TCP with \`-o metrics-listen=PORT\` | as Prometheus reads it |
| \`GET /history?seconds=N\` on the control socket | series of what is marked, for up to a day |

[MONITORING.md](MONITORING.md) says how to collect them.

A key is a path in the document; \`*\` stands for any key of a record, \`[]\` for each element of a list. Counters grow from 0
at the mount; their values are exact, except where "estimate" is said. \`null\` means that a value cannot be known, or that
nothing counts it: with \`telemetry=off\` there are no times of operations, no readers and no data sets. Numbers without a
unit are counts. All keys that are not marked experimental are stable: they stay, and keep their meaning, for as long as
\`schema\` is the same. Keys may be added.

What the kernel serves by itself (files handed to it, pages it keeps) is not counted as reads: \`reads.hidden\` says how many
opens that concerns.

${table(['key', 'Prometheus', 'kind', 'meaning'], rows)}

Series by data set are told to Prometheus for the 50 that are read most, the document lists at most 1000 processes and data
sets. Buckets of the histogram end at 16 µs, and at four times the one before up to 17 s.
`;
}

if (import.meta.main) {
  for (const [path, text] of documents()) {
    const file = join(root, path);
    if (process.argv.includes('--check')) {
      if (readFileSync(file, 'utf8') === text) continue;
      console.error(`${path} is not current: npm run docs`);
      process.exitCode = 1;
    } else {
      writeFileSync(file, text);
      console.log(`${path} written`);
    }
  }
}
