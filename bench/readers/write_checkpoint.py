#!/usr/bin/env python3
"""Writes a checkpoint as training loops do: a new file, fsync, rename over the old name, fsync of the directory.

    write_checkpoint.py DIR BYTES
"""
import os
import sys
import time

from together import say

directory, size = sys.argv[1], int(sys.argv[2])
block = memoryview(os.urandom(4 << 20))
new, final = os.path.join(directory, 'checkpoint.new'), os.path.join(directory, 'checkpoint')
began = time.monotonic()
fd = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
left = size
while left > 0:
    left -= os.write(fd, block[: min(left, len(block))])
written = time.monotonic()
os.fsync(fd)
os.close(fd)
synced = time.monotonic()
os.rename(new, final)
folder = os.open(directory, os.O_RDONLY)
try:
    os.fsync(folder)
except OSError:
    pass  # not every file system lets a directory be synced
os.close(folder)
done = time.monotonic()
if os.stat(final).st_size != size:
    raise SystemExit(f'{final}: {os.stat(final).st_size} bytes of {size}')
say(seconds=done - began, writeSeconds=written - began, syncSeconds=synced - written, bytes=size)
