#!/usr/bin/env python3
"""Readers beside each other, and how each of them fared: read_beside.py LIST [--readers 64] [--seed 1]

LIST holds one path a line. Each reader opens, reads and closes its share of the shuffled files, one after the other.
Prints the files a second of the slowest reader and of the median one, and the median and 99th percentile of a file's time.
"""
import argparse
import os
import random
import statistics
import time

from together import say, together

parser = argparse.ArgumentParser()
parser.add_argument('list')
parser.add_argument('--readers', type=int, default=64)
parser.add_argument('--seed', type=int, default=1)
options = parser.parse_args()

with open(options.list, 'rb') as file:
    paths = file.read().splitlines()
random.Random(options.seed).shuffle(paths)
buffers = [bytearray(1 << 18)]


def read(number):
    times = []
    total = 0
    for path in paths[number :: options.readers]:
        began = time.monotonic()
        fd = os.open(path, os.O_RDONLY)
        while True:
            got = os.readv(fd, buffers)
            total += got
            if got < len(buffers[0]):
                break
        os.close(fd)
        times.append(time.monotonic() - began)
    return times, total


seconds, done = together(options.readers, read)
rates = sorted(len(times) / sum(times) for times, _ in done)
every = sorted(taken for times, _ in done for taken in times)
say(
    seconds=seconds,
    files=len(every),
    bytes=sum(total for _, total in done),
    slowest=rates[0],
    median=statistics.median(rates),
    medianMs=statistics.median(every) * 1000,
    p99Ms=every[int(len(every) * 0.99)] * 1000,
)
