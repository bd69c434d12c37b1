"""flock, POSIX record locks and open-file-description locks, between processes."""
import errno
import fcntl
import os
import signal
import struct
import time

from .calls import flock_record
from .kit import check, elsewhere, equal, fails, finish, put, start, true

SHARED, EXCLUSIVE, FREE = fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN


def can_flock(kind, name='file'):
    """Whether another process gets the lock."""

    def attempt():
        fd = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(fd, kind)
            return True
        except BlockingIOError:
            return False

    return elsewhere(attempt)


def can_lock(first=0, length=0, kind=fcntl.LOCK_EX, name='file'):
    """Whether another process gets the record lock."""

    def attempt():
        fd = os.open(name, os.O_RDWR)
        try:
            fcntl.lockf(fd, kind | fcntl.LOCK_NB, length, first)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False

    return elsewhere(attempt)


def opened():
    put('file', b'x' * 100)
    return os.open('file', os.O_RDWR)


# S7.1
@check
def flock_keeps_other_processes_out_until_it_is_released():
    fd = opened()
    fcntl.flock(fd, EXCLUSIVE)
    equal((can_flock(EXCLUSIVE), can_flock(SHARED)), (False, False), 'others, while held exclusively')
    fcntl.flock(fd, SHARED)
    equal((can_flock(EXCLUSIVE), can_flock(SHARED)), (False, True), 'others, while shared')
    fcntl.flock(fd, FREE)
    equal(can_flock(EXCLUSIVE), True, 'others, after release')
    os.close(fd)


@check
def flock_ends_with_the_last_descriptor_of_the_open_file():
    fd = opened()
    twin = os.dup(fd)
    fcntl.flock(fd, EXCLUSIVE)
    os.close(fd)
    equal(can_flock(EXCLUSIVE), False, 'others, while a duplicate is open')
    os.close(twin)
    equal(can_flock(EXCLUSIVE), True, 'others, after the last close')


@check
def flock_of_two_opens_in_one_process_conflicts():
    one = opened()
    two = os.open('file', os.O_RDWR)
    fcntl.flock(one, EXCLUSIVE)
    fails('EWOULDBLOCK', fcntl.flock, two, EXCLUSIVE)
    fcntl.flock(one, FREE)
    fcntl.flock(two, EXCLUSIVE)
    os.close(one)
    os.close(two)


@check
def flock_works_on_directories_and_read_only_descriptors():
    os.mkdir('dir')
    fd = os.open('dir', os.O_RDONLY)
    fcntl.flock(fd, EXCLUSIVE)
    equal(can_flock(SHARED, 'dir'), False, 'others')
    os.close(fd)
    put('file')
    fd = os.open('file', os.O_RDONLY)
    fcntl.flock(fd, EXCLUSIVE)
    equal(can_flock(SHARED), False, 'others')
    os.close(fd)


@check
def flock_follows_the_file_not_its_name():
    fd = opened()
    os.link('file', 'twin')
    fcntl.flock(fd, EXCLUSIVE)
    equal(can_flock(EXCLUSIVE, 'twin'), False, 'others, by another name')
    os.rename('file', 'moved')
    equal(can_flock(EXCLUSIVE, 'moved'), False, 'others, after a rename')
    put('file')
    equal(can_flock(EXCLUSIVE), True, 'others, on a new file of the old name')
    os.close(fd)


@check
def a_waiting_flock_is_granted_when_the_holder_lets_go():
    fd = opened()
    fcntl.flock(fd, EXCLUSIVE)

    def wait():
        mine = os.open('file', os.O_RDWR)
        began = time.monotonic()
        fcntl.flock(mine, fcntl.LOCK_EX)
        return time.monotonic() - began

    process = start(wait)
    time.sleep(0.2)
    fcntl.flock(fd, FREE)
    true(finish(process) >= 0.05, 'the lock was granted while it was held')
    os.close(fd)


# S7.1
@check
def locks_end_with_the_process_even_when_it_is_killed():
    put('file', b'x' * 100)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        fd = os.open('file', os.O_RDWR)
        fcntl.flock(fd, EXCLUSIVE)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        os.write(write_end, b'x')
        signal.pause()
    os.read(read_end, 1)
    equal((can_flock(EXCLUSIVE), can_lock()), (False, False), 'others, while the holder lives')
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    equal((can_flock(EXCLUSIVE), can_lock()), (True, True), 'others, after the holder was killed')


