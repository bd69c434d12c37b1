#!/usr/bin/env python3
"""Tar shards of random samples of about 110 KiB: make_shards.py DIR COUNT BYTES; prints the samples and their bytes."""
import io
import os
import sys
import tarfile

from together import say

directory, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
noise = os.urandom(4 << 20)
samples = total = 0
for shard in range(count):
    with tarfile.open(os.path.join(directory, f'shard-{shard:04}.tar'), 'w') as tar:
        written = 0
        while written < size:
            length = min(70_000 + (samples * 7919) % 85_000, size - written)
            member = tarfile.TarInfo(f'{samples:08}.jpg')
            member.size = length
            start = (samples * 104_729) % (len(noise) - length)
            tar.addfile(member, io.BytesIO(noise[start : start + length]))
            written += length
            samples += 1
            total += length
say(samples=samples, bytes=total)
