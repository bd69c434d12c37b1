#!/usr/bin/env python3
"""One training job's reading: a PyTorch DataLoader over a directory of images, epoch after epoch.

The data set is the usual one: list the directory once, then `__getitem__` opens, reads and (with --decode) decodes one
file. Nothing in here knows what the directory is mounted from. Without PyTorch the same is done by a reader of ours with
the same discipline: worker processes, a shuffled order, prefetch_factor batches ahead for each worker.

With --paced it waits for a line on standard input before each epoch, so that whoever measures can look at counters
between epochs. Each epoch is one JSON line on standard output.
"""
import argparse
import itertools
import json
import multiprocessing
import os
import random
import sys
import time


def limited(indices, options):
    """This rank's share of an epoch's order, and no more batches of it than are wanted."""
    rank, world = (int(part) for part in options.shard.split('/'))
    share = indices[rank::world]
    return share if options.batches is None else share[: options.batches * options.batch]


def announced(order, data, options):
    """The order, which a mount of ours is told of as it is taken."""
    if not options.announce:
        return order
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../python'))
    import ml_overlay

    return ml_overlay.announce(order, data.paths)


class Images:
    """A map-style data set; `item[i]` is what a training loop would be given."""

    def __init__(self, root, decode):
        self.root = root
        self.decode = decode
        self.paths = []
        for folder, folders, names in os.walk(root):
            folders.sort()
            self.paths += [os.path.join(folder, name) for name in sorted(names)]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        if not self.decode:
            with open(self.paths[index], 'rb') as file:
                return len(file.read())
        from PIL import Image

        with open(self.paths[index], 'rb') as file:
            image = Image.open(file)
            image.load()
            size = file.tell()  # what was read; asking for the size would be a request of its own
        return size, image.convert('RGB').resize((224, 224)).tobytes()


def collate(items):
    """The bytes read, and the decoded images of a batch as one tensor where there are any."""
    if isinstance(items[0], int):
        return sum(items), None
    return sum(size for size, _ in items), as_tensor([pixels for _, pixels in items])


def as_tensor(images):
    try:
        import torch
    except ImportError:
        return b''.join(images)
    joined = bytearray().join(images)
    return torch.frombuffer(joined, dtype=torch.uint8).view(len(images), 224, 224, 3)


class TorchShare:
    """A share of an order that all ranks shuffle alike, anew each epoch, as DistributedSampler's."""

    def __init__(self, data, generator, options):
        self.data = data
        self.generator = generator
        self.options = options

    def __iter__(self):
        import torch

        return iter(limited(torch.randperm(len(self.data), generator=self.generator).tolist(), self.options))

    def __len__(self):
        return len(limited(range(len(self.data)), self.options))


def torch_batches(data, options):
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator()
    generator.manual_seed(options.seed)
    order = {'shuffle': True}
    if options.announce or options.batches is not None or options.shard != '0/1':
        order = {'sampler': announced(TorchShare(data, generator, options), data, options)}
    loader = torch.utils.data.DataLoader(
        data,
        batch_size=options.batch,
        **order,
        num_workers=options.workers,
        prefetch_factor=options.prefetch,
        persistent_workers=options.persistent,
        collate_fn=collate,
        generator=generator,
    )
    return lambda: iter(loader)


def own_batches(data, options):
    """DataLoader's discipline without PyTorch: batch b goes to worker b % workers, prefetch batches ahead for each."""
    order = random.Random(options.seed)

    def epoch():
        indices = list(range(len(data)))
        order.shuffle(indices)
        indices = limited(indices, options)
        ordered = iter(announced(indices, data, options))
        batches = -(-len(indices) // options.batch)
        workers = [start_worker(data) for _ in range(options.workers)]
        sent = 0
        try:
            for received in range(batches):
                while sent < batches and sent < received + options.workers * options.prefetch:
                    workers[sent % len(workers)][1].send(list(itertools.islice(ordered, options.batch)))
                    sent += 1
                yield workers[received % len(workers)][1].recv()
        finally:
            for process, pipe in workers:
                pipe.send(None)
                process.join()

    return epoch


def start_worker(data):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=work, args=(data, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def work(data, pipe):
    for indices in iter(pipe.recv, None):
        pipe.send(collate([data[index] for index in indices]))


def run_epoch(number, start, options, files):
    began = time.perf_counter()
    batches = start()  # workers that have to be started are waited for
    waited = time.perf_counter() - began
    first = 0.0
    total = 0
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        waited += time.perf_counter() - asked
        if batch is None:
            break
        first = first or time.perf_counter() - began
        total += batch[0]
        if options.step_ms:
            time.sleep(options.step_ms / 1000)  # the accelerator computes; the processor is free meanwhile
    seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                'epoch': number,
                'seconds': seconds,
                'files': files,
                'bytes': total,
                'firstBatchSeconds': first,
                'waitedSeconds': waited,
            }
        ),
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root')
    parser.add_argument('--epochs', type=int, default=2)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--prefetch', type=int, default=2)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--decode', action='store_true')
    parser.add_argument('--persistent', action='store_true', help='keep the workers from epoch to epoch')
    parser.add_argument('--step-ms', type=float, default=0, help='a training step for each batch')
    parser.add_argument('--own', action='store_true', help='the reader of ours even where there is PyTorch')
    parser.add_argument('--batches', type=int, help='only so many of each epoch')
    parser.add_argument('--shard', default='0/1', metavar='RANK/WORLD', help='a share of each epoch, as on a cluster')
    parser.add_argument('--announce', action='store_true', help='tell the mount what will be read (python/ml_overlay)')
    parser.add_argument('--paced', action='store_true')
    options = parser.parse_args()

    began = time.perf_counter()
    data = Images(options.root, options.decode)
    listing = time.perf_counter() - began
    try:
        if options.own:
            raise ImportError('not wanted')
        import torch

        reader, start = f'PyTorch {torch.__version__}', torch_batches(data, options)
    except ImportError:
        reader, start = 'own reader', own_batches(data, options)
    share = len(limited(range(len(data)), options))
    print(json.dumps({'ready': reader, 'files': share, 'listingSeconds': listing}), flush=True)
    for number in range(1, options.epochs + 1):
        if options.paced and not sys.stdin.readline():
            return
        run_epoch(number, start, options, share)


if __name__ == '__main__':
    main()
