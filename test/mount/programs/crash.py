#!/usr/bin/env python3
"""
crash.py SOURCE MOUNT LOG [--seed N]

What works on a mount while its daemon is killed, and compares every byte afterwards. Reads commands from its standard
input, a JSON object a line, and answers each with one:

    {"do": "epoch"}             reads the still files whole and compares them; what that cost the store
    {"do": "verify"}            the same, then every other file and all attributes through the mount against the source, and
                                writes that were acknowledged against the source
    {"do": "load"}              starts readers, writers and changers
    {"do": "alive"}             which of them have ended: none, as long as the daemon lives
    {"do": "stop", "at": T}     waits for their end; `at`: when the daemon was ended (s, CLOCK_MONOTONIC): a call that fails
                                before is wrong
    {"do": "change"}            changes some files at the source, the daemon being dead

Below SOURCE: `still/` never changes; `moving/` is replaced, rewritten in place, cut, grown and removed at the source;
`written/` is what was written through the mount. Whatever was synced there is noted in LOG/*: it must be at the source.
"""
import argparse
import errno
import glob
import json
import mmap
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback

import files
import records

STILL_SMALL, STILL_LARGE, MOVING, WRITERS, KEPT = 40, 6, 16, 2, 8
PAUSE_S = 0.003  # the daemon is to have a processor too
ENDED = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO)
context = multiprocessing.get_context('fork')


def still_files():
    for index in range(STILL_SMALL + STILL_LARGE):
        small = index < STILL_SMALL
        size = 20_000 + index * 2000 if small else 1_100_000 + index * 20_011
        yield f's{index:02}', size // records.RECORD * records.RECORD


def moving_size(index, dice):
    size = dice.randrange(1_100_000, 2_000_000) if index % 4 == 0 else dice.randrange(5_000, 90_000)
    return size // records.RECORD * records.RECORD


def generation():
    """Goes up for ever, over all runs."""
    return time.time_ns() // 1_000_000


def write_all(fd, data, at=0):
    view = memoryview(data)
    while len(view):
        count = os.pwrite(fd, view, at)
        view, at = view[count:], at + count


def read_on(fd, piece):
    """To the end: a read may be cut short by the daemon's end, and the next one then says so."""
    parts, at = [], 0
    while part := os.pread(fd, piece, at):
        parts.append(part)
        at += len(part)
    return b''.join(parts)


def slurp(path):
    with open(path, 'rb', buffering=0) as file:
        return file.read()


class Tally:
    """What one process did and what it found wrong; written to a pipe as it goes, since the process may be killed."""

    def __init__(self):
        self.read_end, self.write_end = os.pipe()
        self.wrongs = 0

    def say(self, kind, value):
        os.write(self.write_end, (json.dumps([kind, value, time.monotonic()]) + '\n').encode())

    def wrong(self, what):
        self.wrongs += 1
        if self.wrongs <= 20:  # a pipe holds 64 KiB
            self.say('wrong', what[:1000])

    def collect(self):
        os.close(self.write_end)
        os.set_blocking(self.read_end, False)
        with os.fdopen(self.read_end, 'rb') as pipe:
            return [json.loads(line) for line in (pipe.read() or b'').splitlines()]


class Worker:
    """Works below the mount's root, which it holds open: what is mounted or not at its path later is nothing to it."""

    def __init__(self, options, number, dice):
        self.options, self.number, self.dice = options, number, dice
        self.tally, self.process, self.steps = Tally(), None, 0

    def start(self):
        # Here, while the mount is certainly there: a busy machine may not let the process begin before it is gone.
        self.root = os.open(self.options.mount, os.O_RDONLY | os.O_DIRECTORY)
        self.process = context.Process(target=self.run)
        self.process.start()
        os.close(self.root)  # the process has it

    def run(self):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            self.prepare()
            while True:
                self.step()
                self.steps += 1
                time.sleep(PAUSE_S)
        except OSError as error:
            where = traceback.extract_tb(error.__traceback__)[-1].line
            self.tally.say('ended' if error.errno in ENDED else 'wrong', f'{type(self).__name__}: {error} ({where})')
        except BaseException:  # noqa: B902 - reported
            self.tally.wrong(traceback.format_exc())
        self.tally.say('steps', self.steps)
        os._exit(0)

    def prepare(self):
        pass

    def open(self, path, flags=os.O_RDONLY, mode=0o644):
        return os.open(path, flags, mode, dir_fd=self.root)


class StillReader(Worker):
    """Epochs over what never changes, every byte compared."""

    def prepare(self):
        self.order = []

    def step(self):
        if not self.order:
            self.order = list(still_files())
            self.dice.shuffle(self.order)
        name, size = self.order.pop()
        fd = self.open(f'still/{name}')
        try:
            found = read_on(fd, self.dice.choice((size, 131_072, 10_000 if size < 100_000 else 300_000)))
        finally:
            os.close(fd)
        trouble = records.difference(found, STILL[name])
        if trouble:
            self.tally.wrong(f'still/{name}: {trouble}')


