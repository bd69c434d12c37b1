"""stat, statx, and setattr in every combination, by path and by descriptor."""
import itertools
import os
import stat
import time

from .calls import STATX_BTIME, UTIME_NOW, UTIME_OMIT, Statx, utimensat
from .kit import Skip, as_user, BOB, check, elsewhere, equal, fails, get, is_root, mode_of, put, same_bytes, tick, true


# S5.2
@check
def chmod_sets_every_permission_bit_by_path_and_descriptor():
    put('file')
    fd = os.open('file', os.O_RDWR)
    for bit in [1 << i for i in range(12)] + [0, 0o777, 0o7777]:
        if bit & 0o2000 and not is_root() and os.stat('file').st_gid not in [os.getegid(), *os.getgroups()]:
            continue
        os.chmod('file', bit)
        equal(mode_of('file'), bit, 'mode by path')
        os.fchmod(fd, 0o644)
        equal(mode_of('file'), 0o644, 'mode by path after fchmod')
        os.fchmod(fd, bit)
        equal(os.fstat(fd).st_mode & 0o7777, bit, 'mode by descriptor')
    os.close(fd)


@check
def chmod_of_a_directory_and_through_a_symbolic_link():
    os.mkdir('dir')
    os.chmod('dir', 0o1750)
    equal(mode_of('dir'), 0o1750, 'mode')
    put('file')
    os.symlink('file', 'link')
    os.chmod('link', 0o611)
    equal(mode_of('file'), 0o611, 'mode of the file behind the link')
    true(stat.S_ISLNK(os.lstat('link').st_mode), 'the link is no link any more')
    fails('ENOENT', os.chmod, 'missing', 0o600)


@check
def chmod_by_a_descriptor_that_may_only_read():
    put('file')
    fd = os.open('file', os.O_RDONLY)
    os.fchmod(fd, 0o400)
    equal(mode_of('file'), 0o400, 'mode')
    os.close(fd)


# S5.2
@check(root=True)
def chown_sets_owner_and_group_and_minus_one_keeps_them():
    put('file')
    os.symlink('file', 'link')
    os.mkdir('dir')
    fd = os.open('file', os.O_RDWR)
    for change in (
        lambda uid, gid: os.chown('file', uid, gid),
        lambda uid, gid: os.fchown(fd, uid, gid),
        lambda uid, gid: os.chown('link', uid, gid),
    ):
        change(100, 200)
        equal((os.stat('file').st_uid, os.stat('file').st_gid), (100, 200), 'owner and group')
        change(101, -1)
        equal((os.stat('file').st_uid, os.stat('file').st_gid), (101, 200), 'owner and group')
        change(-1, 201)
        equal((os.stat('file').st_uid, os.stat('file').st_gid), (101, 201), 'owner and group')
        change(-1, -1)
        equal((os.fstat(fd).st_uid, os.fstat(fd).st_gid), (101, 201), 'owner and group')
        change(2**32 - 3, 2**32 - 4)
        equal((os.stat('file').st_uid, os.stat('file').st_gid), (2**32 - 3, 2**32 - 4), 'large ids')
    os.lchown('link', 7, 8)
    equal((os.lstat('link').st_uid, os.lstat('link').st_gid), (7, 8), 'owner and group of the link')
    equal(os.stat('file').st_uid, 2**32 - 3, 'owner of the file behind the link')
    os.chown('dir', 5, 6)
    equal((os.stat('dir').st_uid, os.stat('dir').st_gid), (5, 6), 'owner and group of a directory')
    os.close(fd)


# S5.2
@check
def an_ordinary_owner_may_not_give_a_file_away():
    put('file')
    if is_root():
        os.chown('.', *BOB_IDS)
        os.chown('file', *BOB_IDS)
        as_user(BOB_IDS, lambda: fails('EPERM', os.chown, 'file', BOB + 1, -1))
        as_user(BOB_IDS, lambda: fails('EPERM', os.chown, 'file', -1, BOB + 1))
        as_user(BOB_IDS, lambda: os.chown('file', -1, BOB))
        as_user(BOB_IDS, lambda: os.chown('file', BOB, BOB))
    else:
        fails('EPERM', os.chown, 'file', os.getuid() + 1, -1)
        os.chown('file', os.getuid(), os.getgid())


BOB_IDS = (BOB, BOB)


# S3.5
@check
def truncate_grows_with_zeros_and_shrinks_for_good():
    put('file', b'x' * 10_000)
    os.truncate('file', 5)
    equal(os.stat('file').st_size, 5, 'size')
    same_bytes(get('file'), b'xxxxx')
    os.truncate('file', 9_000)
    same_bytes(get('file'), b'xxxxx' + bytes(8_995), 'content grown by truncate')
    fd = os.open('file', os.O_RDWR)
    os.ftruncate(fd, 3)
    equal(os.stat('file').st_size, 3, 'size by path after ftruncate')
    os.ftruncate(fd, 100)
    same_bytes(os.pread(fd, 200, 0), b'xxx' + bytes(97), 'content grown by ftruncate')
    os.ftruncate(fd, 0)
    equal(get('file'), b'', 'content')
    os.close(fd)


