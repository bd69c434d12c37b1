"""POSIX checks that take only a directory to work in. Each module is a group; run them with ../run.py."""
