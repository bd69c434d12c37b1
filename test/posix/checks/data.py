"""Reading and writing: positions, vectors, holes, large offsets, durability, limits."""
import errno
import hashlib
import os
import random
import resource
import signal

from .kit import all_of, check, elsewhere, equal, fails, finish, get, pattern, put, same_bytes, start, true


# S2.1
@check
def what_is_written_is_read_at_every_size_and_offset():
    for size in (0, 1, 2, 4095, 4096, 4097, 65536, 131072, 131073, 1 << 20, (1 << 20) + 1, 3_000_001):
        data = pattern(size, size + 1)
        put('file', data)
        same_bytes(get('file'), data, f'{size} bytes')
        equal(os.stat('file').st_size, size, 'size')
        fd = os.open('file', os.O_RDONLY)
        for offset in (0, 1, size // 2, size - 1, size, size + 1):
            if offset >= 0:
                same_bytes(os.pread(fd, 5000, offset), data[offset:offset + 5000], f'{size} bytes from {offset}')
        os.close(fd)


@check
def pread_and_pwrite_leave_the_position_alone():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'0123456789')
    os.lseek(fd, 2, os.SEEK_SET)
    equal(os.pread(fd, 3, 6), b'678', 'pread')
    os.pwrite(fd, b'AB', 7)
    equal(os.read(fd, 100), b'23456AB9', 'read from the position')
    equal(os.lseek(fd, 0, os.SEEK_CUR), 10, 'position')
    fails('EINVAL', os.pread, fd, 1, -1)
    fails('EINVAL', os.pwrite, fd, b'x', -1)
    fails('EINVAL', os.lseek, fd, -1, os.SEEK_SET)
    os.close(fd)


# S1.7
@check
def vectors_are_gathered_and_scattered_in_order():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    parts = [pattern(size, size) for size in (1, 4096, 3, 10_000, 0, 77)]
    equal(os.writev(fd, parts), sum(map(len, parts)), 'bytes written')
    buffers = [bytearray(len(part)) for part in parts]
    equal(os.preadv(fd, buffers, 0), sum(map(len, parts)), 'bytes read')
    equal([bytes(buffer) for buffer in buffers], parts, 'buffers')
    equal(os.pwritev(fd, [b'X', b'YZ'], 5), 3, 'bytes written')
    small = [bytearray(4), bytearray(4)]
    os.lseek(fd, 4, os.SEEK_SET)
    equal(os.readv(fd, small), 8, 'bytes read')
    same_bytes(bytes(small[0]), get('file')[4:8])
    same_bytes(bytes(small[0])[1:4], b'XYZ')
    os.close(fd)


# S1.2
@check
def reading_at_and_behind_the_end_gives_nothing():
    put('file', b'12345')
    fd = os.open('file', os.O_RDONLY)
    equal(os.pread(fd, 10, 5), b'', 'at the end')
    equal(os.pread(fd, 10, 1 << 40), b'', 'far behind the end')
    equal(os.pread(fd, 10, 4), b'5', 'the last byte')
    equal(os.lseek(fd, 0, os.SEEK_END), 5, 'position of the end')
    os.close(fd)


# S1.6
@check
def holes_read_as_zeros():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b'end', 1_000_000)
    os.pwrite(fd, b'middle', 500_000)
    data = get('file')
    equal(len(data), 1_000_003, 'size')
    same_bytes(data, bytes(500_000) + b'middle' + bytes(499_994) + b'end')
    os.lseek(fd, 2_000_000, os.SEEK_SET)
    equal(os.fstat(fd).st_size, 1_000_003, 'size after a seek alone')
    os.write(fd, b'x')
    same_bytes(os.pread(fd, 2_000_000, 1_000_000), b'end' + bytes(999_997) + b'x')
    os.close(fd)


