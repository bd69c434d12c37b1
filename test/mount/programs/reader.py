#!/usr/bin/env python3
"""
reader.py DIR        does what lines of JSON on its standard input say, and prints what it did as a line of JSON

{"op": "whole", "path": P}                      open, one read of more than the file has, close
{"op": "pieces", "path": P, "at": [[O, N]...]}  open, pread of each piece, close; "direct": with O_DIRECT,
                                                "random": after telling the kernel that there is no order,
                                                "mapped": by a mapping (MAP_SHARED)
{"op": "find", "path": P}                       lists the tree below P and takes every file's attributes
{"op": "stat", "path": P}
{"op": "sample", "paths": [P...], "opens": N, "seed": S, "part": F}
                                                opens N of the files at random, reads about F of each in pieces of random
                                                sizes at random places, and tells nothing but the sums
"""
import json
import mmap
import os
import random
import sys

ALIGNMENT = 4096


def whole(root, work, did):
    fd = os.open(os.path.join(root, work['path']), os.O_RDONLY)
    did['opens'] += 1
    size = os.fstat(fd).st_size
    did['bytes'] += len(os.read(fd, size + 1))
    did['reads'] += 1
    os.close(fd)


def pieces(root, work, did):
    flags = os.O_RDONLY | (os.O_DIRECT if work.get('direct') else 0)
    fd = os.open(os.path.join(root, work['path']), flags)
    did['opens'] += 1
    if work.get('random'):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    mapped = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) if work.get('mapped') else None
    for offset, count in work['at']:
        if mapped is not None:
            got = len(mapped[offset:offset + count])
        elif work.get('direct'):
            buffer = mmap.mmap(-1, (count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
            got = os.preadv(fd, [memoryview(buffer)[:count]], offset)
        else:
            got = len(os.pread(fd, count, offset))
        did['reads'] += 1
        did['bytes'] += got
    if mapped is not None:
        mapped.close()
    os.close(fd)


def find(root, work, did):
    for at, directories, files in os.walk(os.path.join(root, work['path'])):
        did['lists'] += 1
        for name in files:
            os.stat(os.path.join(at, name), follow_symlinks=False)
            did['stats'] += 1


def stat(root, work, did):
    os.stat(os.path.join(root, work['path']), follow_symlinks=False)
    did['stats'] += 1


def sample(root, work, did):
    dice = random.Random(work['seed'])
    paths = [os.path.join(root, path) for path in work['paths']]
    for _ in range(work['opens']):
        fd = os.open(dice.choice(paths), os.O_RDONLY)
        did['opens'] += 1
        size = os.fstat(fd).st_size
        wanted = size * dice.uniform(0, 2 * work['part'])
        while wanted > 0:
            count = dice.randint(1, 65536)
            got = len(os.pread(fd, count, dice.randrange(max(1, size - count))))
            did['reads'] += 1
            did['bytes'] += got
            wanted -= got
        os.close(fd)


def main():
    root = sys.argv[1]
    did = dict.fromkeys(['opens', 'reads', 'bytes', 'lists', 'stats'], 0)
    for line in sys.stdin:
        work = json.loads(line)
        {'whole': whole, 'pieces': pieces, 'find': find, 'stat': stat, 'sample': sample}[work['op']](root, work, did)
    print(json.dumps(did))


main()
