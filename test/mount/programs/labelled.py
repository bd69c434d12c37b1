#!/usr/bin/env python3
"""Readers of known habits: labelled.py DIRECTORY RUN. Each reads a file of its own, PATTERN-HABIT.bin, in DIRECTORY.

What a run reads (where, how much at once, how far apart) is by its number; `names` as RUN prints the names and nothing is read.
"""
import mmap
import os
import random
import sys
import threading

KIB = 1024
MIB = 1024 * KIB
PAGE = 4096
SIZE = 256 * MIB
READS = 48


def forget(path):
    """Of the kernel's pages: a run does not see what one before has read."""
    fd = opened(path)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def opened(path):
    return os.open(path, os.O_RDONLY)


def mapped(path):
    fd = opened(path)
    view = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    os.close(fd)
    return view


def each(path, offsets, size):
    fd = opened(path)
    for offset in offsets:
        os.pread(fd, size, offset)
    os.close(fd)


def sequential_read(path, chance):
    with open(path, 'rb', buffering=0) as file:
        file.seek(chance.randrange(0, 64) * PAGE)
        for _ in range(READS):
            file.read(chance.choice([128 * KIB, 512 * KIB, MIB]))


def sequential_pieces(path, chance):
    size = chance.choice([64 * KIB, 256 * KIB, MIB])
    each(path, range(0, READS * size, size), size)


def sequential_buffered(path, chance):
    with open(path, 'rb') as file:
        for _ in range(32 * MIB // 10_000):
            file.read(10_000)


def sequential_numpy(path, chance):
    import numpy
    table = numpy.memmap(path, dtype='u1', mode='r')
    step = chance.choice([100_000, MIB])
    for at in range(0, 48 * MIB, step):
        table[at : at + step].sum()


def sequential_torch(path, chance):
    import torch
    weights = torch.from_file(path, shared=False, size=SIZE, dtype=torch.uint8)
    for part in weights[: 48 * MIB].split(MIB):
        part.sum()


def sequential_threads(path, chance):
    """As tf.data does: several threads take the next piece each, by one descriptor."""
    fd = opened(path)
    size = chance.choice([256 * KIB, MIB])
    offsets = iter(range(0, READS * size, size))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                offset = next(offsets, None)
            if offset is None:
                return
            os.pread(fd, size, offset)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sequential_turns(path, chance):
    size = chance.choice([128 * KIB, MIB])
    each(path, [half + at * size for at in range(READS) for half in (0, SIZE // 2)], size)


def backward_pieces(path, chance):
    size = chance.choice([64 * KIB, 256 * KIB, MIB])
    each(path, range(SIZE - size, SIZE - READS * size, -size), size)


def backward_large(path, chance):
    size = chance.choice([2, 4]) * MIB
    each(path, range(SIZE - size, SIZE - 24 * size, -size), size)


def backward_numpy(path, chance):
    import numpy
    table = numpy.memmap(path, dtype='u1', mode='r')
    for at in range(SIZE - MIB, SIZE - 64 * MIB, -MIB):
        table[at : at + MIB][::-PAGE].sum()


def backward_copied(path, chance):
    """What copies a mapping in pieces, each from its end, as memmove may."""
    import numpy
    table = numpy.memmap(path, dtype='u1', mode='r')
    piece = chance.choice([8, 12, 16]) * MIB
    for begin in range(0, SIZE - piece, piece):
        table[begin : begin + piece][::-PAGE].sum()


def strided_pieces(path, chance):
    size = chance.choice([4, 16, 64]) * KIB
    step = chance.choice([MIB, 700_001, 3 * MIB + 4 * KIB])
    each(path, range(0, READS * step, step), size)


def strided_tiles(path, chance):
    inner = chance.choice([256, 384]) * KIB
    rows = chance.choice([2, 3, 4])
    each(path, [tile * 4 * MIB + row * inner for tile in range(16) for row in range(rows)], 64 * KIB)


def strided_numpy(path, chance):
    import numpy
    step = chance.choice([2, 3, 5]) * MIB
    table = numpy.memmap(path, dtype='u1', mode='r')
    for at in range(chance.randrange(0, MIB), SIZE - 4096, step):
        table[at : at + 4096].sum()


def strided_processes(path, chance):
    """Four processes share a descriptor; each has a part of the file."""
    fd = opened(path)
    step = chance.choice([512 * KIB, MIB])
    children = []
    for part in range(4):
        child = os.fork()
        if child == 0:
            for at in range(READS):
                os.pread(fd, 32 * KIB, part * SIZE // 4 + at * step)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def strided_threads(path, chance):
    """Four threads with a descriptor each, as ranks that take every fourth record."""
    record = chance.choice([300_000, MIB])

    def work(rank):
        each(path, range(rank * record, rank * record + 40 * 4 * record, 4 * record), 64 * KIB)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def random_pieces(path, chance):
    size = chance.choice([4, 64, 256]) * KIB
    each(path, [chance.randrange(0, SIZE // size) * size for _ in range(READS)], size)


def random_numpy(path, chance):
    import numpy
    rows = numpy.memmap(path, dtype='u1', mode='r').reshape(-1, 8192)
    for row in chance.sample(range(len(rows)), 2 * READS):
        rows[row].sum()


def random_workers(path, chance):
    """As a mapped table behind a DataLoader: forked workers read shuffled rows of one mapping."""
    table = mapped(path)
    rows = chance.sample(range(SIZE // 8192), 4 * READS)
    children = []
    for worker in range(2):
        child = os.fork()
        if child == 0:
            for row in rows[worker::2]:
                bytes(table[row * 8192 : (row + 1) * 8192])
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def random_torch(path, chance):
    """A DataLoader's own workers over a mapped table."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Rows(Dataset):
        def __init__(self):
            self.table = torch.from_file(path, shared=False, size=SIZE, dtype=torch.uint8).view(-1, 8192)

        def __len__(self):
            return len(self.table)

        def __getitem__(self, row):
            return self.table[row].clone()

    torch.manual_seed(chance.randrange(1 << 30))
    batches = iter(DataLoader(Rows(), batch_size=8, shuffle=True, num_workers=2))
    for _ in range(16):
        next(batches)


habits = {name.replace('_', '-', 1): habit for name, habit in list(globals().items()) if callable(habit) and '_' in name}

if __name__ == '__main__':
    directory, run = sys.argv[1:3]
    for name, habit in habits.items():
        if run == 'names':
            print(name)
        else:
            path = os.path.join(directory, f'{name}.bin')
            forget(path)
            habit(path, random.Random(f'{run} {name}'))
