"""mmap: shared and private, what others see, and how long a mapping lasts."""
import hashlib
import mmap
import os
import signal

from .kit import BOB, as_user, check, elsewhere, ends_by_signal, equal, fails, finish, get, is_root, pattern
from .kit import put, same_bytes, start, true

PAGE = mmap.PAGESIZE


def mapped(name, size=0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE, mode=os.O_RDWR):
    """A mapping whose descriptor is closed already."""
    fd = os.open(name, mode)
    try:
        return mmap.mmap(fd, size, flags=flags, prot=prot)
    finally:
        os.close(fd)


# S1.7
@check
def a_shared_mapping_shows_and_changes_the_file():
    put('file', pattern(5 * PAGE))
    area = mapped('file')
    same_bytes(area[:], pattern(5 * PAGE), 'mapped bytes')
    area[PAGE - 2:PAGE + 2] = b'WXYZ'
    same_bytes(get('file')[PAGE - 2:PAGE + 2], b'WXYZ', 'read after a write to the mapping')
    area.flush()
    same_bytes(elsewhere(get, 'file')[PAGE - 2:PAGE + 2], b'WXYZ', 'read by another process')


# S1.7, S3.6
@check
def writes_are_seen_in_a_mapping():
    put('file', bytes(2 * PAGE))
    area = mapped('file')
    equal(area[10], 0, 'byte')
    fd = os.open('file', os.O_RDWR)
    os.pwrite(fd, b'direct', 10)
    equal(area[10:16], b'direct', 'bytes after a write')
    elsewhere(lambda: os.pwrite(fd, b'elsewhere', PAGE + 1))
    equal(area[PAGE + 1:PAGE + 10], b'elsewhere', 'bytes after a write by another process')
    os.close(fd)


@check
def a_private_mapping_keeps_its_changes_to_itself():
    put('file', b'o' * PAGE)
    area = mapped('file', flags=mmap.MAP_PRIVATE)
    area[0:3] = b'own'
    equal(area[0:4], b'owno', 'the mapping')
    same_bytes(get('file'), b'o' * PAGE, 'the file')
    read_only = mapped('file', flags=mmap.MAP_PRIVATE, mode=os.O_RDONLY)
    read_only[5:8] = b'abc'  # allowed: the pages are copies
    same_bytes(get('file'), b'o' * PAGE, 'the file')


@check
def two_processes_share_a_mapping_of_one_file():
    put('file', bytes(PAGE))
    area = mapped('file')

    def other():
        mine = mapped('file')
        equal(mine[0:5], b'hello', 'seen by the other process')
        mine[100:105] = b'world'

    area[0:5] = b'hello'
    elsewhere(other)
    equal(area[100:105], b'world', 'written by the other process')


@check
def a_mapping_outlives_close_unlink_and_replacement():
    data = pattern(20 * PAGE)
    put('file', data)
    area = mapped('file')
    same_bytes(area[:PAGE], data[:PAGE])
    os.unlink('file')
    put('file', pattern(20 * PAGE, 2))
    same_bytes(area[:], data, 'the mapping of the unlinked file')
    area[3 * PAGE:3 * PAGE + 3] = b'new'
    area.flush()
    equal(area[3 * PAGE:3 * PAGE + 3], b'new', 'the mapping')
    same_bytes(get('file'), pattern(20 * PAGE, 2), 'the successor')


# S2.5
@check
def a_mapping_that_was_never_touched_before_replacement_shows_the_old_file():
    data = pattern(64 * PAGE)
    put('file', data)
    area = mapped('file', prot=mmap.PROT_READ, mode=os.O_RDONLY)
    put('fresh', pattern(64 * PAGE, 2))
    os.rename('fresh', 'file')
    same_bytes(get('file'), pattern(64 * PAGE, 2), 'the new file')
    same_bytes(area[:], data, 'the mapping')


@check
def the_rest_of_the_last_page_is_zero_and_never_written():
    put('file', b'x' * 100)
    equal(len(mapped('file')), 100, 'length')
    fd = os.open('file', os.O_RDWR)
    whole = mmap.mmap(fd, 100)
    whole[90:100] = b'y' * 10
    whole.flush()
    os.ftruncate(fd, 200)
    same_bytes(os.pread(fd, 300, 0), b'x' * 90 + b'y' * 10 + bytes(100))
    os.close(fd)


