/**
 * Over how many nodes a job is spread, from the environment its launcher gave its processes: torchrun and DeepSpeed
 * (WORLD_SIZE, LOCAL_WORLD_SIZE), Slurm, Open MPI. Each of these nodes reads a share of the data.
 *
 * Reading a process's environment takes a lock that the process may hold while it waits for us, in a page fault: so this is
 * done by the pool, never in the session's own turn.
 */
import { readFile } from 'node:fs/promises';
import { processIdOf } from './processes.ts';

const ENVIRONMENT_MOST = 1024 * 1024;

/** Nodes, 1 at least: also where it cannot be seen. `thread`: of a process of the job, which is waiting for an answer. */
export async function jobWidth(thread: number): Promise<number> {
  const pid = processIdOf(thread);
  if (pid === undefined) return 1;
  try {
    return widthFrom((await readFile(`/proc/${pid}/environ`, 'latin1')).slice(0, ENVIRONMENT_MOST));
  } catch {
    return 1; // it has ended, or is another user's
  }
}

/** `environment`: as /proc/PID/environ. */
export function widthFrom(environment: string): number {
  const values = new Map<string, number>();
  for (const entry of environment.split('\0')) {
    const equals = entry.indexOf('=');
    const value = Number(entry.slice(equals + 1));
    if (equals > 0 && Number.isInteger(value) && value > 0) values.set(entry.slice(0, equals), value);
  }
  const nodes = values.get('SLURM_JOB_NUM_NODES') ?? values.get('SLURM_NNODES') ?? values.get('GROUP_WORLD_SIZE') ?? 1;
  const ranks = values.get('WORLD_SIZE') ?? values.get('OMPI_COMM_WORLD_SIZE') ?? 1;
  const here = values.get('LOCAL_WORLD_SIZE') ?? values.get('OMPI_COMM_WORLD_LOCAL_SIZE') ?? 1;
  return Math.max(nodes, Math.ceil(ranks / here));
}
