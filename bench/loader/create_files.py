#!/usr/bin/env python3
"""create_files.py DIRECTORY COUNT: creates COUNT empty files, then removes them; prints the seconds of both as JSON."""
import json
import os
import sys
import time

directory, count = sys.argv[1], int(sys.argv[2])
paths = [os.path.join(directory, f'new-{number:06}') for number in range(count)]
began = time.perf_counter()
for path in paths:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
created = time.perf_counter()
for path in paths:
    os.unlink(path)
print(json.dumps({'createSeconds': created - began, 'removeSeconds': time.perf_counter() - created}))
