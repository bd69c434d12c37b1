#!/usr/bin/env python3
"""Processes that read pieces of a file.

    read_pieces.py FILE --piece BYTES [--stride BYTES] [--backward] [--random COUNT --seed N] [--most COUNT]

Without --stride or --random: all of it, from the start to the end. --most: only the first COUNT pieces of the order.

    --readers N --split turns|parts    in turns: each reads every Nth piece, all through one descriptor;
                                       in parts: each reads a part of its own, through a descriptor of its own
"""
import argparse
import os
import random

from together import say, together

parser = argparse.ArgumentParser()
parser.add_argument('file')
parser.add_argument('--piece', type=int, default=1 << 20)
parser.add_argument('--stride', type=int)
parser.add_argument('--backward', action='store_true')
parser.add_argument('--random', type=int)
parser.add_argument('--seed', type=int, default=1)
parser.add_argument('--most', type=int)
parser.add_argument('--readers', type=int, default=1)
parser.add_argument('--split', choices=['turns', 'parts'], default='turns')
options = parser.parse_args()

buffer = [bytearray(options.piece)]
shared = os.open(options.file, os.O_RDONLY)
size = os.fstat(shared).st_size
if options.random is not None:
    chosen = random.Random(options.seed)
    offsets = [chosen.randrange(0, size // options.piece) * options.piece for _ in range(options.random)]
else:
    offsets = list(range(0, size, options.stride or options.piece))
if options.backward:
    offsets.reverse()
readers = options.readers
shares = [offsets[number::readers] for number in range(readers)]
if options.split == 'parts':
    each = -(-len(offsets) // readers)
    shares = [offsets[number * each : (number + 1) * each] for number in range(readers)]
if options.most is not None:
    shares = [share[: options.most // readers] for share in shares]


def read(number):
    fd = shared if options.split == 'turns' else os.open(options.file, os.O_RDONLY)
    return sum(os.preadv(fd, buffer, offset) for offset in shares[number])


seconds, totals = together(readers, read)
say(seconds=seconds, bytes=sum(totals), pieces=sum(len(share) for share in shares))
