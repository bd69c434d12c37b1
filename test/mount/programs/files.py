#!/usr/bin/env python3
"""
files.py make DIR COUNT SIZE            makes files 000000, 000001, ... of records (sizes vary by a third around SIZE)
files.py change DIR COUNT SIZE          every second file has its second generation: in place, or renamed over it, in turns
files.py verify DIR COUNT SIZE [opts]   reads them all and compares every byte; prints a line of JSON

--direct: with O_DIRECT; --mapped: through a mapping; --random: in random order, in pieces; --processes N
"""
import argparse
import json
import mmap
import multiprocessing
import os
import random
import sys
import time

import records


def name_and_size(index, size):
    return f'{index:06}', (size * (66 + index * 7 % 67) // 100) // records.RECORD * records.RECORD


def make(options):
    os.makedirs(options.dir, exist_ok=True)
    for index in range(options.count):
        name, size = name_and_size(index, options.size)
        with open(os.path.join(options.dir, name), 'wb') as file:
            file.write(records.content(name, 1, size))


def change(options):
    for index in range(0, options.count, 2):
        name, size = name_and_size(index, options.size)
        path = os.path.join(options.dir, name)
        new = path if index % 4 == 0 else f'{path}.new'
        with open(new, 'wb') as file:
            file.write(records.content(name, 2, size))
        if new != path:
            os.rename(new, path)


def read_direct(path, size):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        buffer = mmap.mmap(-1, (size + 4096) // 4096 * 4096 + 4096)
        done = 0
        while (count := os.preadv(fd, [memoryview(buffer)[done // 4096 * 4096:]], done // 4096 * 4096)) > 0:
            done = done // 4096 * 4096 + count
            if done % 4096:
                break
        return buffer[:done]
    finally:
        os.close(fd)


def read_mapped(path, _):
    fd = os.open(path, os.O_RDONLY)
    try:
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as area:
            return area[:]
    finally:
        os.close(fd)


def read_pieces(path, size):
    fd = os.open(path, os.O_RDONLY)
    try:
        step = 10_000
        pieces = list(range(0, size, step))
        random.shuffle(pieces)
        found = {at: os.pread(fd, step, at) for at in pieces}
        return b''.join(found[at] for at in sorted(found))
    finally:
        os.close(fd)


def read_plain(path, _):
    with open(path, 'rb') as file:
        return file.read()


def verify_some(task):
    options, seed = task
    read = read_direct if options.direct else read_mapped if options.mapped else read_pieces if options.random else read_plain
    order = list(range(seed, options.count, options.processes))
    random.Random(seed).shuffle(order)
    total, wrong = 0, []
    for index in order:
        name, size = name_and_size(index, options.size)
        try:
            found = read(os.path.join(options.dir, name), size)
        except OSError as error:
            wrong.append(f'{name}: {error}')
            continue
        total += len(found)
        trouble = records.difference(found, records.content(name, 1, size))
        if trouble:
            wrong.append(f'{name}: {trouble}')
    return total, wrong


def verify(options):
    began = time.monotonic()
    with multiprocessing.get_context('fork').Pool(options.processes) as pool:
        results = pool.map(verify_some, [(options, seed) for seed in range(options.processes)])
    wrong = [line for _, lines in results for line in lines]
    print(json.dumps({'bytes': sum(total for total, _ in results), 'wrong': wrong[:10], 'seconds': time.monotonic() - began}))
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('what', choices=['make', 'change', 'verify'])
    parser.add_argument('dir')
    parser.add_argument('count', type=int)
    parser.add_argument('size', type=int)
    parser.add_argument('--processes', type=int, default=2)
    for flag in ('direct', 'mapped', 'random'):
        parser.add_argument(f'--{flag}', action='store_true')
    options = parser.parse_args()
    return {'make': make, 'change': change, 'verify': verify}[options.what](options)


if __name__ == '__main__':
    sys.exit(main())
