#!/usr/bin/env python3
"""
job.py DIR COUNT SIZE [--seed N] [--last N]: a job that reads the files of files.py as it is told, each epoch in another order;
the N with the highest numbers come last, in another order too.

Each line of standard input is a number: so many more files of the epoch are opened, read and closed, one after the other (0:
the rest of it). Answers with a line of JSON: files and bytes read, how many files of each generation, the errors by name, and
files that were of no one generation.
"""
import argparse
import collections
import errno
import json
import os
import random
import sys

import records
from files import name_and_size

parser = argparse.ArgumentParser()
parser.add_argument('dir')
parser.add_argument('count', type=int)
parser.add_argument('size', type=int)
parser.add_argument('--seed', type=int, default=1)
parser.add_argument('--last', type=int, default=0)
options = parser.parse_args()
chosen = random.Random(options.seed)
left = []


def read(index, did):
    name, size = name_and_size(index, options.size)
    try:
        with open(os.path.join(options.dir, name), 'rb') as file:
            found = file.read()
    except OSError as error:
        did['errors'][errno.errorcode.get(error.errno, str(error.errno))] += 1
        return
    generation = records.generation_of(found)
    did['files'] += 1
    did['bytes'] += len(found)
    did['generations'][str(generation)] += 1
    trouble = records.difference(found, records.content(name, generation, size))
    if trouble:
        did['wrong'].append(f'{name}: {trouble}')


print(json.dumps({'ready': True}), flush=True)
for line in sys.stdin:
    did = {'files': 0, 'bytes': 0, 'generations': collections.Counter(), 'errors': collections.Counter(), 'wrong': []}
    if not left:
        left = sorted(range(options.count), key=lambda index: (index < options.count - options.last, chosen.random()))
    for _ in range(int(line) or len(left)):
        read(left.pop(), did)
        if not left:
            break
    print(json.dumps(did), flush=True)
