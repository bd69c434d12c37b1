#!/usr/bin/env python3
"""One process whose reads nobody can foresee: read_unforeseeable.py FILE [--kind random|adversary] [--reads N] [--seed 1]

random: from 4 to 64 KiB, anywhere. adversary: a pattern that looks well founded (forward, backward, strides) from a place of
its own, and after --turn reads, when it has been understood, another one somewhere else. Prints the seconds and bytes, and the
median and 99th percentile of a read's time.
"""
import argparse
import os
import random
import statistics
import time

from together import say

KIB = 1 << 10
PIECE = 64 * KIB

parser = argparse.ArgumentParser()
parser.add_argument('file')
parser.add_argument('--kind', choices=['random', 'adversary'], default='random')
parser.add_argument('--reads', type=int, default=2000)
parser.add_argument('--turn', type=int, default=24)
parser.add_argument('--seed', type=int, default=1)
options = parser.parse_args()

fd = os.open(options.file, os.O_RDONLY)
size = os.fstat(fd).st_size
chosen = random.Random(options.seed)


def anywhere():
    for _ in range(options.reads):
        length = chosen.randrange(1, 17) * 4 * KIB
        yield chosen.randrange(0, (size - length) // (4 * KIB)) * 4 * KIB, length


def adversary():
    steps = (PIECE, -PIECE, 16 * PIECE, 5 * PIECE, -16 * PIECE)
    for number in range(options.reads):
        turn, within = divmod(number, options.turn)
        step = steps[turn % len(steps)]
        if within == 0:
            span = abs(step) * options.turn
            start = chosen.randrange(span, size - span - PIECE) // PIECE * PIECE
        yield start + step * within, PIECE


wanted = list(anywhere() if options.kind == 'random' else adversary())
buffers = {length: [bytearray(length)] for _, length in wanted}
times = []
total = 0
began = before = time.monotonic()
for offset, length in wanted:
    total += os.preadv(fd, buffers[length], offset)
    now = time.monotonic()
    times.append(now - before)
    before = now
seconds = before - began
times.sort()
say(
    seconds=seconds,
    bytes=total,
    reads=len(wanted),
    medianMs=statistics.median(times) * 1000,
    p99Ms=times[int(len(times) * 0.99)] * 1000,
)
