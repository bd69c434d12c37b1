#!/usr/bin/env python3
"""One process that reads pieces of a file.

    read_pieces.py FILE --piece BYTES [--stride BYTES | --random COUNT --seed N]

Without --stride or --random: all of it, from the start to the end.
"""
import argparse
import os
import random
import time

from together import say

parser = argparse.ArgumentParser()
parser.add_argument('file')
parser.add_argument('--piece', type=int, default=1 << 20)
parser.add_argument('--stride', type=int)
parser.add_argument('--random', type=int)
parser.add_argument('--seed', type=int, default=1)
options = parser.parse_args()

buffer = [bytearray(options.piece)]
fd = os.open(options.file, os.O_RDONLY)
size = os.fstat(fd).st_size
if options.random is not None:
    chosen = random.Random(options.seed)
    offsets = [chosen.randrange(0, size // options.piece) * options.piece for _ in range(options.random)]
else:
    offsets = range(0, size, options.stride or options.piece)
total = 0
began = time.monotonic()
for offset in offsets:
    total += os.preadv(fd, buffer, offset)
seconds = time.monotonic() - began
os.close(fd)
say(seconds=seconds, bytes=total, pieces=len(offsets))
