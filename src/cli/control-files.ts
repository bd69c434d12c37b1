/** What the virtual files under `.mlo/` say: the same as the control socket, for those who only have the mount. */
import type { ControlHandlers } from '../control/server.ts';
import type { VirtualFiles } from '../overlay/index.ts';

export function addControlFiles(files: VirtualFiles | undefined, handlers: ControlHandlers): void {
  files?.add('config', () => text(configOf(handlers.status())));
  files?.add('stats', () => text(handlers.stats()));
}

function text(document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** How it is mounted, without what it has counted. */
function configOf(status: object): object {
  const { stats, ...config } = status as { stats?: unknown };
  return config;
}
