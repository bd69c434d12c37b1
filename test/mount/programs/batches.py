#!/usr/bin/env python3
"""Loaders of known batches: batches.py DIRECTORY FILES EPOCHS NAME... Each NAME is a data set, and says how it is read:

    b32-w2-shuffled, b100-w4-ordered    torch's DataLoader: files in a batch, workers, and whether it shuffles
    ...-persistent                      its workers stay from epoch to epoch
    none-w2-shuffled                    two processes that open a share of the files each, one after the other

`make` in place of EPOCHS makes the files.
"""
import multiprocessing
import os
import random
import sys
import warnings

KIB = 1024


def path_of(directory, name, number):
    return os.path.join(directory, name, f'{number // 500:02}', f'{number:05}.{name}')  # of a kind of its own, so that it is a data set of its own


def make(directory, name, files):
    for number in range(files):
        path = path_of(directory, name, number)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.truncate(48 * KIB + number % 16 * KIB)


def opened(path):
    """An item as a training job makes one: read, and as many floats of it whatever its size."""
    import torch

    with open(path, 'rb') as file:
        data = bytearray(file.read())
    return torch.frombuffer(data, dtype=torch.uint8)[: 3 * 128 * 128].view(3, 128, 128).float().div(255)


def load(paths, batch, workers, shuffle, persistent, epochs):
    import torch.utils.data

    class Files(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)

        def __getitem__(self, index):
            return opened(paths[index])

    torch.set_num_threads(1)
    warnings.simplefilter('ignore')  # it finds more workers than processors worth one
    loader = torch.utils.data.DataLoader(
        Files(), batch_size=batch, shuffle=shuffle, num_workers=workers, persistent_workers=persistent
    )
    for _ in range(epochs):
        for images in loader:
            images.mean()


def walk(paths):
    for path in paths:
        opened(path)


def without_batches(paths, workers, epochs):
    for _ in range(epochs):
        order = random.sample(paths, len(paths))
        processes = [multiprocessing.Process(target=walk, args=(order[rank::workers],)) for rank in range(workers)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


def read(paths, name, epochs):
    batch, workers, *how = name.split('-')
    if batch == 'none':
        without_batches(paths, int(workers[1:]), epochs)
    else:
        load(paths, int(batch[1:]), int(workers[1:]), 'shuffled' in how, 'persistent' in how, epochs)


def main():
    directory, files, what, *names = sys.argv[1:]
    for name in names:
        if what == 'make':
            make(directory, name, int(files))
            continue
        child = os.fork()
        if child == 0:
            read([path_of(directory, name, number) for number in range(int(files))], name, int(what))
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit(f'{name} failed')


if __name__ == '__main__':
    main()
