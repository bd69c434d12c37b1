"""System calls that Python's os module lacks, by ctypes. Each raises OSError as os functions do."""
import ctypes
import os
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_SYMLINK_FOLLOW = 0x400
AT_EMPTY_PATH = 0x1000
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
STATX_BASIC_STATS, STATX_BTIME = 0x7FF, 0x800
O_TMPFILE = os.O_TMPFILE

_u32, _i64, _u64 = ctypes.c_uint32, ctypes.c_int64, ctypes.c_uint64


def _call(name, *arguments, result=ctypes.c_long):
    function = getattr(libc, name)
    function.restype = result
    value = function(*arguments)
    if value == -1:
        code = ctypes.get_errno()
        raise OSError(code, f'{name}: {os.strerror(code)}')
    return value


def _path(path):
    return None if path is None else ctypes.c_char_p(os.fsencode(path))


def renameat2(old, new, flags=0):
    return _call('renameat2', AT_FDCWD, _path(old), AT_FDCWD, _path(new), _u32(flags), result=ctypes.c_int)


def fallocate(fd, mode, offset, length):
    return _call('fallocate', fd, mode, _i64(offset), _i64(length), result=ctypes.c_int)


def link_descriptor(fd, path):
    """Gives an O_TMPFILE file a name the way open(2) documents for callers without CAP_DAC_READ_SEARCH."""
    source = _path(f'/proc/self/fd/{fd}')
    return _call('linkat', AT_FDCWD, source, AT_FDCWD, _path(path), AT_SYMLINK_FOLLOW, result=ctypes.c_int)


def utimensat(path, atime, mtime, fd=AT_FDCWD, flags=0):
    """`atime`, `mtime`: (seconds, nanoseconds or UTIME_*). `path` None: the descriptor itself."""
    times = ctypes.create_string_buffer(struct.pack('=qqqq', *atime, *mtime))
    if path is None:
        return _call('futimens', fd, times, result=ctypes.c_int)
    return _call('utimensat', fd, _path(path), times, flags, result=ctypes.c_int)


def mknod_device(path, mode, device):
    return _call('mknod', _path(path), _u32(mode), _u64(device), result=ctypes.c_int)


class Statx:
    """The fields of statx(2) that stat(2) lacks, and a few it has."""

    def __init__(self, path, flags=AT_SYMLINK_NOFOLLOW, mask=STATX_BASIC_STATS | STATX_BTIME, fd=AT_FDCWD):
        out = ctypes.create_string_buffer(256)
        _call('statx', fd, _path(path), flags, _u32(mask), out, result=ctypes.c_int)
        raw = out.raw
        self.mask, self.blksize, self.attributes, self.nlink, self.uid, self.gid, self.mode = struct.unpack_from(
            '=IIQIIIH', raw, 0
        )
        self.ino, self.size, self.blocks = struct.unpack_from('=QQQ', raw, 32)
        self.atime, self.btime, self.ctime, self.mtime = (
            seconds * 10**9 + nanoseconds
            for seconds, nanoseconds in (struct.unpack_from('=qI', raw, at) for at in (64, 80, 96, 112))
        )


class Directory:
    """opendir and its kin, with positions, which os.scandir hides."""

    def __init__(self, path):
        self._dir = _pointer('opendir', _path(path))

    def read(self):
        """The next (name, inode number, type), or None at the end."""
        ctypes.set_errno(0)
        libc.readdir64.restype = ctypes.c_void_p
        entry = libc.readdir64(ctypes.c_void_p(self._dir))
        if not entry:
            code = ctypes.get_errno()
            if code:
                raise OSError(code, f'readdir: {os.strerror(code)}')
            return None
        ino, _, _, kind = struct.unpack('=QqHB', ctypes.string_at(entry, 19))
        return ctypes.string_at(entry + 19), ino, kind

    def names(self):
        """The names from here to the end, without . and .., in the order they come."""
        found = []
        while (entry := self.read()) is not None:
            if entry[0] not in (b'.', b'..'):
                found.append(entry[0])
        return found

    def tell(self):
        return _call('telldir', ctypes.c_void_p(self._dir))

    def seek(self, position):
        libc.seekdir.restype = None
        libc.seekdir(ctypes.c_void_p(self._dir), ctypes.c_long(position))

    def rewind(self):
        libc.rewinddir.restype = None
        libc.rewinddir(ctypes.c_void_p(self._dir))

    def close(self):
        _call('closedir', ctypes.c_void_p(self._dir), result=ctypes.c_int)


def _pointer(name, *arguments):
    function = getattr(libc, name)
    function.restype = ctypes.c_void_p
    value = function(*arguments)
    if not value:
        code = ctypes.get_errno()
        raise OSError(code, f'{name}: {os.strerror(code)}')
    return value


def xattr_into(path, name, size):
    """getxattr with a buffer of `size` bytes: the count it returns."""
    buffer = ctypes.create_string_buffer(max(size, 1))
    return _call('getxattr', _path(path), _path(name), buffer if size else None, ctypes.c_size_t(size))


def xattrs_into(path, size):
    buffer = ctypes.create_string_buffer(max(size, 1))
    return _call('listxattr', _path(path), buffer if size else None, ctypes.c_size_t(size))


def flock_record(kind, offset, length):
    """A struct flock for fcntl: kind is F_RDLCK, F_WRLCK or F_UNLCK; the pid must be 0 for OFD locks."""
    return struct.pack('hhqqi4x', kind, os.SEEK_SET, offset, length, 0)


# --- inotify --------------------------------------------------------------------------------------------------------
IN_ATTRIB, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE = 0x4, 0x8, 0x100, 0x200
IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE_SELF = 0x2, 0x40, 0x80, 0x400
IN_NONBLOCK = os.O_NONBLOCK


def inotify(path, mask):
    fd = _call('inotify_init1', IN_NONBLOCK, result=ctypes.c_int)
    _call('inotify_add_watch', fd, _path(path), _u32(mask), result=ctypes.c_int)
    return fd


def inotify_events(fd):
    """The (mask, name) pairs that are waiting."""
    time.sleep(0.05)
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return []
    events, at = [], 0
    while at < len(data):
        _, mask, _, length = struct.unpack_from('=iIII', data, at)
        events.append((mask & 0xFFF, data[at + 16:at + 16 + length].rstrip(b'\0').decode()))
        at += 16 + length
    return events