@check
def truncate_names_its_errors():
    put('file')
    os.mkdir('dir')
    fails('EINVAL', os.truncate, 'file', -1)
    fails('EISDIR', os.truncate, 'dir', 0)
    fails('ENOENT', os.truncate, 'missing', 0)
    fd = os.open('file', os.O_RDONLY)
    fails('EINVAL EBADF', os.ftruncate, fd, 0)
    os.close(fd)
    os.mkfifo('fifo')
    fails('EINVAL', os.truncate, 'fifo', 0)


# S3.5, S3.6
@check
def truncate_is_seen_by_descriptors_and_processes_that_had_the_file_open():
    put('file', b'x' * 10_000)
    fd = os.open('file', os.O_RDWR)
    os.pread(fd, 10_000, 0)
    elsewhere(os.truncate, 'file', 100)
    equal(os.fstat(fd).st_size, 100, 'size')
    equal(len(os.pread(fd, 10_000, 0)), 100, 'bytes read')
    elsewhere(os.truncate, 'file', 5000)
    same_bytes(os.pread(fd, 10_000, 0), b'x' * 100 + bytes(4900))
    os.close(fd)


# S5.1, S5.2
@check
def times_are_kept_to_the_nanosecond():
    put('file')
    os.mkdir('dir')
    fd = os.open('file', os.O_RDWR)
    cases = [
        (1_234_567_890_123_456_789, 1_400_000_000_987_654_321),
        (0, 1),
        (2_200_000_000_000_000_001, 4_102_444_800_999_999_999),  # 2039 and 2100
        (-1_000_000_001, -5_000_000_000),
    ]
    for atime, mtime in cases:
        for change, name in (
            (lambda: os.utime('file', ns=(atime, mtime)), 'file'),
            (lambda: os.utime(fd, ns=(atime, mtime)), 'file'),
            (lambda: os.utime('dir', ns=(atime, mtime)), 'dir'),
        ):
            change()
            found = os.stat(name)
            equal((found.st_atime_ns, found.st_mtime_ns), (atime, mtime), f'atime and mtime of {name}')
    equal(os.fstat(fd).st_mtime_ns, cases[-1][1], 'mtime by descriptor')
    os.close(fd)


# S5.2
@check
def UTIME_NOW_and_UTIME_OMIT_work_in_every_combination():
    put('file')
    fd = os.open('file', os.O_RDWR)
    choices = ((5, 500), (0, UTIME_NOW), (0, UTIME_OMIT))
    for by_descriptor, (a, m) in itertools.product((False, True), itertools.product(choices, choices)):
        os.utime('file', ns=(1_000, 2_000))
        changed = os.stat('file').st_ctime_ns
        before = time.time_ns()
        tick()
        if by_descriptor:
            utimensat(None, a, m, fd=fd)
        else:
            utimensat('file', a, m)
        found = os.stat('file')
        for wanted, value, old, what in ((a, found.st_atime_ns, 1_000, 'atime'), (m, found.st_mtime_ns, 2_000, 'mtime')):
            case = f'{what} after ({a}, {m}) by {"descriptor" if by_descriptor else "path"}'
            if wanted[1] == UTIME_OMIT:
                equal(value, old, case)
            elif wanted[1] == UTIME_NOW:
                true(before <= value <= time.time_ns(), f'{case}: {value} is not now, {before}')
            else:
                equal(value, 5_000_000_500, case)
        if a[1] != UTIME_OMIT or m[1] != UTIME_OMIT:
            true(found.st_ctime_ns > changed, f'the change time stood still after ({a}, {m})')
    os.close(fd)


@check
def times_of_a_symbolic_link_are_its_own():
    put('file')
    os.symlink('file', 'link')
    os.utime('file', ns=(10, 20))
    os.utime('link', ns=(1_000_000_030, 2_000_000_040), follow_symlinks=False)
    equal(os.lstat('link').st_mtime_ns, 2_000_000_040, 'mtime of the link')
    equal(os.stat('file').st_mtime_ns, 20, 'mtime of the file')
    os.utime('link', ns=(50, 60))
    equal(os.stat('file').st_mtime_ns, 60, 'mtime of the file behind the link')


@check
def statx_tells_the_time_of_birth():
    before = time.time_ns() - 20_000_000
    put('file')
    found = Statx('file')
    if not found.mask & STATX_BTIME:
        raise Skip('this file system keeps no time of birth')
    true(before <= found.btime <= time.time_ns(), f'born {found.btime}, which is not now')
    tick()
    put('file', b'changed')
    os.utime('file', ns=(1, 1))
    equal(Statx('file').btime, found.btime, 'time of birth after a change')


