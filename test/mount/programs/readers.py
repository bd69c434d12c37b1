#!/usr/bin/env python3
"""readers.py DIR COUNT SIZE READERS: that many threads at once, each reads six of the files of files.py and compares every byte."""
import os
import random
import sys
import threading

import files
import records


def read(directory, count, size, number, wrong):
    order = list(range(count))
    random.Random(number).shuffle(order)
    for index in order[:6]:
        name, length = files.name_and_size(index, size)
        try:
            with open(os.path.join(directory, name), 'rb', buffering=0) as file:
                for at in range(0, length, 1 << 20):
                    found = os.pread(file.fileno(), 1 << 20, at)
                    if found != CONTENT[index][at:at + (1 << 20)]:
                        wrong.append(f'{name}: {records.difference(found, CONTENT[index][at:at + (1 << 20)])}')
        except OSError as error:
            wrong.append(f'{name}: {error}')


CONTENT = {}


def main():
    directory, count, size, readers = sys.argv[1], *(int(word) for word in sys.argv[2:])
    for index in range(count):
        CONTENT[index] = records.content(files.name_and_size(index, size)[0], 1, files.name_and_size(index, size)[1])
    wrong = []
    threads = [threading.Thread(target=read, args=(directory, count, size, n, wrong)) for n in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print('\n'.join(wrong[:10]))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