@check
def offsets_beyond_4_GiB_work():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    places = [(1 << 31) - 2, 1 << 31, (1 << 32) - 3, 1 << 32, (1 << 33) + 12345, 5 * 10**12]
    for i, place in enumerate(places):
        os.pwrite(fd, bytes([65 + i]) * 2, place)
    for i, place in enumerate(places):
        same_bytes(os.pread(fd, 2, place), bytes([65 + i]) * 2, f'at {place}')
    equal(os.fstat(fd).st_size, places[-1] + 2, 'size')
    equal(os.stat('file').st_size, places[-1] + 2, 'size by path')
    equal(os.lseek(fd, 0, os.SEEK_END), places[-1] + 2, 'position of the end')
    same_bytes(os.pread(fd, 100, 100), bytes(100), 'the first hole')
    os.ftruncate(fd, (1 << 32) + 1)
    same_bytes(os.pread(fd, 10, (1 << 32) - 3), b'CC\0D', 'the new end')
    equal(os.fstat(fd).st_size, (1 << 32) + 1, 'size')
    os.close(fd)


# S2.1, S3.6
@check
def a_write_is_seen_at_once_through_another_descriptor_and_process():
    writer = os.open('file', os.O_CREAT | os.O_RDWR)
    reader = os.open('file', os.O_RDONLY)
    for i in range(100):
        record = f'record {i:05}\n'.encode()
        os.write(writer, record)
        same_bytes(os.pread(reader, 100, i * len(record)), record, 'through another descriptor')
    same_bytes(elsewhere(get, 'file'), get('file'), 'in another process')
    for i in range(20):
        os.pwrite(writer, bytes([i]) * 5000, 0)
        same_bytes(elsewhere(lambda: os.pread(reader, 5000, 0)), bytes([i]) * 5000, 'overwritten, in another process')
    os.close(writer)
    os.close(reader)


# S3.6
@check
def growth_is_seen_by_a_reader_that_waits_at_the_end():
    put('file')
    reader = os.open('file', os.O_RDONLY)
    for i in range(50):
        equal(os.read(reader, 100), b'', 'read at the end')
        elsewhere(append, b'line %d\n' % i) if i % 10 == 0 else append(b'line %d\n' % i)
        same_bytes(os.read(reader, 100), b'line %d\n' % i, 'what was appended')
    os.close(reader)


def append(data):
    with open('file', 'ab', buffering=0) as file:
        file.write(data)


# S3.5
@check
def truncated_bytes_never_come_back():
    put('file', b'x' * 100_000)
    fd = os.open('file', os.O_RDWR)
    get('file')
    os.ftruncate(fd, 5_000)
    os.ftruncate(fd, 100_000)
    same_bytes(get('file'), b'x' * 5_000 + bytes(95_000))
    os.ftruncate(fd, 10)
    os.pwrite(fd, b'end', 8_000)
    same_bytes(get('file'), b'x' * 10 + bytes(7_990) + b'end')
    os.close(fd)


@check
def random_operations_match_a_model():
    for seed in range(6):
        dice = random.Random(seed)
        model, name = bytearray(), f'file{seed}'
        put(name)
        fd = os.open(name, os.O_RDWR)
        for step in range(400):
            choice, offset, size = dice.randrange(10), dice.randrange(300_000), dice.randrange(1, 20_000)
            where = f'seed {seed}, step {step}'
            if choice < 4:
                data = dice.randbytes(size)
                os.pwrite(fd, data, offset)
                if offset > len(model):
                    model.extend(bytes(offset - len(model)))
                model[offset:offset + size] = data
            elif choice < 8:
                same_bytes(os.pread(fd, size, offset), bytes(model[offset:offset + size]), where)
            elif choice == 8:
                os.ftruncate(fd, offset)
                model = model[:offset] + bytes(max(0, offset - len(model)))
            else:
                os.close(fd)
                equal(os.stat(name).st_size, len(model), f'size, {where}')
                fd = os.open(name, os.O_RDWR)
        same_bytes(get(name), bytes(model), f'seed {seed}, at the end')
        os.close(fd)


@check
def thirty_megabytes_keep_their_hash():
    data = pattern(30_000_001, 7)
    put('file', data)
    wanted = hashlib.sha256(data).hexdigest()
    equal(hashlib.sha256(get('file')).hexdigest(), wanted, 'hash')
    equal(elsewhere(lambda: hashlib.sha256(get('file')).hexdigest()), wanted, 'hash in another process')

    def part(i):
        fd = os.open('file', os.O_RDONLY)
        piece = os.pread(fd, 8_000_000, i * 7_000_000)
        os.close(fd)
        return hashlib.sha256(piece).digest()

    for i, digest in enumerate(all_of(4, part)):
        equal(digest, hashlib.sha256(data[i * 7_000_000:i * 7_000_000 + 8_000_000]).digest(), f'hash of part {i}')


