/** What the virtual files under `.mlo/` say and take: the same as the control socket, for those who only have the mount. */
import type { ControlHandlers } from '../control/server.ts';
import type { VirtualFiles, Writable } from '../overlay/index.ts';
import type { Plans } from '../prefetch/plans/plans.ts';
import type { Log } from '../telemetry/log.ts';

/** `plans`: undefined where nothing is brought ahead of readers. */
export function addControlFiles(
  files: VirtualFiles | undefined,
  handlers: ControlHandlers,
  plans: Plans | undefined,
  log: Log,
): void {
  files?.add('config', () => text(configOf(handlers.status())));
  files?.add('stats', () => text(handlers.stats()));
  if (plans !== undefined) files?.add('plan', () => text(plans.snapshot()), takesPlans(plans, log));
}

function takesPlans(plans: Plans, log: Log): Writable {
  const refused = (trouble: string | undefined): void => {
    if (trouble !== undefined) log.warn({ trouble }, 'what was written to .mlo/plan cannot be understood');
  };
  return {
    begin: () => {
      const announcement = plans.announcement();
      return {
        write: (data) => announcement.write(data),
        end: () => {
          announcement.end();
          refused(announcement.trouble);
        },
      };
    },
    message: (data) => {
      const { taken, trouble } = plans.announce(data);
      refused(trouble);
      return taken;
    },
  };
}

function text(document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** How it is mounted, without what it has counted. */
function configOf(status: object): object {
  const { stats, ...config } = status as { stats?: unknown };
  return config;
}
