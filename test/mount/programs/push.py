#!/usr/bin/env python3
"""
push.py SOURCE MOUNT SECONDS

Six processes open, read, map and drop from the page cache the same few files of MOUNT, and one writes them through it,
while they are replaced in SOURCE. Each version of a file is one byte over and over: whoever sees two in one read fails.
"""
import mmap
import multiprocessing
import os
import random
import sys
import time

FILES, READERS, SIZES = 12, 6, (700, 4096, 40_000, 130_000)


def content(version):
    return bytes([33 + version % 90]) * SIZES[version % len(SIZES)]


def replace(directory, number, version):
    temporary = f'{directory}/.new{number}'
    with open(temporary, 'wb') as file:
        file.write(content(version))
    os.rename(temporary, f'{directory}/file{number}')


def look(data, path):
    if data and (len(data) not in SIZES or data.count(data[:1]) != len(data)):
        raise AssertionError(f'{path}: {len(data)} bytes of {sorted(set(data))}')


def read(mount, until, seed):
    rng = random.Random(seed)
    while time.monotonic() < until:
        path = f'{mount}/file{rng.randrange(FILES)}'
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            way = rng.randrange(4)
            if way == 0:
                look(os.read(fd, 1 << 20), path)
            elif way == 1 and os.fstat(fd).st_size > 0:
                with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
                    mapped[0], mapped[-1]
            elif way == 2:
                look(os.read(fd, 1 << 20), path)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            elif way == 3:
                os.fstat(fd)
        finally:
            os.close(fd)


def change(source, mount, until):
    version = 0
    while time.monotonic() < until:
        version += 1
        replace(mount if version % 7 == 0 else source, version % FILES, version)
        time.sleep(0.002)


def main():
    source, mount, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    for number in range(FILES):
        replace(source, number, number)
    until = time.monotonic() + seconds
    workers = [multiprocessing.Process(target=read, args=(mount, until, seed)) for seed in range(READERS)]
    workers.append(multiprocessing.Process(target=change, args=(source, mount, until)))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(max(abs(worker.exitcode) for worker in workers))


if __name__ == '__main__':
    main()
