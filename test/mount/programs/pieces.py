#!/usr/bin/env python3
"""
pieces.py DIR: one process that reads as it is told. Each line of standard input is a piece, `NAME OFFSET LENGTH` (OFFSET below 0:
from the end); the file is opened and read there, and stays open until another is named. Answers with a line of JSON: how many
bytes, and their CRC-32.
"""
import json
import os
import sys
import zlib

directory = sys.argv[1]
opened = file = None
print(json.dumps({'ready': True}), flush=True)
for line in sys.stdin:
    name, offset, length = line.split()
    if name != opened:
        if file:
            file.close()
        opened, file = name, open(os.path.join(directory, name), 'rb', buffering=0)
    file.seek(int(offset), os.SEEK_SET if int(offset) >= 0 else os.SEEK_END)
    found = b''
    while len(found) < int(length):
        more = file.read(int(length) - len(found))
        if not more:
            break
        found += more
    print(json.dumps({'bytes': len(found), 'crc': zlib.crc32(found)}), flush=True)
