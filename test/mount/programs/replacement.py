#!/usr/bin/env python3
"""
replacement.py SOURCE MOUNT --seconds N --lease S [--cache DIR]

Files are replaced, grown, truncated, unlinked and made again, at the source and through the mount, while eight processes
open, read, map and hold them through the mount. Checked, per file, with content that names its generation:

- an open file never shows two generations, however it changes meanwhile, nor does a mapping of it;
- an open that begins more than the lease after a change at the source, or at any time after a change through the mount,
  has the new size and the new bytes;
- no call fails, but for ENOENT where the file has been removed;
- an object of the cache that was complete once never changes its bytes, not even after it was removed.

Prints JSON: what was done, and what was wrong. `base` is the generation in which a file was made or replaced last: it is
what its bytes name; growth and truncation keep it.
"""
import argparse
import json
import mmap
import multiprocessing
import os
import random
import struct
import sys
import time
import traceback

import records

FILES, READERS, CHANGERS, SLACK = 24, 8, 2, 0.6
STATE = struct.Struct('=qqdqqqq')  # announced, done, when settled from, and of the last two generations: base, size
LARGE, SMALL = 3_000_000, 20_000


class Board:
    """What has been done to each file, in memory that all processes share. One changer writes to a file's slot."""

    def __init__(self):
        self.memory = mmap.mmap(-1, FILES * STATE.size)

    def read(self, index):
        return STATE.unpack_from(self.memory, index * STATE.size)

    def write(self, index, *state):
        STATE.pack_into(self.memory, index * STATE.size, *state)


def name_of(index):
    return f'file{index:02}'


def in_place(index):
    """These files grow and shrink as well; the others are only replaced and removed, so that mapping them is safe."""
    return index % 2 == 1


