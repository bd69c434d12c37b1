import { bindfs } from './bindfs.ts';
import { catfs } from './catfs.ts';
import { onPath } from './daemon.ts';
import { juicefs } from './juicefs.ts';
import { mergerfs } from './mergerfs.ts';
import { passthroughHp } from './passthrough-hp.ts';
import type { Peer } from './peer.ts';
import { rclone } from './rclone.ts';
import { sshfs } from './sshfs.ts';
import { weed } from './weed.ts';

export const peers: readonly Peer[] = [bindfs, mergerfs, sshfs, rclone, passthroughHp, catfs, juicefs, weed];

export const installed = (peer: Peer): boolean => peer.command === undefined || onPath(peer.command);

/** `all`, `installed`, `none`, or names; throws on a name that is none. */
export function choosePeers(text: string): Peer[] {
  if (text === 'none') return [];
  if (text === 'all') return [...peers];
  if (text === 'installed') return peers.filter(installed);
  return text.split(',').map((name) => {
    const found = peers.find(
      (peer) => peer.name.toLowerCase() === name.trim().toLowerCase() || peer.command === name.trim(),
    );
    if (found === undefined)
      throw new Error(`no such peer: ${name} (there are ${peers.map((peer) => peer.name).join(', ')})`);
    return found;
  });
}
