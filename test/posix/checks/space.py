"""fallocate, holes, lseek for data and holes, copy_file_range, statfs."""
import errno
import os

from .calls import FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE, fallocate
from .kit import Skip, check, equal, fails, get, pattern, put, same_bytes, true

BLOCK = 65536


def created(data=b''):
    put('file', data)
    return os.open('file', os.O_RDWR)


def supported(function, *arguments):
    try:
        return function(*arguments)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise Skip(f'{getattr(function, "__name__", "this")} is not supported: {error}') from error
        raise


# S8.1
@check
def fallocate_grows_a_file_with_zeros():
    fd = created(b'data')
    supported(fallocate, fd, 0, 0, 100_000)
    equal(os.stat('file').st_size, 100_000, 'size')
    same_bytes(get('file'), b'data' + bytes(99_996))
    true(os.fstat(fd).st_blocks * 512 >= 100_000, f'only {os.fstat(fd).st_blocks} blocks')
    fallocate(fd, 0, 10, 20)
    equal(os.fstat(fd).st_size, 100_000, 'size after a range inside')
    os.posix_fallocate(fd, 150_000, 50_000)
    equal(os.fstat(fd).st_size, 200_000, 'size after posix_fallocate')
    same_bytes(get('file'), b'data' + bytes(199_996))
    os.close(fd)


# S8.1
@check
def fallocate_can_keep_the_size():
    fd = created(b'data')
    supported(fallocate, fd, FALLOC_KEEP_SIZE, 0, 1_000_000)
    equal(os.stat('file').st_size, 4, 'size')
    same_bytes(get('file'), b'data')
    true(os.fstat(fd).st_blocks * 512 >= 1_000_000, f'only {os.fstat(fd).st_blocks} blocks')
    os.close(fd)


# S8.1
@check
def a_punched_hole_reads_as_zeros_and_frees_its_blocks():
    data = pattern(10 * BLOCK)
    fd = created(data)
    os.fsync(fd)
    get('file')
    before = os.fstat(fd).st_blocks
    supported(fallocate, fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 2 * BLOCK, 5 * BLOCK)
    same_bytes(get('file'), data[:2 * BLOCK] + bytes(5 * BLOCK) + data[7 * BLOCK:])
    true(os.fstat(fd).st_blocks < before, 'no block was freed')
    fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 100, 50)  # within a page
    same_bytes(os.pread(fd, 200, 0), data[:100] + bytes(50) + data[150:200])
    equal(os.fstat(fd).st_size, len(data), 'size')
    fails('EOPNOTSUPP EINVAL', fallocate, fd, FALLOC_PUNCH_HOLE, 0, 10)
    os.close(fd)


@check
def zeroing_a_range_leaves_the_rest():
    data = pattern(4 * BLOCK)
    fd = created(data)
    get('file')
    supported(fallocate, fd, FALLOC_ZERO_RANGE, 1000, BLOCK)
    same_bytes(get('file'), data[:1000] + bytes(BLOCK) + data[1000 + BLOCK:])
    fallocate(fd, FALLOC_ZERO_RANGE, 4 * BLOCK - 10, 100)
    equal(os.stat('file').st_size, 4 * BLOCK + 90, 'size')
    same_bytes(os.pread(fd, 200, 4 * BLOCK - 20), data[-20:-10] + bytes(100))
    fallocate(fd, FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE, 0, 10 * BLOCK)
    equal(os.stat('file').st_size, 4 * BLOCK + 90, 'size')
    same_bytes(get('file'), bytes(4 * BLOCK + 90))
    os.close(fd)


@check
def fallocate_names_its_errors():
    fd = created(b'x')
    fails('EINVAL', fallocate, fd, 0, 0, 0)
    fails('EINVAL', fallocate, fd, 0, -1, 10)
    reader = os.open('file', os.O_RDONLY)
    fails('EBADF', fallocate, reader, 0, 0, 10)
    os.close(fd)
    os.close(reader)


# S1.6
@check
def lseek_finds_data_and_holes():
    fd = created()
    os.ftruncate(fd, 10 << 20)
    os.pwrite(fd, b'x' * BLOCK, 4 << 20)
    os.fsync(fd)
    data = os.lseek(fd, 0, os.SEEK_DATA)
    if data == 0:
        raise Skip('this file system does not tell holes')
    equal(data, 4 << 20, 'the first data')
    equal(os.lseek(fd, 4 << 20, os.SEEK_HOLE), (4 << 20) + BLOCK, 'the end of the data')
    equal(os.lseek(fd, 100, os.SEEK_HOLE), 100, 'a hole where one is')
    equal(os.lseek(fd, (4 << 20) + 10, os.SEEK_DATA), (4 << 20) + 10, 'data where there is some')
    fails('ENXIO', os.lseek, fd, 5 << 20, os.SEEK_DATA)
    fails('ENXIO', os.lseek, fd, 10 << 20, os.SEEK_DATA)
    fails('ENXIO', os.lseek, fd, 11 << 20, os.SEEK_HOLE)
    equal(os.lseek(fd, 6 << 20, os.SEEK_HOLE), 6 << 20, 'a hole at the end')
    os.close(fd)


