#!/usr/bin/env python3
"""Imports a package from a directory and nowhere else: import_module.py DIR NAME; prints the seconds.

The package's own libraries (NAME/lib) are found there too, as those of a wheel are.
"""
import importlib
import os
import sys
import time

from together import say

directory, name = sys.argv[1], sys.argv[2]
libraries = os.path.join(directory, name, 'lib')
if os.path.isdir(libraries) and os.environ.get('LD_LIBRARY_PATH') != libraries:
    os.environ['LD_LIBRARY_PATH'] = libraries
    os.execv(sys.executable, [sys.executable, *sys.argv])
sys.dont_write_bytecode = True
sys.path.insert(0, directory)
began = time.monotonic()
module = importlib.import_module(name)
seconds = time.monotonic() - began
if not os.path.abspath(module.__file__).startswith(os.path.abspath(directory)):
    raise SystemExit(f'{name} came from {module.__file__}')
say(seconds=seconds, modules=sum(1 for known in sys.modules if known.split('.')[0] == name))
