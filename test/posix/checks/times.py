"""Which operation moves which time of which file. Access times are left out: mounts may well not keep them."""
import mmap
import os

from .calls import renameat2
from .kit import check, equal, get, put, tick, true


def moved(names, operation, wanted):
    """Runs `operation` and expects exactly the times `wanted` ('dir.mtime file.ctime') among those of `names` to move."""
    before = {name: os.lstat(name) for name in names}
    tick()
    operation()
    found = set()
    for name in names:
        now = os.lstat(name)
        found |= {f'{name}.{field}' for field in ('mtime', 'ctime') if getattr(now, f'st_{field}_ns') > getattr(before[name], f'st_{field}_ns')}
        true(now.st_mtime_ns >= before[name].st_mtime_ns, f'the mtime of {name} went back')
    equal(sorted(found), sorted(wanted.split()), 'times that moved')


BOTH = 'dir.mtime dir.ctime'


# S5.3
@check
def creating_anything_moves_the_times_of_its_directory():
    os.mkdir('dir')
    put('file')
    moved(['dir'], lambda: put('dir/file'), BOTH)
    moved(['dir'], lambda: os.mkdir('dir/sub'), BOTH)
    moved(['dir'], lambda: os.symlink('x', 'dir/link'), BOTH)
    moved(['dir'], lambda: os.mkfifo('dir/fifo'), BOTH)
    moved(['dir', 'file'], lambda: os.link('file', 'dir/hard'), f'{BOTH} file.ctime')


# S5.3
@check
def removing_anything_moves_the_times_of_its_directory():
    os.makedirs('dir/sub')
    put('dir/file')
    os.link('dir/file', 'twin')
    moved(['dir', 'twin'], lambda: os.unlink('dir/file'), f'{BOTH} twin.ctime')
    moved(['dir'], lambda: os.rmdir('dir/sub'), BOTH)


# S5.3
@check
def renaming_moves_the_times_of_both_directories():
    os.mkdir('dir')
    os.mkdir('to')
    put('dir/file')
    put('to/other')
    moved(['dir', 'to'], lambda: os.rename('dir/file', 'to/file'), f'{BOTH} to.mtime to.ctime')
    moved(['to'], lambda: os.rename('to/file', 'to/other'), 'to.mtime to.ctime')
    put('dir/one')
    moved(['dir', 'to'], lambda: renameat2('dir/one', 'to/other', 2), f'{BOTH} to.mtime to.ctime')


@check
def opening_an_existing_file_with_O_CREAT_leaves_its_directory_alone():
    os.mkdir('dir')
    put('dir/file', b'x')
    moved(['dir', 'dir/file'], lambda: os.close(os.open('dir/file', os.O_CREAT | os.O_RDWR)), '')


# S5.3
@check
def writing_moves_the_times_of_the_file_only():
    os.mkdir('dir')
    put('dir/file', b'x')
    fd = os.open('dir/file', os.O_RDWR)
    moved(['dir/file', 'dir'], lambda: os.write(fd, b'y'), 'dir/file.mtime dir/file.ctime')
    moved(['dir/file', 'dir'], lambda: os.write(fd, b'y'), 'dir/file.mtime dir/file.ctime')
    os.close(fd)


@check
def reading_moves_neither_mtime_nor_ctime():
    put('file', b'x' * 10_000)
    moved(['file'], lambda: get('file'), '')


# S5.3
@check
def truncation_moves_the_times_of_the_file():
    put('file', b'x' * 100)
    moved(['file'], lambda: os.truncate('file', 10), 'file.mtime file.ctime')
    moved(['file'], lambda: os.truncate('file', 1000), 'file.mtime file.ctime')
    moved(['file'], lambda: os.close(os.open('file', os.O_WRONLY | os.O_TRUNC)), 'file.mtime file.ctime')


@check
def chmod_chown_utime_and_xattrs_move_the_change_time_only():
    put('file')
    moved(['file'], lambda: os.chmod('file', 0o600), 'file.ctime')
    moved(['file'], lambda: os.chown('file', os.getuid(), os.getgid()), 'file.ctime')
    moved(['file'], lambda: os.utime('file', ns=(os.stat('file').st_atime_ns, os.stat('file').st_mtime_ns)), 'file.ctime')
    moved(['file'], lambda: os.setxattr('file', 'user.a', b'1'), 'file.ctime')
    moved(['file'], lambda: os.removexattr('file', 'user.a'), 'file.ctime')


@check
def writing_through_a_mapping_moves_the_mtime():
    put('file', bytes(8192))
    fd = os.open('file', os.O_RDWR)
    mapped = mmap.mmap(fd, 8192)

    def write():
        mapped[0:4] = b'data'
        mapped.flush()

    moved(['file'], write, 'file.mtime file.ctime')
    os.close(fd)


@check
def a_time_set_after_a_write_survives_close():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'x' * 10_000)
    os.utime(fd, ns=(1_000_000_001, 2_000_000_002))
    os.close(fd)
    equal(os.stat('file').st_mtime_ns, 2_000_000_002, 'mtime after close')
    fd = os.open('file', os.O_RDWR)
    os.write(fd, b'y')
    os.utime('file', ns=(1_000_000_003, 2_000_000_004))
    os.fsync(fd)
    equal(os.fstat(fd).st_mtime_ns, 2_000_000_004, 'mtime after fsync')
    os.close(fd)
    tick()
    equal(os.stat('file').st_mtime_ns, 2_000_000_004, 'mtime after close')


@check
def all_times_of_a_new_file_are_those_of_its_creation():
    put('older')
    tick()
    put('file')
    tick()
    put('newer')
    older, found, newer = (os.stat(name) for name in ('older', 'file', 'newer'))
    for field in ('st_atime_ns', 'st_mtime_ns', 'st_ctime_ns'):
        true(
            getattr(older, field) < getattr(found, field) < getattr(newer, field),
            f'{field} is not between those of the files made before and after',
        )