@check
def processes_that_write_different_parts_of_a_file_keep_out_of_each_others_way():
    block = 10_007  # not a multiple of a page: neighbours share pages

    def write(i):
        fd = os.open('file', os.O_CREAT | os.O_RDWR)
        for n in range(i, 60, 4):
            os.pwrite(fd, bytes([n + 1]) * block, n * block)
        os.close(fd)

    all_of(4, write)
    same_bytes(get('file'), b''.join(bytes([n + 1]) * block for n in range(60)))


# S3.2
@check
def fsync_fdatasync_and_fsync_of_a_directory_succeed():
    os.mkdir('dir')
    fd = os.open('dir/file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'content')
    os.fsync(fd)
    os.write(fd, b' and more')
    os.fdatasync(fd)
    os.close(fd)
    for flags in (os.O_RDONLY, os.O_WRONLY):
        fd = os.open('dir/file', flags)
        os.fsync(fd)
        os.close(fd)
    directory = os.open('dir', os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.fdatasync(directory)
    os.close(directory)
    os.sync()
    same_bytes(get('dir/file'), b'content and more')


# S3.2, S4.4
@check
def fsync_works_on_files_that_have_lost_their_name():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'content')
    os.unlink('file')
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)


@check
def a_duplicate_of_a_descriptor_works_after_the_original_was_closed():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'content')
    twin = os.dup(fd)
    os.close(fd)
    os.write(twin, b' and more')
    same_bytes(os.pread(twin, 100, 0), b'content and more')
    os.close(twin)


@check
def sendfile_and_splice_move_the_right_bytes():
    data = pattern(300_000)
    put('from', data)
    source, target = os.open('from', os.O_RDONLY), os.open('to', os.O_CREAT | os.O_RDWR)
    offset = 0
    while offset < len(data):
        offset += os.sendfile(target, source, offset, len(data) - offset)
    same_bytes(get('to'), data, 'by sendfile')
    read_end, write_end = os.pipe()
    os.ftruncate(target, 0)
    done = 0
    while done < len(data):
        count = os.splice(source, write_end, 65536, offset_src=done)
        while count:
            moved = os.splice(read_end, target, count, offset_dst=done)
            count -= moved
            done += moved
    same_bytes(get('to'), data, 'by splice')
    os.close(source)
    os.close(target)


@check
def RLIMIT_FSIZE_ends_a_write_at_the_limit():
    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        fd = os.open('file', os.O_CREAT | os.O_RDWR)
        equal(os.pwrite(fd, b'x' * 5_000, 8_000), 2_000, 'bytes written up to the limit')
        fails('EFBIG', os.pwrite, fd, b'x', 10_000)
        fails('EFBIG', os.ftruncate, fd, 10_001)
        fails('EFBIG', os.truncate, 'file', 20_000)
        os.ftruncate(fd, 9_000)

    elsewhere(limited)
    equal(os.stat('file').st_size, 9_000, 'size')


@check
def a_write_of_nothing_changes_nothing():
    put('file', b'content')
    fd = os.open('file', os.O_RDWR)
    equal(os.pwrite(fd, b'', 100), 0, 'bytes written')
    equal(os.fstat(fd).st_size, 7, 'size')
    os.close(fd)


@check
def a_file_read_while_it_is_rewritten_in_place_shows_old_or_new_bytes_only():
    size = 40_960
    put('file', b'a' * size)

    def rewrite():
        fd = os.open('file', os.O_WRONLY)
        for i in range(200):
            os.pwrite(fd, b'ab'[i % 2:][:1] * size, 0)
        os.close(fd)

    writer = start(rewrite)
    fd = os.open('file', os.O_RDONLY)
    for _ in range(200):
        data = os.pread(fd, size, 0)
        true(len(data) == size and set(data) <= set(b'ab'), f'{len(data)} bytes: {set(data)}')
    finish(writer)
    same_bytes(os.pread(fd, size, 0), b'b' * size, 'in the end')
    os.close(fd)


@check
def closing_a_descriptor_twice_is_EBADF():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.close(fd)
    try:
        os.close(fd)
    except OSError as error:
        equal(error.errno, errno.EBADF, 'error')
    else:
        raise AssertionError('the second close succeeded')
