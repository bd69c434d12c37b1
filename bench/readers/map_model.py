#!/usr/bin/env python3
"""Processes that each map a whole model and copy all of it, as loading weights does: map_model.py FILE [--processes 8]"""
import argparse
import mmap

from together import say, together

parser = argparse.ArgumentParser()
parser.add_argument('file')
parser.add_argument('--processes', type=int, default=8)
options = parser.parse_args()

TENSOR = 16 << 20
tensor = memoryview(bytearray(TENSOR))


def load(_number):
    with open(options.file, 'rb') as file:
        model = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    for at in range(0, len(model), TENSOR):
        part = model[at : at + TENSOR]
        tensor[: len(part)] = part
    return len(model)


seconds, sizes = together(options.processes, load)
say(seconds=seconds, bytes=sum(sizes))
