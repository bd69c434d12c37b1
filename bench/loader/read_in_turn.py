#!/usr/bin/env python3
"""Readers that stay, and read the same files beneath one root or another as they are told.

    read_in_turn.py [--readers 4]

Each line of standard input is JSON: {"list": FILE, "root": DIRECTORY, "seed": N, "buffer": BYTES}. All files of the list (one
path a line, from the root) are read once, in a shuffled order, split over the readers, which start together. Answers each line
with one: the files, bytes and seconds from the common start to the last reader's end.
"""
import argparse
import gc
import json
import multiprocessing
import os
import random
import sys
import time

from read_files import read_share


def share_of(order, number, readers):
    with open(order['list']) as file:
        names = file.read().splitlines()
    random.Random(order['seed']).shuffle(names)
    return [os.path.join(order['root'], name) for name in names[number::readers]]


def follow(orders, number, readers, start):
    gc.disable()
    while True:
        try:
            order = orders.recv()
        except EOFError:
            return
        paths = share_of(order, number, readers)
        start.wait()
        began = time.monotonic()
        total = read_share(paths, order['buffer'])
        orders.send((began, time.monotonic(), len(paths), total))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--readers', type=int, default=4)
    options = parser.parse_args()
    start = multiprocessing.Barrier(options.readers)
    ends = []
    for number in range(options.readers):
        ours, theirs = multiprocessing.Pipe()
        arguments = (theirs, number, options.readers, start)
        multiprocessing.Process(target=follow, args=arguments, daemon=True).start()
        theirs.close()
        ends.append(ours)
    for line in sys.stdin:
        for end in ends:
            end.send(json.loads(line))
        began, ended, files, total = zip(*(end.recv() for end in ends))
        answer = {'files': sum(files), 'bytes': sum(total), 'seconds': max(ended) - min(began)}
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
