#!/usr/bin/env python3
"""Creates, writes and renames small files, then removes them (untimed): write_files.py DIR COUNT BYTES"""
import os
import sys
import time

from together import say

directory, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
content = os.urandom(size)
began = time.monotonic()
for number in range(count):
    new = os.path.join(directory, f'.{number:06}.new')
    fd = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(fd, content)
    os.close(fd)
    os.rename(new, os.path.join(directory, f'{number:06}'))
seconds = time.monotonic() - began
listed = sorted(os.listdir(directory))
if listed != [f'{number:06}' for number in range(count)]:
    raise SystemExit(f'{directory} lists {len(listed)} names, not the {count} created')
for name in listed:
    os.unlink(os.path.join(directory, name))
say(seconds=seconds, files=count)
