#!/usr/bin/env python3
"""Imports a package from a directory and nowhere else: import_module.py DIR NAME; prints the seconds."""
import importlib
import os
import sys
import time

from together import say

directory, name = sys.argv[1], sys.argv[2]
sys.dont_write_bytecode = True
sys.path.insert(0, directory)
began = time.monotonic()
module = importlib.import_module(name)
seconds = time.monotonic() - began
if not os.path.abspath(module.__file__).startswith(os.path.abspath(directory)):
    raise SystemExit(f'{name} came from {module.__file__}')
say(seconds=seconds, modules=sum(1 for known in sys.modules if known.split('.')[0] == name))
