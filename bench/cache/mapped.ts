/** A model that many processes map at once, and rows of a mapped table from the disk of the cache. */
import type { Measure } from './measure.ts';
import { ratioInTurns } from './stage.ts';

const PROCESSES = 8;
const ROOM = 2;
const TURNS = 5;

export const model: Measure = {
  name: 'mapped model',
  needs: ['big'],
  async run(stage) {
    const { bigBytes } = stage.sizes;
    await stage.pages('load', stage.local('big'));
    const mount = await stage.mount(bigBytes * ROOM, ['ro']);
    let seconds = 0;
    const sent = await stage.sent(async () => {
      const said = await stage.read('map_model', [mount.path('big'), '--processes', PROCESSES]);
      if (said.bytes !== PROCESSES * bigBytes) throw new Error(`mapped ${said.bytes} bytes`);
      seconds = said.seconds!;
    });
    await mount.unmount();
    return [
      {
        what: 'mapped model, cold: seconds / bytes over the link',
        value: seconds / (bigBytes / stage.bandwidth),
        atMost: 1.15,
      },
      { what: 'mapped model, cold: store bytes / model', value: sent / bigBytes, atMost: 1.02 },
    ];
  },
};

export const table: Measure = {
  name: 'mapped table, pages dropped',
  needs: ['big'],
  async run(stage, round) {
    const mount = await stage.mount(stage.sizes.bigBytes * ROOM, ['ro']);
    await stage.read('read_pieces', [mount.path('big')]);
    await mount.settled();
    const rows = async (path: string, turn: number): Promise<number> => {
      const seed = round * TURNS + turn;
      return (await stage.read('map_rows', [path, '--rows', stage.sizes.rows, '--seed', seed])).seconds!;
    };
    const ratio = await ratioInTurns(
      TURNS,
      async (turn) => {
        await mount.dropPages();
        return rows(mount.path('big'), turn);
      },
      async (turn) => {
        await stage.pages('drop', stage.local('big'));
        return rows(stage.local('big'), turn);
      },
    );
    await mount.unmount();
    return [{ what: 'mapped table, pages dropped / local disk', value: ratio, atLeast: 0.8 }];
  },
};
