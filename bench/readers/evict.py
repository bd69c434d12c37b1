#!/usr/bin/env python3
"""Takes files out of the page cache, or brings them in: evict.py drop|load PATH...   (folders: all that is in them)"""
import os
import sys

mode, paths = sys.argv[1], sys.argv[2:]


def files(path):
    if os.path.isfile(path):
        yield path
    for folder, _, names in os.walk(path):
        for name in names:
            yield os.path.join(folder, name)


buffer = [bytearray(1 << 20)]
for path in paths:
    for name in files(path):
        try:
            fd = os.open(name, os.O_RDONLY)
        except OSError:
            continue  # a link to nowhere
        if mode == 'drop':
            os.fdatasync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            while os.readv(fd, buffer) == len(buffer[0]):
                pass
        os.close(fd)