@check
def the_end_of_a_file_is_a_hole():
    fd = created(b'x' * 5000)
    equal(os.lseek(fd, 0, os.SEEK_DATA), 0, 'data')
    equal(os.lseek(fd, 0, os.SEEK_HOLE), 5000, 'hole')
    fails('ENXIO', os.lseek, fd, 5000, os.SEEK_DATA)
    os.pwrite(fd, b'y' * 10, 5000)
    equal(os.lseek(fd, 0, os.SEEK_HOLE), 5010, 'hole after a write')
    os.close(fd)


# S8.2
@check
def copy_file_range_copies_between_files():
    data = pattern(500_000)
    put('from', data)
    source, target = os.open('from', os.O_RDONLY), created()
    equal(copied(source, target, len(data), 0, 0), len(data), 'bytes copied')
    same_bytes(get('file'), data)
    copied(source, target, 1000, 777, 600_000)
    same_bytes(get('file'), data + bytes(100_000) + data[777:1777], 'copied behind the end')
    equal(supported(os.copy_file_range, source, target, 100, len(data), 0), 0, 'bytes copied from the end')
    os.lseek(source, 10, os.SEEK_SET)
    os.lseek(target, 20, os.SEEK_SET)
    os.copy_file_range(source, target, 5)
    equal((os.lseek(source, 0, os.SEEK_CUR), os.lseek(target, 0, os.SEEK_CUR)), (15, 25), 'positions')
    same_bytes(os.pread(target, 10, 18), data[18:20] + data[10:15] + data[25:28])
    os.close(source)
    os.close(target)


def copied(source, target, length, from_offset, to_offset):
    done = 0
    while done < length:
        count = supported(
            os.copy_file_range, source, target, length - done, from_offset + done, to_offset + done
        )
        if count == 0:
            break
        done += count
    return done


@check
def copy_file_range_copies_within_a_file_where_ranges_do_not_overlap():
    data = pattern(100_000)
    fd = created(data)
    get('file')
    equal(copied(fd, fd, 20_000, 1000, 50_000), 20_000, 'bytes copied')
    same_bytes(get('file'), data[:50_000] + data[1000:21_000] + data[70_000:])
    fails('EINVAL', os.copy_file_range, fd, fd, 1000, 0, 500)
    os.close(fd)


# S8.2
@check
def copy_file_range_sees_what_was_just_written_and_shows_it_at_once():
    source, target = os.open('from', os.O_CREAT | os.O_RDWR), created(b'old' * 10_000)
    reader = os.open('file', os.O_RDONLY)
    os.pread(reader, 30_000, 0)
    for i in range(10):
        os.pwrite(source, bytes([i + 1]) * 30_000, 0)
        equal(copied(source, target, 30_000, 0, 0), 30_000, 'bytes copied')
        same_bytes(os.pread(reader, 30_000, 0), bytes([i + 1]) * 30_000, f'copy {i}')
    for fd in (source, target, reader):
        os.close(fd)


@check
def copy_file_range_needs_fitting_descriptors():
    put('from', b'x' * 100)
    reader, target = os.open('from', os.O_RDONLY), created()
    fails('EBADF', os.copy_file_range, target, reader, 10)
    appender = os.open('file', os.O_WRONLY | os.O_APPEND)
    fails('EBADF', os.copy_file_range, reader, appender, 10)
    directory = os.open('.', os.O_RDONLY)
    fails('EISDIR EINVAL', os.copy_file_range, directory, target, 10)
    for fd in (reader, target, appender, directory):
        os.close(fd)


# S5.5
@check
def statfs_tells_figures_that_fit_together():
    found = os.statvfs('.')
    true(found.f_bsize >= 512 and found.f_frsize >= 512, f'block sizes {found.f_bsize} and {found.f_frsize}')
    true(0 < found.f_blocks, 'no blocks')
    true(found.f_bavail <= found.f_bfree <= found.f_blocks, f'{found}')
    true(found.f_ffree <= found.f_files, f'{found}')
    equal(found.f_namemax, 255, 'longest name')
    put('file', b'x')
    fd = os.open('file', os.O_RDONLY)
    equal(os.fstatvfs(fd).f_blocks, found.f_blocks, 'blocks by descriptor')
    os.close(fd)


# S1.6
@check
def a_sparse_file_can_be_walked_by_data_and_holes():
    fd = created()
    places = [i * 3 * BLOCK for i in range(1, 20)]
    for place in places:
        os.pwrite(fd, b'x' * BLOCK, place)
    os.ftruncate(fd, 100 * BLOCK)
    os.fsync(fd)
    found, at = [], 0
    while True:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            equal(error.errno, errno.ENXIO, 'the error behind the last data')
            break
        end = os.lseek(fd, at, os.SEEK_HOLE)
        found.append((at, end - at))
        at = end
    if found == [(0, 100 * BLOCK)]:
        raise Skip('this file system does not tell holes')
    equal(found, [(place, BLOCK) for place in places], 'ranges with data')
    os.close(fd)