@check
def statx_by_descriptor_tells_the_same():
    put('file', b'123')
    fd = os.open('file', os.O_RDWR)
    found = Statx('', flags=0x1000, fd=fd)  # AT_EMPTY_PATH
    equal((found.size, found.ino), (3, os.stat('file').st_ino), 'size and inode')
    os.write(fd, b'12345')
    equal(Statx('', flags=0x1000, fd=fd).size, 5, 'size after a write')
    equal(Statx('', flags=0x1000 | 0x2000, fd=fd).size, 5, 'size with AT_STATX_FORCE_SYNC')
    os.close(fd)


# S4.4
@check
def every_attribute_can_be_set_by_descriptor_after_unlink():
    fd = os.open('file', os.O_CREAT | os.O_RDWR, 0o600)
    os.write(fd, b'0123456789')
    os.unlink('file')
    put('file', b'a successor under the same name')
    os.fchmod(fd, 0o640)
    os.ftruncate(fd, 4)
    os.utime(fd, ns=(11, 22))
    os.fchown(fd, -1, os.getgid())
    found = os.fstat(fd)
    equal((found.st_mode & 0o777, found.st_size, found.st_mtime_ns, found.st_nlink), (0o640, 4, 22, 0), 'attributes')
    if is_root():
        os.fchown(fd, 12, 34)
        equal((os.fstat(fd).st_uid, os.fstat(fd).st_gid), (12, 34), 'owner and group')
    other = os.stat('file')
    true(other.st_size == 31 and other.st_mode & 0o777 == 0o644, 'the successor was changed')
    os.close(fd)


@check
def every_attribute_can_be_set_by_descriptor_after_replacement():
    fd = os.open('file', os.O_CREAT | os.O_RDWR, 0o600)
    os.write(fd, b'0123456789')
    put('fresh', b'the replacement')
    os.rename('fresh', 'file')
    os.fchmod(fd, 0o640)
    os.ftruncate(fd, 4)
    os.utime(fd, ns=(11, 22))
    found = os.fstat(fd)
    equal((found.st_mode & 0o777, found.st_size, found.st_mtime_ns), (0o640, 4, 22), 'attributes')
    other = os.stat('file')
    true(other.st_size == 15 and other.st_mode & 0o777 == 0o644 and other.st_mtime_ns != 22, 'the replacement was changed')
    os.close(fd)


@check
def attributes_of_an_unlinked_directory_can_be_set_by_descriptor():
    os.mkdir('dir')
    fd = os.open('dir', os.O_RDONLY | os.O_DIRECTORY)
    os.rmdir('dir')
    os.fchmod(fd, 0o700)
    equal(os.fstat(fd).st_mode & 0o777, 0o700, 'mode')
    os.utime(fd, ns=(1, 2))
    equal(os.fstat(fd).st_mtime_ns, 2, 'mtime')
    os.close(fd)


@check
def attributes_can_be_set_through_proc_of_a_path_descriptor():
    put('file', b'12345')
    fd = os.open('file', os.O_PATH)
    os.chmod(f'/proc/self/fd/{fd}', 0o604)
    os.truncate(f'/proc/self/fd/{fd}', 2)
    equal((mode_of('file'), os.fstat(fd).st_size), (0o604, 2), 'mode and size')
    fails('EBADF', os.read, fd, 1)
    os.close(fd)


# S2.7
@check
def inode_numbers_are_stable_and_distinct():
    for i in range(100):
        put(f'file{i}')
    first = [os.stat(f'file{i}').st_ino for i in range(100)]
    equal(len(set(first)), 100, 'distinct inode numbers')
    for i in range(100):
        put(f'file{i}', b'changed')
        os.chmod(f'file{i}', 0o600)
    equal([os.stat(f'file{i}').st_ino for i in range(100)], first, 'inode numbers after changes')
    equal(elsewhere(lambda: [os.stat(f'file{i}').st_ino for i in range(100)]), first, 'seen by another process')
    equal(len({os.stat(f'file{i}').st_dev for i in range(100)} | {os.stat('.').st_dev}), 1, 'devices')


# S2.10
@check
def a_size_is_seen_by_path_as_soon_as_it_was_written():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    size = 0
    for step in (1, 4095, 4096, 100_000, 1):
        os.write(fd, b'x' * step)
        size += step
        equal(os.stat('file').st_size, size, 'size by path')
        equal(os.fstat(fd).st_size, size, 'size by descriptor')
        equal(elsewhere(lambda: os.stat('file').st_size), size, 'size in another process')
    os.close(fd)


# S5.1
@check
def blocks_count_what_is_stored():
    put('full', b'x' * 1_000_000)
    os.sync()
    found = os.stat('full')
    true(found.st_blocks * 512 >= 900_000, f'{found.st_blocks} blocks for 1,000,000 bytes')
    put('sparse')
    os.truncate('sparse', 1_000_000_000)
    true(os.stat('sparse').st_blocks * 512 < 1_000_000, f'{os.stat("sparse").st_blocks} blocks for a file without data')
    true(found.st_blksize >= 512, f'st_blksize {found.st_blksize}')
