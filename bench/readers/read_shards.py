#!/usr/bin/env python3
"""Workers that stream tar shards, each its share of a shuffled list: read_shards.py DIR [--workers 8] [--seed 1]"""
import argparse
import os
import random
import tarfile

from together import say, together

parser = argparse.ArgumentParser()
parser.add_argument('directory')
parser.add_argument('--workers', type=int, default=8)
parser.add_argument('--seed', type=int, default=1)
options = parser.parse_args()

shards = sorted(os.listdir(options.directory))
random.Random(options.seed).shuffle(shards)


def stream(number):
    samples = 0
    total = 0
    for name in shards[number :: options.workers]:
        with tarfile.open(os.path.join(options.directory, name), 'r|', bufsize=1 << 20) as shard:
            for member in shard:
                total += len(shard.extractfile(member).read())
                samples += 1
    return samples, total


seconds, done = together(options.workers, stream)
say(seconds=seconds, samples=sum(samples for samples, _ in done), bytes=sum(total for _, total in done))
