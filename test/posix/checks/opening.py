"""What the flags of open(2) promise."""
import array
import fcntl
import mmap
import os
import socket
import stat

from .calls import O_TMPFILE, link_descriptor
from .kit import Skip, all_of, check, elsewhere, equal, fails, get, is_root, mode_of, pattern, put, same_bytes, true


# S4.1
@check
def O_EXCL_creates_or_fails():
    fd = os.open('file', os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
    os.close(fd)
    fails('EEXIST', os.open, 'file', os.O_CREAT | os.O_EXCL | os.O_RDWR)
    os.mkdir('dir')
    fails('EEXIST', os.open, 'dir', os.O_CREAT | os.O_EXCL | os.O_RDWR)


@check
def exactly_one_of_many_processes_wins_an_O_EXCL_race():
    for i in range(10):

        def create(_, name=f'lock{i}'):
            try:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                return 1
            except FileExistsError:
                return 0

        equal(sum(all_of(6, create)), 1, 'winners')


@check
def O_CREAT_of_an_existing_file_opens_it_unchanged():
    put('file', b'content', 0o600)
    fd = os.open('file', os.O_CREAT | os.O_RDWR, 0o777)
    same_bytes(os.read(fd, 100), b'content')
    equal(mode_of('file'), 0o600, 'mode')
    os.close(fd)


# S3.5
@check
def O_TRUNC_empties_the_file_for_everyone():
    put('file', b'x' * 10_000)
    reader = os.open('file', os.O_RDONLY)
    os.pread(reader, 10_000, 0)
    fd = os.open('file', os.O_WRONLY | os.O_TRUNC)
    equal(os.fstat(reader).st_size, 0, 'size')
    equal(os.pread(reader, 100, 0), b'', 'content')
    os.write(fd, b'new')
    same_bytes(os.pread(reader, 100, 0), b'new')
    os.close(fd)
    os.close(reader)


# S3.4
@check
def O_APPEND_writes_at_the_end_whatever_the_position():
    put('file', b'start')
    fd = os.open('file', os.O_RDWR | os.O_APPEND)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b' more')
    elsewhere(append, 'file', b' other')
    os.write(fd, b' last')
    same_bytes(get('file'), b'start more other last')
    os.ftruncate(fd, 2)
    os.write(fd, b'ART')
    same_bytes(get('file'), b'stART')
    os.close(fd)


def append(name, data):
    with open(name, 'ab', buffering=0) as file:
        file.write(data)


