#!/usr/bin/env python3
"""Workloads whose waiting is known, because they measure it themselves.

Reads one JSON object a line from standard input ({"work": NAME, "root": DIRECTORY, ...}), does that work and answers with
one: the seconds it took, how many of them it spent in what it reads, the process that a stall meter should see, and for
how many seconds the machine was too busy to let it run. The time between is spent asleep, as that of a program that
waits for its accelerator; or it is burned.
"""
import json
import mmap
import os
import random
import select
import sys
import threading
import time

now = time.perf_counter


def delayed():
    """Seconds that this thread could have run and did not: other things had the processors."""
    with open('/proc/thread-self/schedstat') as file:
        return int(file.read().split()[1]) / 1e9


def compute(job, seconds):
    if job.get('burn'):
        end = now() + seconds
        while now() < end:
            pass
    elif job.get('device'):
        select.select([], [], [], seconds)  # as a driver's wait for its device looks: like any other wait for an event
    elif seconds > 0:
        time.sleep(seconds)


def names(job):
    found = sorted(os.listdir(job['root']))
    order = random.Random(7)
    return [os.path.join(job['root'], name) for name in order.sample(found, len(found))][: job.get('files', len(found))]


def read_whole(path):
    with open(path, 'rb', buffering=0) as file:
        return len(file.readall())


class Clock:
    """Where the time of one thread goes."""

    def __init__(self):
        self.waited = 0.0
        self.began = now()

    def held(self, call, *args):
        before = now()
        try:
            return call(*args)
        finally:
            self.waited += now() - before

    def end(self):
        return {'seconds': now() - self.began, 'waited': self.waited}


def files(job):
    """Small files, one after the other."""
    clock = Clock()
    paths = clock.held(names, job)
    for _ in range(job.get('epochs', 1)):
        for path in paths:
            clock.held(read_whole, path)
            compute(job, job['computeMs'] / 1000)
    return clock.end()


def stream(job):
    """One large file in pieces: the kernel reads ahead meanwhile."""
    clock = Clock()
    for path in clock.held(names, job):
        file = clock.held(lambda: open(path, 'rb', buffering=0))
        while clock.held(file.read, job['piece']):
            compute(job, job['computeMs'] / 1000)
        file.close()
    return clock.end()


def mapped(job):
    """Rows of a memory-mapped table, at random or in order, epoch after epoch."""
    clock = Clock()
    path = clock.held(names, job)[0]
    order = random.Random(3)
    for _ in range(job.get('epochs', 1)):
        file = clock.held(open, path, 'rb')
        with file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as table:
            rows = len(table) // job['row']
            picked = [order.randrange(rows) for _ in range(job['rows'])] if job.get('random') else range(rows)
            for row in picked:
                clock.held(lambda: table[row * job['row'] : (row + 1) * job['row']])
                compute(job, job['computeMs'] / 1000)
    return clock.end()


def threads(job):
    """Many threads in one process, each with files of its own."""
    paths = names(job)
    count = job['threads']
    clocks = []

    def run(mine):
        clock = Clock()
        for path in mine:
            clock.held(read_whole, path)
            compute(job, job['computeMs'] / 1000)
        clocks.append({**clock.end(), 'delayed': delayed()})

    running = [threading.Thread(target=run, args=(paths[at::count],)) for at in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return {name: sum(clock[name] for clock in clocks) for name in ('seconds', 'waited', 'delayed')}


class Files:
    def __init__(self, paths, decode_seconds):
        self.paths = paths
        self.decode_seconds = decode_seconds

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        size = read_whole(self.paths[index])
        time.sleep(self.decode_seconds)
        return size


def loader(job):
    """PyTorch's DataLoader; its consumer is what waits."""
    import torch

    torch.set_num_threads(1)
    data = torch.utils.data.DataLoader(
        Files(names(job), job.get('decodeMs', 0) / 1000),
        batch_size=job['batch'],
        num_workers=job['workers'],
        persistent_workers=job.get('persistent', False),
    )
    clock = None
    for _ in range(job.get('epochs', 1)):
        batches = iter(data)
        if clock is None:
            next(batches)  # MLPerf Storage leaves the first step out as well: it waits for the workers to be born
            clock = Clock()
            compute(job, job['computeMs'] / 1000)
        while clock.held(next, batches, None) is not None:
            compute(job, job['computeMs'] / 1000)
    return clock.end()


WORK = {work.__name__: work for work in (files, stream, mapped, threads, loader)}


def main():
    if '--torch' in sys.argv:
        import torch  # noqa: F401: not within anybody's clock
    print('ready', flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        before = delayed()
        truth = {'delayed': 0, **WORK[job['work']](job), 'pid': os.getpid()}
        truth['delayed'] += delayed() - before
        print(json.dumps(truth), flush=True)


if __name__ == '__main__':
    main()
