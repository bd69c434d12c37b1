#!/usr/bin/env python3
"""records_in_order.py FILE RECORD COUNT make | PROCESSES SEEDS: passes over the records of a file, each by processes that share
them, in an order shuffled by the seed of the pass (1,1,1: the same each time). Each record says which it is, and is looked at. The
kernel's pages of the file are dropped before each pass.
"""
import os
import random
import struct
import sys


def record(number, length):
    return struct.pack('<I', number) * (length // 4)


def read(path, length, order):
    fd = os.open(path, os.O_RDONLY)
    for number in order:
        if os.pread(fd, length, number * length) != record(number, length):
            sys.exit(f'record {number} is wrong')
    os.close(fd)


def forget(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


path, length, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if sys.argv[4] == 'make':
    with open(path, 'wb') as file:
        for number in range(count):
            file.write(record(number, length))
    sys.exit()
processes = int(sys.argv[4])
for seed in sys.argv[5].split(','):
    forget(path)
    order = list(range(count))
    random.Random(int(seed)).shuffle(order)
    children = []
    for process in range(processes):
        pid = os.fork()
        if pid == 0:
            read(path, length, order[process::processes])
            os._exit(0)
        children.append(pid)
    if any(os.waitpid(pid, 0)[1] for pid in children):
        sys.exit(1)
