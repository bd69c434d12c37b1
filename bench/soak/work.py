#!/usr/bin/env python3
"""One kind of work on a mount, over and over until standard input ends. Anything unexpected ends it with an error.

    work.py walk|random|short|write|replaced|loader ROOT [--seed 1] [--pause-ms 20]

At its end it prints how many operations it did.
"""
import argparse
import mmap
import os
import random
import subprocess
import sys
import threading
import time

stop = threading.Event()


def wait_for_the_end():
    while os.read(0, 4096):  # not through sys.stdin: Python could not end while that waits
        pass
    stop.set()


def files_below(root):
    return [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in sorted(names)]


def walk(root, options):
    """`find -printf`: names and attributes of everything that stays where it is."""
    done = 0
    for folder, _, names in os.walk(os.path.join(root, 'data')):
        for name in names:
            os.stat(os.path.join(folder, name))
            done += 1
    return done


def read_random(root, options):
    """Rows of a memory-mapped table, and the same by pread."""
    path = os.path.join(root, 'table')
    size = os.path.getsize(path)
    fd = os.open(path, os.O_RDONLY)
    try:
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as table:
            for _ in range(200):
                at = random.randrange(size - 8192)
                if table[at : at + 8192] != os.pread(fd, 8192, at):
                    raise ValueError(f'mapped and read bytes differ at {at}')
    finally:
        os.close(fd)
    return 400


def short(root, options):
    """Processes that read one file each and end."""
    paths = random.sample(options.paths, 5)
    for path in paths:
        subprocess.run(['cat', path], stdout=subprocess.DEVNULL, check=True)
    return len(paths)


def write(root, options):
    """A checkpoint: written, synced, renamed over the last one; and small files that come and go."""
    folder = os.path.join(root, 'new')
    name = os.path.join(folder, f'checkpoint-{options.seed}')
    block = random.randbytes(1 << 20)
    with open(f'{name}.part', 'wb') as file:
        for _ in range(4):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f'{name}.part', name)
    with open(name, 'rb') as file:
        if file.read(1 << 20) != block:
            raise ValueError(f'{name}: not what was written')
    for number in range(50):
        path = os.path.join(folder, f'file-{options.seed}-{number}')
        with open(path, 'wb') as file:
            file.write(block[:1000])
        os.truncate(path, 10)
        os.unlink(path)
    return 60


def replaced(root, options):
    """Files that are replaced at the source meanwhile: each is of one version, whichever."""
    folder = os.path.join(root, 'replaced')
    names = os.listdir(folder)
    for name in names:
        with open(os.path.join(folder, name), 'rb') as file:
            content = file.read()
        if content.count(content[:1]) != len(content) or len(content) == 0:
            raise ValueError(f'{name}: of two versions at once')
    return len(names)


def loader(root, options):
    """An epoch of two fresh workers, over every file in shuffled order."""
    paths = list(options.paths)
    random.shuffle(paths)
    children = []
    for worker in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                for path in paths[worker::2]:
                    with open(path, 'rb') as file:
                        file.read()
                os._exit(0)
            except BaseException as error:  # a child must never go on as its parent
                print(f'{path}: {error}', file=sys.stderr, flush=True)
                os._exit(1)
        children.append(pid)
    for pid in children:
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
            raise OSError('a worker failed')
    return len(paths)


WORK = {'walk': walk, 'random': read_random, 'short': short, 'write': write, 'replaced': replaced, 'loader': loader}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('kind', choices=WORK)
    parser.add_argument('root')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--pause-ms', type=float, default=20)
    options = parser.parse_args()
    random.seed(options.seed)
    options.paths = files_below(os.path.join(options.root, 'data'))
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    done = 0
    while not stop.is_set():
        done += WORK[options.kind](options.root, options)
        time.sleep(options.pause_ms / 1000)
    print(done, flush=True)


if __name__ == '__main__':
    main()
