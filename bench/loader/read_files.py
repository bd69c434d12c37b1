#!/usr/bin/env python3
"""Readers that cost next to nothing themselves: each opens, reads into one buffer and closes the files of its share.

    read_files.py LIST [--readers 2] [--seed 1] [--buffer 262144]

LIST holds one path a line. All files are read once, in a shuffled order, split over the readers, which start together.
Prints the files, bytes and seconds from the common start to the last reader's end as JSON.
"""
import argparse
import gc
import json
import multiprocessing
import os
import random
import time


def read_share(paths, size):
    """Bytes read."""
    buffers = [bytearray(size)]
    total = 0
    opened, readv, close = os.open, os.readv, os.close
    for path in paths:
        fd = opened(path, 0)
        got = readv(fd, buffers)
        total += got
        while got == size:
            got = readv(fd, buffers)
            total += got
        close(fd)
    return total


def read_all(paths, size, start, results):
    gc.disable()
    start.wait()
    began = time.monotonic()
    total = read_share(paths, size)
    results.put((began, time.monotonic(), total))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('list')
    parser.add_argument('--readers', type=int, default=2)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--buffer', type=int, default=1 << 18)
    options = parser.parse_args()
    with open(options.list, 'rb') as file:
        paths = file.read().splitlines()
    random.Random(options.seed).shuffle(paths)
    start = multiprocessing.Barrier(options.readers)
    results = multiprocessing.SimpleQueue()
    readers = [
        multiprocessing.Process(target=read_all, args=(paths[at :: options.readers], options.buffer, start, results))
        for at in range(options.readers)
    ]
    for reader in readers:
        reader.start()
    done = [results.get() for _ in readers]
    for reader in readers:
        reader.join()
    seconds = max(end for _, end, _ in done) - min(began for began, _, _ in done)
    print(json.dumps({'files': len(paths), 'bytes': sum(total for _, _, total in done), 'seconds': seconds}))


if __name__ == '__main__':
    main()