def size_for(index, dice):
    size = dice.randrange(LARGE // 2, LARGE) if index % 3 == 0 else dice.randrange(SMALL // 2, SMALL)
    return size // records.RECORD * records.RECORD


class Changer:
    """Changes its share of the files, each no more often than the lease allows to tell."""

    def __init__(self, number, options, board):
        self.dice = random.Random(number * 7919)
        self.mine = [index for index in range(FILES) if index // 2 % CHANGERS == number]
        self.options, self.board, self.done = options, board, {}

    def run(self, until):
        last = {index: 0.0 for index in self.mine}
        while time.monotonic() < until:
            index = self.dice.choice(self.mine)
            if time.monotonic() - last[index] < self.options.lease + SLACK + 0.2:
                time.sleep(0.005)
                continue
            self.change(index, through_mount=self.dice.random() < 0.4)
            last[index] = time.monotonic()
        return self.done

    def change(self, index, through_mount):
        _, generation, _, _, _, base, size = self.board.read(index)
        kind = 'create' if size < 0 else self.dice.choice(
            ['replace', 'replace', 'unlink'] + (['grow', 'truncate', 'rewrite'] if in_place(index) else [])
        )
        top = self.options.mount if through_mount else self.options.source
        path = os.path.join(top, name_of(index))
        new, now_base, now_size = generation + 1, base, size
        if kind in ('create', 'replace', 'rewrite'):
            now_base, now_size = new, size_for(index, self.dice)
        elif kind == 'unlink':
            now_size = -1
        elif kind == 'grow':
            now_size = size + self.dice.randrange(1, 3000) * records.RECORD
        else:
            now_size = self.dice.randrange(1, size // records.RECORD + 1) * records.RECORD
        self.board.write(index, new, generation, float('inf'), base, size, now_base, now_size)
        self.perform(kind, path, index, (now_base, now_size), size)
        settled = 0.0 if through_mount else time.monotonic() + self.options.lease + SLACK
        self.board.write(index, new, new, settled, base, size, now_base, now_size)
        where = f'{kind} {"through the mount" if through_mount else "at the source"}'
        self.done[where] = self.done.get(where, 0) + 1

    def perform(self, kind, path, index, state, size):
        base, now_size = state
        if kind == 'unlink':
            os.unlink(path)
        elif kind == 'truncate':
            os.truncate(path, now_size)
        elif kind == 'grow':
            with open(path, 'ab', buffering=0) as file:
                write_all(file, records.content(name_of(index), base, now_size)[size:])
        elif kind == 'rewrite':  # another file under the same name, without a rename
            os.unlink(path)
            with open(path, 'xb', buffering=0) as file:
                write_all(file, records.content(name_of(index), base, now_size))
        else:
            fresh = f'{path}.fresh'
            with open(fresh, 'wb', buffering=0) as file:
                write_all(file, records.content(name_of(index), base, now_size))
            os.rename(fresh, path)


def write_all(file, data):
    view = memoryview(data)
    while len(view):
        view = view[file.write(view):]


class Reader:
    def __init__(self, number, options, board):
        self.dice, self.options, self.board = random.Random(number), options, board
        self.done, self.wrong = {}, []
        self.held = []

    def run(self, until):
        while time.monotonic() < until:
            index = self.dice.randrange(FILES)
            try:
                self.open_and_read(index)
                if self.held and self.dice.random() < 0.3:
                    self.look_again()
            except OSError as error:
                self.complain(index, f'{type(error).__name__}: {error} ({traceback.extract_tb(error.__traceback__)[-1].line})')
        return self.done, self.wrong

    def complain(self, index, what):
        self.wrong.append(f'{name_of(index)}: {what}')

    def count(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    def open_and_read(self, index):
        began = time.monotonic()
        before = self.board.read(index)
        announced, done, settled, _, _, base, size = before
        exact = announced == done and began >= settled
        try:
            fd = os.open(os.path.join(self.options.mount, name_of(index)), os.O_RDONLY)
        except FileNotFoundError:
            after = self.board.read(index)
            if exact and size >= 0 and after == before:
                self.complain(index, 'ENOENT, but it is there')
            return
        status = os.fstat(fd)
        data = self.read(fd)
        unchanged = self.board.read(index) == before
        self.count('reads')
        if exact and unchanged:
            self.count('reads of a settled file')
            if size < 0:
                self.complain(index, f'opened, but generation {done} removed it; it shows {records.generation_of(data)}')
            elif status.st_size != size:
                self.complain(index, f'fstat says {status.st_size} bytes, generation {done} has {size}')
            else:
                trouble = records.difference(data, records.content(name_of(index), base, size))
                if trouble:
                    self.complain(index, f'generation {done}: {trouble}')
        self.check_unmixed(index, data, 'a read')
        self.keep_or_close(index, fd, data)

    def read(self, fd):
        if self.dice.random() < 0.3:
            os.lseek(fd, 0, os.SEEK_SET)  # a duplicate shares the position
            with os.fdopen(os.dup(fd), 'rb') as file:
                return file.read()
        parts, at = [], 0
        while part := os.pread(fd, 300_000, at):
            parts.append(part)
            at += len(part)
        return b''.join(parts)

    def check_unmixed(self, index, data, what):
        """All records are of one generation. Where a file shrinks in place, the kernel may show zeros for what is cut."""
        if not data:
            return
        whole = len(data) // records.RECORD * records.RECORD
        generation = records.generation_of(data)
        if generation is None:
            if not (in_place(index) and data.count(0) == len(data)):
                self.complain(index, f'{what} begins with {bytes(data[:64])!r}')
            return
        wanted = records.content(name_of(index), generation, whole)
        if data[:whole] == wanted:
            return
        if in_place(index):
            data = bytes(data[:whole]).rstrip(b'\0')
            if data == wanted[:len(data)]:
                return
        self.complain(index, f'{what} is mixed: {records.difference(data[:whole], wanted)}')

    def keep_or_close(self, index, fd, data):
        if not data or self.dice.random() < 0.6:
            os.close(fd)
            return
        area = None
        if not in_place(index) and self.dice.random() < 0.5:
            area = mmap.mmap(fd, len(data), prot=mmap.PROT_READ)
        self.held.append((index, fd, area, data, time.monotonic() + self.dice.random() * 4))
        if len(self.held) > 12:
            self.drop(self.held.pop(0))

    def look_again(self):
        """What is held open still shows what it showed, unless it is changed in place."""
        index, fd, area, data, until = self.dice.choice(self.held)
        self.count('reads of a held file')
        found = self.read(fd)
        if in_place(index):
            first = records.generation_of(found)
            if first is not None and first != records.generation_of(data):
                self.complain(index, f'a held descriptor turned from {records.generation_of(data)} to {first}')
            self.check_unmixed(index, found, 'a held descriptor')
        elif found != data:
            self.complain(index, f'a held descriptor changed: {records.difference(found, data)}')
        if area is not None:
            self.count('looks at a mapping')
            if area[:] != data:
                self.complain(index, f'a held mapping changed: {records.difference(area[:], data)}')
        if time.monotonic() > until:
            self.held = [one for one in self.held if one[1] != fd]
            self.drop((index, fd, area, data, until))

    @staticmethod
    def drop(one):
        _, fd, area, _, _ = one
        if area is not None:
            area.close()
        os.close(fd)


class CacheWatcher:
    """Keeps every object open that was complete once, and compares it in the end with what it was."""

    def __init__(self, directory):
        self.directory, self.known, self.wrong = directory, {}, []

    def run(self, until):
        while time.monotonic() < until:
            for at, _, names in os.walk(self.directory):
                for name in names:
                    self.look(os.path.join(at, name))
            time.sleep(0.2)
        for path, fd, data in self.known.values():
            trouble = records.difference(os.pread(fd, len(data), 0), data)
            if trouble:
                self.wrong.append(f'the cache object {os.path.basename(path)} changed: {trouble}')
        return {'cache objects watched': len(self.known)}, self.wrong

    def look(self, path):
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return
        inode = os.fstat(fd).st_ino
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        if inode in self.known or not data or not self.complete(path, data):
            os.close(fd)
        else:
            self.known[inode] = (path, fd, data)

    def complete(self, path, data):
        parts = data[:records.RECORD].split(b':')
        if len(parts) != 3 or not parts[0].startswith(b'file') or len(data) % records.RECORD:
            return False  # the index, or an object whose beginning is not there yet
        wanted = records.content(parts[0].decode(), int(parts[1]), len(data))
        if data == wanted:
            return True
        holes = [at for at in range(0, len(data), records.RECORD) if data[at:at + 64] != wanted[at:at + 64]]
        if any(data[at:at + 64].count(0) != 64 for at in holes):
            self.wrong.append(f'the cache object {os.path.basename(path)} mixes: {records.difference(data, wanted)}')
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('source')
    parser.add_argument('mount')
    parser.add_argument('--seconds', type=float, default=8)
    parser.add_argument('--lease', type=float, default=1)
    parser.add_argument('--cache')
    options = parser.parse_args()
    board, dice = Board(), random.Random(0)
    for index in range(FILES):
        size = size_for(index, dice)
        with open(os.path.join(options.source, name_of(index)), 'wb') as file:
            file.write(records.content(name_of(index), 1, size))
        board.write(index, 1, 1, 0.0, 1, size, 1, size)
    until = time.monotonic() + options.seconds
    workers = [Reader(number, options, board) for number in range(READERS)]
    if options.cache:
        workers.append(CacheWatcher(options.cache))
    context = multiprocessing.get_context('fork')
    results = context.Queue()

    def work(worker):
        try:
            results.put(worker.run(until))
        except BaseException:  # noqa: B902 - reported
            results.put(({}, [traceback.format_exc()]))

    def change(changer):
        try:
            results.put((changer.run(until), []))
        except BaseException:  # noqa: B902 - reported
            results.put(({}, [traceback.format_exc()]))

    processes = [context.Process(target=work, args=(worker,)) for worker in workers]
    processes += [context.Process(target=change, args=(Changer(n, options, board),)) for n in range(CHANGERS)]
    for process in processes:
        process.start()
    done, wrong = {}, []
    for _ in processes:
        counts, found = results.get()
        wrong += found
        for key, value in counts.items():
            done[key] = done.get(key, 0) + value
    for process in processes:
        process.join()
    print(json.dumps({'done': done, 'wrong': wrong[:20], 'wrongs': len(wrong)}))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
