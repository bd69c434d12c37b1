#!/usr/bin/env python3
"""Random rows of a memory-mapped table: map_rows.py FILE --rows COUNT [--row 8192] [--seed 1]

    --each            every row once, in an order by the seed, instead of --rows at random
    --processes N     these share the rows and the mapping
"""
import argparse
import mmap
import random

from together import say, together

parser = argparse.ArgumentParser()
parser.add_argument('file')
parser.add_argument('--rows', type=int)
parser.add_argument('--each', action='store_true')
parser.add_argument('--row', type=int, default=8192)
parser.add_argument('--seed', type=int, default=1)
parser.add_argument('--processes', type=int, default=1)
options = parser.parse_args()

with open(options.file, 'rb') as file:
    table = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
chosen = random.Random(options.seed)
rows = len(table) // options.row
wanted = [number * options.row for number in range(rows)]
if options.each:
    chosen.shuffle(wanted)
else:
    wanted = [chosen.randrange(0, rows) * options.row for _ in range(options.rows)]


def read(number):
    total = 0
    for offset in wanted[number :: options.processes]:
        total += len(table[offset : offset + options.row])
    return total


seconds, totals = together(options.processes, read)
say(seconds=seconds, bytes=sum(totals), rows=len(wanted))