class Mapper(Worker):
    """Keeps mappings of what never changes and looks at them again. Dies of SIGBUS when the daemon is gone."""

    def prepare(self):
        self.held = []

    def step(self):
        if len(self.held) > 5:
            self.held.pop(0)[1].close()
        name, size = self.dice.choice(list(still_files()))
        fd = self.open(f'still/{name}')
        self.held.append((name, mmap.mmap(fd, size, prot=mmap.PROT_READ)))
        os.close(fd)
        for held, area in self.held:
            at = self.dice.randrange(0, len(area))
            if area[at:at + 70_000] != STILL[held][at:at + 70_000]:
                self.tally.wrong(f'still/{held}: its mapping has other bytes at {at}')


class Follower(Worker):
    """Reads what changes: every record is of that file, and those that are only ever replaced are of one generation."""

    def prepare(self):
        self.refusals = 0

    def step(self):
        index = self.dice.randrange(MOVING)
        name = f'm{index:02}'
        try:
            fd = self.open(f'moving/{name}')
        except FileNotFoundError:
            return
        except OSError as error:
            return self.refused('open', name, error)
        try:
            data = read_on(fd, 200_000)
        except OSError as error:
            return self.refused('read', name, error)
        finally:
            os.close(fd)
        if index % 2 == 0 and data:
            found = records.generation_of(data)
            if found is None or data != records.content(name, found, len(data)):
                self.tally.wrong(f'moving/{name} is mixed, from generation {found}')
            return
        label = f'{name}:'.encode()
        for at in range(0, len(data), records.RECORD):
            record = data[at:at + records.RECORD]
            if not record.startswith(label) and record.count(0) != len(record):  # zeros: cut while it was read
                self.tally.wrong(f'moving/{name}: {record!r} at {at}')
                return


    def refused(self, what, name, error):
        """While a file changes, an error is no wrong byte: it is told, and the next one is read."""
        if error.errno not in (errno.ESTALE, errno.EIO):
            raise error
        self.refusals += 1
        if self.refusals <= 20:
            self.tally.say('refused', f'{what} of moving/{name}: {error}')


class Changer(Worker):
    """Changes at the source, through nothing. Ends when it is told to."""

    def step(self):
        change_one(self.options.source, self.dice.randrange(MOVING), self.dice)
        time.sleep(0.05)


