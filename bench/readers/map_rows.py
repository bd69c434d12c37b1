#!/usr/bin/env python3
"""Random rows of a memory-mapped table: map_rows.py FILE --rows COUNT [--row 8192] [--seed 1]"""
import argparse
import mmap
import random
import time

from together import say

parser = argparse.ArgumentParser()
parser.add_argument('file')
parser.add_argument('--rows', type=int, required=True)
parser.add_argument('--row', type=int, default=8192)
parser.add_argument('--seed', type=int, default=1)
options = parser.parse_args()

with open(options.file, 'rb') as file:
    table = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
chosen = random.Random(options.seed)
rows = len(table) // options.row
wanted = [chosen.randrange(0, rows) * options.row for _ in range(options.rows)]
total = 0
began = time.monotonic()
for offset in wanted:
    total += len(table[offset : offset + options.row])
say(seconds=time.monotonic() - began, bytes=total, rows=options.rows)