# S7.1
@check
def record_locks_guard_their_ranges():
    fd = opened()
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 20)
    cases = [(0, 20, True), (20, 1, False), (29, 1, False), (30, 10, True), (0, 0, False), (15, 10, False), (31, 0, True)]
    for first, length, wanted in cases:
        equal(can_lock(first, length), wanted, f'others, {length} bytes from {first}')
    fcntl.lockf(fd, fcntl.LOCK_UN, 5, 22)
    equal((can_lock(22, 5), can_lock(20, 2), can_lock(27, 3)), (True, False, False), 'others, after the middle was freed')
    os.close(fd)


@check
def shared_record_locks_admit_readers():
    fd = opened()
    fcntl.lockf(fd, fcntl.LOCK_SH)
    equal((can_lock(kind=fcntl.LOCK_SH), can_lock(kind=fcntl.LOCK_EX)), (True, False), 'others')
    reader = os.open('file', os.O_RDONLY)
    fails('EBADF', fcntl.lockf, reader, fcntl.LOCK_EX)
    os.close(fd)


@check
def record_locks_end_with_the_first_close_of_the_file_in_the_process():
    fd = opened()
    fcntl.lockf(fd, fcntl.LOCK_EX)
    equal(can_lock(), False, 'others')
    os.close(os.open('file', os.O_RDONLY))
    equal(can_lock(), True, 'others, after any descriptor of the file was closed')
    os.close(fd)


@check
def F_GETLK_names_the_holder():
    fd = opened()
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 5)
    holder = os.getpid()

    def ask():
        mine = os.open('file', os.O_RDWR)
        answer = fcntl.fcntl(mine, fcntl.F_GETLK, flock_record(fcntl.F_WRLCK, 0, 0))
        kind, _, first, length, pid = struct.unpack_from('hhqqi', answer)
        return kind, first, length, pid

    equal(elsewhere(ask), (fcntl.F_WRLCK, 5, 10, holder), 'kind, start, length and holder')
    os.close(fd)


@check
def a_deadlock_of_record_locks_is_refused():
    fd = opened()
    fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
    read_end, write_end = os.pipe()

    def other():
        mine = os.open('file', os.O_RDWR)
        fcntl.lockf(mine, fcntl.LOCK_EX, 1, 1)
        os.write(write_end, b'x')
        fcntl.lockf(mine, fcntl.LOCK_EX, 1, 0)  # waits for us

    process = start(other)
    os.read(read_end, 1)
    time.sleep(0.1)
    fails('EDEADLK', fcntl.lockf, fd, fcntl.LOCK_EX, 1, 1)
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)
    finish(process)
    os.close(fd)


# S7.1
@check
def description_locks_belong_to_the_open_file():
    one = opened()
    two = os.open('file', os.O_RDWR)
    whole = flock_record(fcntl.F_WRLCK, 0, 0)
    fcntl.fcntl(one, fcntl.F_OFD_SETLK, whole)
    fails('EAGAIN EACCES', fcntl.fcntl, two, fcntl.F_OFD_SETLK, whole)
    equal(can_lock(), False, 'record locks of others')
    os.close(os.open('file', os.O_RDONLY))
    equal(can_lock(), False, 'record locks of others, after an unrelated close')
    twin = os.dup(one)
    os.close(one)
    equal(can_lock(), False, 'record locks of others, while a duplicate is open')
    os.close(twin)
    fcntl.fcntl(two, fcntl.F_OFD_SETLK, whole)
    os.close(two)
    equal(can_lock(), True, 'record locks of others, after the last close')


@check
def description_locks_pass_to_a_forked_process():
    fd = opened()
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, flock_record(fcntl.F_WRLCK, 0, 10))
    read_end, write_end = os.pipe()

    def keep():
        os.read(read_end, 1)

    process = start(keep)
    os.close(fd)
    equal(can_lock(0, 10), False, 'others, while the child has it open')
    os.write(write_end, b'x')
    finish(process)
    equal(can_lock(0, 10), True, 'others, after the child has ended')


# S7.1
@check
def a_counter_under_a_lock_is_never_wrong():
    put('file', b'0')

    def count(use_flock):
        for _ in range(100):
            fd = os.open('file', os.O_RDWR)
            fcntl.flock(fd, fcntl.LOCK_EX) if use_flock else fcntl.lockf(fd, fcntl.LOCK_EX)
            value = int(os.pread(fd, 20, 0)) + 1
            os.pwrite(fd, str(value).encode(), 0)
            os.close(fd)

    for use_flock in (True, False):
        for process in [start(count, use_flock) for _ in range(4)]:
            finish(process)
    with open('file') as file:
        equal(int(file.read()), 800, 'count')
