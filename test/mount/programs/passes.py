#!/usr/bin/env python3
"""Passes over the records of a large file: passes.py DIRECTORY PASSES. Each habit reads HABIT.bin in DIRECTORY; `make` as PASSES makes
the files. Before each pass the kernel's pages of a file are dropped: what it has nobody else sees read.
"""
import mmap
import os
import random
import sys

MIB = 1024 * 1024
SIZE = 16 * MIB
RECORD = 8192
RECORDS = SIZE // RECORD


def forget(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def sequential(path):
    with open(path, 'rb', buffering=0) as file:
        while file.read(MIB):
            pass


def shuffled_pieces(path):
    fd = os.open(path, os.O_RDONLY)
    for record in random.sample(range(RECORDS), RECORDS):
        os.pread(fd, RECORD, record * RECORD)
    os.close(fd)


def shuffled_numpy(path):
    import numpy
    table = numpy.memmap(path, dtype='u1', mode='r').reshape(-1, RECORD)
    for record in random.sample(range(RECORDS), RECORDS):
        table[record].sum()


def replaced_direct(path):
    """Any record, however often: past the kernel's pages, so that all of it is seen."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    into = mmap.mmap(-1, RECORD)
    for _ in range(RECORDS):
        os.preadv(fd, [into], random.randrange(RECORDS) * RECORD)
    os.close(fd)


HABITS = [sequential, shuffled_pieces, shuffled_numpy, replaced_direct]

if __name__ == '__main__':
    directory, passes = sys.argv[1:]
    for habit in HABITS:
        path = os.path.join(directory, f'{habit.__name__}.bin')
        if passes == 'make':
            with open(path, 'wb') as file:
                file.truncate(SIZE)
            continue
        for _ in range(int(passes)):
            forget(path)
            habit(path)
