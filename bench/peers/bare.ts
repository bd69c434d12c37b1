/** The two that are always in the table: the source without anything over it, and the local disk. */
import type { Mounted, Peer, Place } from './peer.ts';

const nothing = (path: string): Mounted => ({ path, pids: () => [], settle: async () => {}, unmount: async () => {} });

export const source: Peer = {
  name: 'source',
  command: undefined,
  settings: 'nothing over it',
  because: '',
  version: () => Promise.resolve('-'),
  unable: () => undefined,
  mount: (_scope, place: Place) => Promise.resolve(nothing(place.source)),
};

/** With a plain source the same directory as the source: the difference between the two is the noise of the run. */
export const native: Peer = {
  name: 'native disk',
  command: undefined,
  settings: 'the data on the local disk',
  because: '',
  version: () => Promise.resolve('-'),
  unable: () => undefined,
  mount: (_scope, place: Place) => Promise.resolve(nothing(place.originals)),
};