@check
def a_mapping_follows_the_growth_of_its_file():
    put('file', b'x' * PAGE)
    fd = os.open('file', os.O_RDWR)
    os.ftruncate(fd, 3 * PAGE)
    area = mmap.mmap(fd, 3 * PAGE)
    os.pwrite(fd, b'end', 3 * PAGE - 3)
    equal(area[3 * PAGE - 3:], b'end', 'bytes')
    area[2 * PAGE:2 * PAGE + 4] = b'data'
    os.ftruncate(fd, 4 * PAGE)
    same_bytes(os.pread(fd, 4, 2 * PAGE), b'data')
    os.close(fd)


@check
def touching_a_mapping_behind_the_end_of_the_file_is_SIGBUS():
    put('file', b'x' * 4 * PAGE)
    area = mapped('file')
    equal(area[3 * PAGE:3 * PAGE + 1], b'x', 'byte')
    os.truncate('file', PAGE)
    ends_by_signal(lambda: area[3 * PAGE], signal.SIGBUS)
    equal(area[PAGE - 1:PAGE], b'x', 'byte before the end')
    os.truncate('file', 4 * PAGE)
    equal(area[3 * PAGE], 0, 'byte after the file grew again')


@check
def a_mapping_needs_a_descriptor_that_may_do_the_same():
    put('file', b'x' * PAGE)
    fails('EACCES', mapped, 'file', PAGE, mode=os.O_RDONLY)
    fails('EACCES', mapped, 'file', PAGE, mode=os.O_WRONLY, prot=mmap.PROT_READ)
    mapped('file', PAGE, mode=os.O_RDONLY, prot=mmap.PROT_READ)


@check
def a_file_of_30_megabytes_keeps_its_hash_in_a_mapping():
    data = pattern(30_000_000, 5)
    put('file', data)
    wanted = hashlib.sha256(data).hexdigest()
    area = mapped('file', prot=mmap.PROT_READ, mode=os.O_RDONLY)
    area.madvise(mmap.MADV_WILLNEED)
    equal(hashlib.sha256(area).hexdigest(), wanted, 'hash')
    area.madvise(mmap.MADV_DONTNEED)
    equal(hashlib.sha256(area).hexdigest(), wanted, 'hash after the pages were dropped')


@check
def a_file_written_through_a_mapping_reads_the_same_after_it_is_gone():
    data = pattern(3_000_000, 9)
    put('file')
    os.truncate('file', len(data))
    area = mapped('file')
    for at in range(0, len(data), 300_001):
        area[at:at + 300_001] = data[at:at + 300_001]
    area.flush()
    area.close()
    same_bytes(get('file'), data)
    same_bytes(elsewhere(get, 'file'), data, 'in another process')


@check
def unsynced_pages_of_a_closed_mapping_are_not_lost():
    put('file', bytes(50 * PAGE))
    for i in range(50):
        area = mapped('file')
        area[i * PAGE + 5] = i + 1
        area.close()
    data = get('file')
    equal([data[i * PAGE + 5] for i in range(50)], list(range(1, 51)), 'bytes')


@check
def a_process_killed_while_it_writes_to_a_mapping_loses_nothing_it_wrote():
    put('file', bytes(10 * PAGE))

    def write_and_die():
        area = mapped('file')
        for i in range(10):
            area[i * PAGE] = 77
        os.kill(os.getpid(), signal.SIGKILL)

    ends_by_signal(write_and_die, signal.SIGKILL)
    equal([get('file')[i * PAGE] for i in range(10)], [77] * 10, 'bytes')


@check
def many_processes_read_one_mapping_while_another_writes():
    put('file', bytes(16 * PAGE))

    def watch():
        area = mapped('file', prot=mmap.PROT_READ, mode=os.O_RDONLY)
        while area[0] == 0:
            pass
        return bytes(area[PAGE:PAGE + 8])

    watchers = [start(watch) for _ in range(3)]
    area = mapped('file')
    area[PAGE:PAGE + 8] = b'complete'
    area[0] = 1
    for watcher in watchers:
        equal(finish(watcher), b'complete', 'bytes written before the flag')


@check
def code_can_be_executed_from_a_mapping():
    with open('/proc/self/exe', 'rb') as file:
        data = file.read(PAGE)
    put('file', data, 0o755)
    area = mapped('file', PAGE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC, mode=os.O_RDONLY)
    same_bytes(area[:], data)
    true(not is_root() or as_user((BOB, BOB), get, 'file') == data, 'another user read something else')
