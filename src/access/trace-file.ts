/**
 * Opens the file that a trace is written to. Who may ask is who mounted; still a daemon of root must not be led to
 * overwrite anything: no link is followed, and only a trace is overwritten without being told to.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import { MloError } from '../errors.ts';
import { MAGIC } from './trace-format.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDWR, O_WRONLY } = constants;

/** `avoided`: the device of the mount itself ("major:minor"). Every call is on the pool: the daemon serves that mount meanwhile. */
export async function openForTrace(file: string, force: boolean, avoided: string | undefined): Promise<FileHandle> {
  if (!isAbsolute(file)) throw new MloError('MLO_TRACE', `${file} is no absolute path`);
  try {
    const { dev } = await stat(dirname(file));
    if (named(dev) === avoided) {
      throw new MloError('MLO_NESTED', `the trace ${file} would lie in the mount it is of`, 'name a file elsewhere');
    }
    return await open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw refused(file, error);
  }
  try {
    return await openExisting(file, force);
  } catch (error) {
    throw refused(file, error);
  }
}

async function openExisting(file: string, force: boolean): Promise<FileHandle> {
  const handle = await open(file, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw new MloError('MLO_TRACE', `${file} is no regular file`, 'name another file');
    if (found.uid !== process.geteuid?.()) throw new MloError('MLO_TRACE', `${file} belongs to another user`);
    if (!force && found.size > 0 && !(await isTrace(handle))) {
      throw new MloError(
        'MLO_TRACE',
        `${file} exists and is no trace`,
        'name another file, or overwrite it with --force',
      );
    }
    await handle.truncate(0);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function isTrace(handle: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
  return bytesRead === MAGIC.length && buffer.toString('latin1') === MAGIC;
}

function refused(file: string, error: unknown): MloError {
  if (error instanceof MloError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const what =
    code === 'ELOOP' ? 'it is a symbolic link' : code === 'ENOENT' ? 'its directory does not exist' : message;
  return new MloError('MLO_TRACE', `cannot write the trace ${file}: ${what}`, 'name another file');
}

/** As the kernel's tables name a device; its number is packed as glibc's makedev does. */
function named(device: number): string {
  const high = Math.floor(device / 2 ** 20);
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) | ((high << 8) & 0xfff_ff00);
  return `${major}:${minor}`;
}