# S3.4
@check
def concurrent_appenders_lose_nothing():
    def appender(i):
        fd = os.open('log', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for n in range(200):
            os.write(fd, f'{i} {n} {"x" * (n % 50)}\n'.encode())
        os.close(fd)

    all_of(6, appender)
    lines = get('log').decode().splitlines()
    wanted = {f'{i} {n} {"x" * (n % 50)}' for i in range(6) for n in range(200)}
    equal(len(lines), len(wanted), 'lines')
    equal(set(lines), wanted, 'the lines themselves')


@check
def O_APPEND_can_be_switched_on_and_off_while_open():
    put('file', b'12345')
    fd = os.open('file', os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    os.write(fd, b'6')
    fcntl.fcntl(fd, fcntl.F_SETFL, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b'A')
    same_bytes(get('file'), b'A23456')
    os.close(fd)


@check
def a_file_may_be_created_with_a_mode_that_forbids_what_it_is_opened_for():
    fd = os.open('file', os.O_CREAT | os.O_RDWR, 0)
    os.write(fd, b'content')
    same_bytes(os.pread(fd, 100, 0), b'content')
    equal(mode_of('file'), 0, 'mode')
    os.close(fd)
    fd = os.open('read-only', os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o444)
    os.write(fd, b'x')
    os.close(fd)
    equal(get('read-only'), b'x', 'content')
    if not is_root():
        fails('EACCES', os.open, 'read-only', os.O_WRONLY)
        fails('EACCES', os.open, 'file', os.O_RDONLY)


@check
def descriptors_do_only_what_they_were_opened_for():
    put('file', b'content')
    reader, writer = os.open('file', os.O_RDONLY), os.open('file', os.O_WRONLY)
    fails('EBADF', os.write, reader, b'x')
    fails('EBADF', os.read, writer, 1)
    fails('EBADF', os.pread, writer, 1, 0)
    os.close(reader)
    os.close(writer)


@check
def O_SYNC_and_O_DSYNC_write_what_is_asked():
    for flag in (os.O_SYNC, os.O_DSYNC):
        fd = os.open('file', os.O_CREAT | os.O_RDWR | os.O_TRUNC | flag)
        for i in range(20):
            os.write(fd, bytes([i]) * 1000)
        same_bytes(get('file'), b''.join(bytes([i]) * 1000 for i in range(20)))
        os.close(fd)


def aligned(size, data=None):
    """A page-aligned buffer, as O_DIRECT asks for."""
    buffer = mmap.mmap(-1, size)
    if data:
        buffer[:] = data
    return buffer


def open_direct(name, flags=os.O_RDWR | os.O_CREAT):
    try:
        return os.open(name, flags | os.O_DIRECT)
    except OSError as error:
        raise Skip('no O_DIRECT here') from error


# S1.7
@check
def O_DIRECT_reads_what_was_written_buffered_and_the_other_way():
    data = pattern(1 << 20)
    put('file', data)
    fd = open_direct('file')
    buffer = aligned(1 << 20)
    equal(os.preadv(fd, [buffer], 0), 1 << 20, 'bytes read')
    same_bytes(buffer[:], data, 'direct read of what was written buffered')
    equal(os.preadv(fd, [memoryview(buffer)[:65536]], 4096 * 3), 65536, 'bytes read')
    same_bytes(buffer[:65536], data[12288:12288 + 65536], 'direct read in the middle')
    get('file')  # into the page cache
    os.pwritev(fd, [aligned(8192, pattern(8192, 2))], 16384)
    same_bytes(get('file'), data[:16384] + pattern(8192, 2) + data[24576:], 'buffered read of what was written directly')
    os.close(fd)


# S1.2
@check
def O_DIRECT_stops_at_the_end_of_the_file():
    put('file', pattern(10_000))
    fd = open_direct('file')
    buffer = aligned(65536)
    equal(os.preadv(fd, [buffer], 0), 10_000, 'bytes read')
    same_bytes(buffer[:10_000], pattern(10_000))
    equal(os.preadv(fd, [buffer], 16384), 0, 'bytes read behind the end')
    os.pwritev(fd, [aligned(4096, b'z' * 4096)], 12288)
    same_bytes(get('file'), pattern(10_000) + bytes(2288) + b'z' * 4096)
    os.close(fd)


@check
def buffered_and_direct_descriptors_of_one_file_agree():
    direct, buffered = open_direct('file'), os.open('file', os.O_RDWR)
    page = aligned(4096)
    for i in range(64):
        os.pwrite(buffered, bytes([i]) * 4096, i * 4096)
        os.preadv(direct, [page], i * 4096)
        same_bytes(page[:], bytes([i]) * 4096, f'direct read of page {i}')
        os.pwritev(direct, [aligned(4096, bytes([i + 100]) * 4096)], i * 4096)
        same_bytes(os.pread(buffered, 4096, i * 4096), bytes([i + 100]) * 4096, f'buffered read of page {i}')
    os.close(direct)
    os.close(buffered)


def open_nameless(mode=0o600, flags=os.O_RDWR):
    try:
        return os.open('.', O_TMPFILE | flags, mode)
    except OSError as error:
        raise Skip(f'no O_TMPFILE here: {error.strerror}') from error


# S4.5
@check
def O_TMPFILE_has_no_name_until_it_is_linked():
    fd = open_nameless(0o640)
    os.write(fd, b'content')
    equal(os.fstat(fd).st_nlink, 0, 'links')
    equal(os.listdir(), [], 'listing')
    link_descriptor(fd, 'named')
    equal((os.fstat(fd).st_nlink, os.stat('named').st_nlink), (1, 1), 'links')
    equal(os.stat('named').st_ino, os.fstat(fd).st_ino, 'inode')
    equal(mode_of('named'), 0o640, 'mode')
    os.write(fd, b' and more')
    same_bytes(get('named'), b'content and more')
    os.close(fd)
    same_bytes(get('named'), b'content and more')


@check
def O_TMPFILE_with_O_EXCL_can_never_be_linked():
    fd = open_nameless(flags=os.O_RDWR | os.O_EXCL)
    os.write(fd, b'secret')
    fails('ENOENT', link_descriptor, fd, 'named')
    same_bytes(os.pread(fd, 10, 0), b'secret')
    os.close(fd)


@check
def many_nameless_files_keep_apart():
    files = [open_nameless() for _ in range(50)]
    for i, fd in enumerate(files):
        os.write(fd, str(i).encode() * 100)
    for i, fd in enumerate(files):
        same_bytes(os.pread(fd, 1000, 0), str(i).encode() * 100)
    equal(len({os.fstat(fd).st_ino for fd in files}), 50, 'inode numbers')
    fails('EEXIST', link_descriptor, files[0], '.')
    for fd in files:
        os.close(fd)


@check
def a_thousand_descriptors_can_be_open_at_once():
    for i in range(100):
        put(f'file{i}', str(i).encode())
    files = [os.open(f'file{i % 100}', os.O_RDONLY) for i in range(1000)]
    for i, fd in enumerate(files):
        equal(os.pread(fd, 10, 0), str(i % 100).encode(), 'content')
    for fd in files:
        os.close(fd)


@check
def a_descriptor_sent_to_another_process_still_works():
    left, right = socket.socketpair()
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'content')
    left.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
    os.close(fd)
    os.unlink('file')
    _, ancillary, _, _ = right.recvmsg(1, socket.CMSG_SPACE(4))
    received = array.array('i', ancillary[0][2])[0]
    same_bytes(os.pread(received, 10, 0), b'content')
    os.close(received)


@check
def a_forked_process_shares_the_position():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'one ')
    elsewhere(lambda: os.write(fd, b'two '))
    os.write(fd, b'three')
    same_bytes(get('file'), b'one two three')
    os.close(fd)


@check
def directories_open_for_reading_only():
    os.mkdir('dir')
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        fails('EISDIR', os.open, 'dir', flags)
    fd = os.open('dir', os.O_RDONLY)
    fails('EISDIR', os.read, fd, 10)
    true(stat.S_ISDIR(os.fstat(fd).st_mode), 'not a directory')
    os.close(fd)
