/** Orders inside of one large file, cold: how much of the link each of them gets. */
import type { Stage } from '../cache/stage.ts';
import type { Figure, Measure } from './measure.ts';
import type { Site, Through } from './site.ts';

const MIB = 2 ** 20;
const PIECE = 64 * 1024;
/** Pieces by which the bare source is measured: it needs a minute and more for all of them. */
const BARE_PIECES = 256;

interface Reading {
  name: string;
  set: 'large' | 'strided';
  args: readonly (string | number)[];
  /** Of the link. */
  atLeast?: number;
  /** As often as the bare source. */
  atLeastBare?: number;
  /** Of the store's bytes to what was read. */
  bytesMost?: number;
}

async function cold(site: Site, { name, set, args, ...required }: Reading, parts: Through): Promise<Figure[]> {
  const stage = parts.stage ?? site.near;
  const read = async (path: string, most: readonly (string | number)[]): Promise<{ rate: number; bytes: number }> => {
    const { bytes, seconds } = await stage.read('read_pieces', [path, ...args, ...most]);
    return { rate: bytes! / seconds!, bytes: bytes! };
  };
  const bare = await site.through(name, 'bare', parts, (path) => read(path(set), ['--most', BARE_PIECES]));
  const on = await site.through(name, 'on', parts, (path) => read(path(set), []));
  const { atLeast, atLeastBare, bytesMost } = required;
  return [
    { what: `${name} / link`, value: on.said.rate / stage.bandwidth, ...(atLeast && { atLeast }) },
    {
      what: `${name} / bare source`,
      value: on.said.rate / bare.said.rate,
      ...(atLeastBare && { atLeast: atLeastBare }),
    },
    { what: `${name}: bare source / link`, value: bare.said.rate / stage.bandwidth },
    {
      what: `${name}: store bytes / read`,
      value: on.sentBytes / on.said.bytes,
      ...(bytesMost && { atMost: bytesMost }),
    },
  ];
}

function measure(reading: Reading, link?: (site: Site) => Promise<Stage>): Measure {
  return {
    name: reading.name,
    needs: [reading.set],
    run: async (site) => {
      await site.near.pages('load', site.near.local(reading.set));
      return cold(site, reading, link === undefined ? {} : { stage: await link(site) });
    },
  };
}

const sequential: readonly (string | number)[] = ['--piece', MIB];
const strides = ['--piece', PIECE, '--stride', MIB];

export const inAFile: readonly Measure[] = [
  measure({ name: 'sequential', set: 'large', args: sequential, atLeast: 0.95 }),
  measure({ name: 'strided', set: 'strided', args: strides, atLeast: 0.9, bytesMost: 1.1 }),
  measure({ name: 'backward', set: 'large', args: [...sequential, '--backward'], atLeast: 0.9 }),
  measure({
    name: 'two readers in turns, one descriptor',
    set: 'large',
    args: [...sequential, '--readers', 2, '--split', 'turns'],
    atLeast: 0.9,
  }),
  measure({
    name: 'two readers, a half each',
    set: 'large',
    args: [...sequential, '--readers', 2, '--split', 'parts'],
    atLeast: 0.9,
  }),
  measure({ name: 'sequential, 20 ms, 500 MB/s', set: 'large', args: sequential, atLeastBare: 3 }, (site) =>
    site.link(20, 500e6),
  ),
];