def change_one(source, index, dice):
    name = f'm{index:02}'
    path = os.path.join(source, 'moving', name)
    kinds = ['replace', 'replace', 'remove'] + (['rewrite'] * 3 + ['cut', 'grow'] if index % 2 else [])
    kind = dice.choice(kinds) if os.path.exists(path) else 'replace'
    if kind == 'remove':
        os.unlink(path)
    elif kind == 'replace':
        fresh = f'{path}.fresh'
        with open(fresh, 'wb', buffering=0) as file:
            file.write(records.content(name, generation(), moving_size(index, dice)))
        os.rename(fresh, path)
    else:
        fd = os.open(path, os.O_RDWR)
        size = os.fstat(fd).st_size
        if kind == 'rewrite':  # the same size: nothing but the times tells it
            write_all(fd, records.content(name, generation(), size))
        elif kind == 'cut':
            os.ftruncate(fd, size // 2 // records.RECORD * records.RECORD)
        elif size < 3_000_000:
            write_all(fd, records.content(name, generation(), 4096), size)
        os.close(fd)


class Writer(Worker):
    """Creates, overwrites, appends and removes through the mount, and notes what was acknowledged."""

    def prepare(self):
        self.journal = os.open(f'{self.options.log}/{self.number}', os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.own = {}
        for name, state in Acknowledged(f'{self.options.log}/{self.number}').files.items():
            if os.path.exists(os.path.join(self.options.source, 'written', name)):
                self.own[name] = max(state['records'] or [0]) + 1

    def note(self, what, name, first=0, count=0, stamp=0):
        os.write(self.journal, f'{what} {name} {first} {count} {stamp}\n'.encode())

    def step(self):
        if len(self.own) < 3 or (len(self.own) < KEPT and self.dice.random() < 0.2):
            self.create()
        elif len(self.own) >= KEPT and self.dice.random() < 0.3:
            name = self.own_file()
            self.note('removing', name)
            os.unlink(f'written/{name}', dir_fd=self.root)
            self.note('removed', name)
            del self.own[name]
        else:
            self.overwrite(appends=self.dice.random() < 0.3, mapped=self.dice.random() < 0.15)

    def own_file(self):
        return self.dice.choice(sorted(self.own))

    def create(self):
        stamp = generation()
        name = f'w{self.number}-{stamp}'
        count = self.dice.choice((1, 100, 1000, 5000))
        renames = self.dice.random() < 0.5
        path = f'written/{name}{".fresh" if renames else ""}'
        fd = self.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        write_all(fd, records.content(name, stamp, count * records.RECORD))
        os.fsync(fd)
        os.close(fd)
        if renames:
            os.rename(path, f'written/{name}', src_dir_fd=self.root, dst_dir_fd=self.root)
        self.note('made', name, 0, count, stamp)
        self.own[name] = count

    def overwrite(self, appends, mapped):
        name, stamp = self.own_file(), generation()
        length = self.own[name]
        first = length if appends else self.dice.randrange(length)
        count = self.dice.randrange(1, 200) if appends else min(length - first, self.dice.randrange(1, 200))
        data = records.content(name, stamp, (first + count) * records.RECORD)[first * records.RECORD:]
        fd = self.open(f'written/{name}', os.O_RDWR)
        self.note('trying', name, first, count, stamp)
        there = os.fstat(fd).st_size // records.RECORD  # less than was tried, where the daemon ended meanwhile
        if mapped and first + count <= there:
            area = mmap.mmap(fd, there * records.RECORD)
            area[first * records.RECORD:(first + count) * records.RECORD] = data
            area.flush()
            area.close()
        else:
            write_all(fd, data, first * records.RECORD)
        os.fsync(fd)
        self.note('wrote', name, first, count, stamp)
        os.close(fd)
        self.own[name] = max(length, first + count)


class Acknowledged:
    """What a writer's journal says must be at the source, and what may be."""

    def __init__(self, path):
        self.files = {}
        for line in slurp(path).decode().splitlines() if os.path.exists(path) else []:
            what, name, first, count, stamp = line.split()
            state = self.files.setdefault(name, {'records': {}, 'gone': 'no'})
            span = range(int(first), int(first) + int(count))
            if what in ('made', 'wrote'):
                state['records'].update((at, {int(stamp)}) for at in span)
            elif what == 'trying':
                for at in span:
                    state['records'].setdefault(at, {None}).add(int(stamp))
            else:
                state['gone'] = 'maybe' if what == 'removing' else 'yes'

    def compare(self, source):
        """What is not as it was acknowledged. An acknowledged record has one stamp; one under way more, None: none at all."""
        for name, state in self.files.items():
            path = os.path.join(source, 'written', name)
            if not os.path.exists(path):
                if state['gone'] == 'no':
                    yield f'written/{name} was synced and is gone'
                continue
            if state['gone'] == 'yes':
                yield f'written/{name} was removed and is there'
            data = slurp(path)
            for at, stamps in state['records'].items():
                record = data[at * records.RECORD:(at + 1) * records.RECORD]
                if not any(self.matches(record, name, at, stamp) for stamp in stamps):
                    yield f'written/{name}: record {at} is {bytes(record)!r}, acknowledged was {stamps}'
                    break

    @staticmethod
    def matches(record, name, at, stamp):
        if stamp is None:
            return record == b'' or record.count(0) == len(record)
        return record.startswith(f'{name}:{stamp}:'.encode()) and int(record.rsplit(b':', 1)[1]) == at


def waiting(pid):
    """Where in the kernel a process is, and whatever else waits there and cannot be killed."""
    for path in [f'/proc/{pid}', *glob.glob('/proc/[0-9]*/task/[0-9]*')]:
        try:
            state = slurp(f'{path}/stat').decode().rsplit(')', 1)[1].split()[0]
            if path == f'/proc/{pid}' or state == 'D':
                name, call, where = (slurp(f'{path}/{of}').decode().strip() for of in ('comm', 'syscall', 'stack'))
                where = ' '.join(line.split()[-1].split('+')[0] for line in where.splitlines())
                yield f'{path} {name}, {state}, in call {call.split()[0]}: {where}'
        except (OSError, IndexError):  # it has ended, or it is not ours to look at
            pass


METHODS = (files.read_plain, files.read_pieces, files.read_mapped, files.read_direct)


def compare_some(task):
    mount, source, paths, methods = task
    total, wrong = 0, []
    for index, path in enumerate(paths):
        there, here = os.path.join(source, path), os.path.join(mount, path)
        read = methods[index % len(methods)]
        try:
            wanted, status = slurp(there), os.stat(there)
            if read is files.read_mapped and not wanted:
                read = files.read_plain
            found, seen = read(here, len(wanted)), os.stat(here)
        except OSError as error:
            wrong.append(f'{path}: {error}')
            continue
        total += len(found)
        trouble = records.difference(found, wanted)
        if trouble:
            wrong.append(f'{path} ({read.__name__}): {trouble}')
        if (seen.st_size, seen.st_mtime_ns, seen.st_ino) != (status.st_size, status.st_mtime_ns, status.st_ino):
            wrong.append(f'{path}: its attributes are not the source\'s')
    return total, wrong


class Program:
    def __init__(self, options):
        self.options, self.dice = options, random.Random(options.seed)
        self.workers = []
        for folder in ('still', 'moving', 'written'):
            os.makedirs(os.path.join(options.source, folder), exist_ok=True)
        for name, size in still_files():
            STILL[name] = records.content(name, 1, size)
            path = os.path.join(options.source, 'still', name)
            if not os.path.exists(path):
                with open(path, 'wb') as file:
                    file.write(STILL[name])
        for index in range(MOVING):
            change_one(options.source, index, self.dice)

    def epoch(self):
        wrong = []
        before = self.stats()
        paths = [f'still/{name}' for name, _ in still_files()]
        self.dice.shuffle(paths)
        done = self.compare(paths, wrong, [files.read_plain])  # others make the store read more than the file has
        spent = self.stats()['store']['bytes'] - before['store']['bytes']
        return {'wrong': wrong[:10], 'wrongs': len(wrong), 'stillBytes': done, 'stillFromStore': spent}

    def verify(self):
        epoch = self.epoch()
        wrong = epoch['wrong']
        others = []
        for folder in ('moving', 'written'):
            names = sorted(os.listdir(os.path.join(self.options.source, folder)))
            if sorted(os.listdir(os.path.join(self.options.mount, folder))) != names:
                wrong.append(f'{folder}/ lists other names than the source')
            others += [f'{folder}/{name}' for name in names]
        methods = list(METHODS)
        self.dice.shuffle(methods)
        rest = self.compare(others, wrong, methods)
        acknowledged = 0
        for name in os.listdir(self.options.log):
            journal = Acknowledged(os.path.join(self.options.log, name))
            acknowledged += sum(len(state['records']) for state in journal.files.values())
            wrong += journal.compare(self.options.source)
        cache = self.stats()['cache']
        return {
            **epoch, 'wrong': wrong[:10], 'wrongs': len(wrong), 'bytes': epoch['stillBytes'] + rest, 'acknowledged': acknowledged,
            'damagedChunks': cache['damagedChunks'], 'checkedChunks': cache['checkedChunks'], 'evictions': cache['evictions'],
        }

    def stats(self):
        return json.loads(slurp(os.path.join(self.options.mount, '.mlo/stats')))

    def compare(self, paths, wrong, methods):
        tasks = [(self.options.mount, self.options.source, paths[part::2], methods) for part in range(2)]
        with context.Pool(2) as pool:
            results = pool.map(compare_some, tasks)
        for _, found in results:
            wrong += found
        return sum(total for total, _ in results)

    def load(self):
        kinds = [StillReader, Mapper, Follower, Changer] + [Writer] * WRITERS
        self.workers = [kind(self.options, number, random.Random(self.dice.random())) for number, kind in enumerate(kinds)]
        for worker in self.workers:
            worker.start()
        return {'running': len(self.workers)}

    def alive(self):
        return {'ended': [type(worker).__name__ for worker in self.workers if worker.process.exitcode is not None]}

    def stop(self, at):
        deadline = time.monotonic() + 20
        wrong, steps, refused = [], {}, []
        for worker in self.workers:
            if isinstance(worker, Changer):
                worker.process.terminate()
            worker.process.join(max(0.1, deadline - time.monotonic()))
            name = type(worker).__name__
            if worker.process.exitcode is None:
                wrong.append(f'{name} does not end: {"; ".join(waiting(worker.process.pid))}')
                worker.process.kill()
                worker.process.join(5)
            elif worker.process.exitcode == -signal.SIGBUS:
                pass  # a mapping of what nobody serves any more
            elif worker.process.exitcode != 0 and not isinstance(worker, Changer):
                wrong.append(f'{name} ended with {worker.process.exitcode}')
        for worker in self.workers:
            name = type(worker).__name__
            for kind, value, when in worker.tally.collect():
                if kind == 'wrong':
                    wrong.append(value)
                elif kind == 'ended' and when < at:
                    wrong.append(f'{at - when:.3f} s before the end: {value}')
                elif kind == 'refused' and when < at:
                    refused.append(value)
                elif kind == 'steps':
                    steps[name] = steps.get(name, 0) + value
        self.workers = []
        return {'wrong': wrong[:10], 'wrongs': len(wrong), 'steps': steps, 'refused': refused[:10]}

    def change(self):
        for index in self.dice.sample(range(MOVING), 6):
            change_one(self.options.source, index, self.dice)
        return {}


STILL = {}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('source')
    parser.add_argument('mount')
    parser.add_argument('log')
    parser.add_argument('--seed', type=int, default=0)
    program = Program(parser.parse_args())
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(program, command.pop('do'))(**command)
        except BaseException:  # noqa: B902 - reported
            answer = {'failed': traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
