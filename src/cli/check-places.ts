/** Whether source and mountpoint can be used. In the daemon, since a look at either may hang, and it can be killed. */
import { realpathSync, statSync } from 'node:fs';
import type { DaemonRequest } from '../config/daemon-request.ts';
import { MloError } from '../errors.ts';
import { mountedAt } from '../fuse/index.ts';

/** Resolves both to absolute paths without symbolic links. */
export function checkPlaces(request: DaemonRequest): void {
  const { mountpoint } = request;
  refuseMounted(mountpoint); // before anything looks at it
  request.mountpoint = directory(mountpoint, 'MLO_MOUNTPOINT', 'mountpoint');
  refuseMounted(request.mountpoint);
  const source = directory(request.source, 'MLO_SOURCE', 'source');
  if (request.mountpoint === source) {
    throw new MloError('MLO_NESTED', `${source} cannot be mounted on itself`, 'choose another mountpoint');
  }
  if (within(request.mountpoint, source)) {
    throw new MloError('MLO_NESTED', `the mountpoint ${request.mountpoint} lies in the source ${source}`);
  }
  if (within(source, request.mountpoint)) {
    throw new MloError('MLO_NESTED', `the source ${source} lies in the mountpoint ${request.mountpoint}`);
  }
  request.source = source;
}

function refuseMounted(mountpoint: string): void {
  const mount = mountedAt(mountpoint);
  if (mount?.type !== 'fuse.ml-overlay') return;
  throw new MloError('MLO_MOUNTED', `an ml-overlay of ${mount.source} is mounted on ${mountpoint} already`);
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be entered by this user',
  ENOTCONN: 'is a mount whose daemon is gone',
  ELOOP: 'is a symbolic link that leads in circles',
};

function directory(path: string, code: 'MLO_SOURCE' | 'MLO_MOUNTPOINT', what: string): string {
  let real: string;
  try {
    real = realpathSync(path);
    if (statSync(real).isDirectory()) return real;
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? '';
    const reason = reasons[errno] ?? `cannot be used (${errno})`;
    const remedy = errno === 'ENOTCONN' ? `unmount it first: umount -l ${path}` : undefined;
    throw new MloError(code, `the ${what} ${path} ${reason}`, remedy);
  }
  throw new MloError(code, `the ${what} ${real} is not a directory`, 'give a directory');
}

function within(path: string, outer: string): boolean {
  return path === outer || path.startsWith(outer === '/' ? '/' : `${outer}/`);
}
