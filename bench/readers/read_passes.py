#!/usr/bin/env python3
"""Passes over the records of a file, each pass by processes of its own that share them, as the workers of a loader do.

    read_passes.py FILE --record BYTES --records COUNT [--passes 3] [--processes 1] [--anew] [--seed N]

In one shuffled order in every pass; --anew: in another each time. The kernel's pages of the file are dropped before each pass:
what it has it would not ask for. Says the seconds of the first pass, and of each after it in the mean.
"""
import argparse
import os
import random

from together import say, together

parser = argparse.ArgumentParser()
parser.add_argument('file')
parser.add_argument('--record', type=int, default=1 << 16)
parser.add_argument('--records', type=int, required=True)
parser.add_argument('--passes', type=int, default=3)
parser.add_argument('--processes', type=int, default=1)
parser.add_argument('--anew', action='store_true')
parser.add_argument('--seed', type=int, default=1)
options = parser.parse_args()

took = []
total = 0
for number in range(options.passes):
    order = list(range(options.records))
    random.Random(options.seed + (number if options.anew else 0)).shuffle(order)
    fd = os.open(options.file, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)

    def read(process):
        fd = os.open(options.file, os.O_RDONLY)
        into = [bytearray(options.record)]
        return sum(os.preadv(fd, into, at * options.record) for at in order[process :: options.processes])

    seconds, totals = together(options.processes, read)
    took.append(seconds)
    total += sum(totals)
say(first=took[0], later=sum(took[1:]) / max(1, len(took) - 1), bytes=total)
