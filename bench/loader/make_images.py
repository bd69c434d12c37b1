#!/usr/bin/env python3
"""Makes JPEGs like those of a training set: 500 x 375, about 110 KiB each, no two alike, the same ones every time.

    make_images.py DIRECTORY COUNT [--folders 10]

Structure (a small random picture, enlarged) plus noise, whose strength decides the size. Without Pillow the files hold
random bytes of the same sizes. Prints the number made after every hundred.
"""
import argparse
import io
import multiprocessing
import os
import random

try:
    from PIL import Image
except ImportError:
    Image = None

WIDTH, HEIGHT = 500, 375


def jpeg(number):
    rng = random.Random(number)
    if Image is None:
        return b'\xff\xd8\xff\xe0' + rng.randbytes(int(rng.gauss(112_000, 14_000)))
    structure = Image.frombytes('RGB', (8, 6), rng.randbytes(144)).resize((WIDTH, HEIGHT), Image.BICUBIC)
    noise = Image.frombytes('RGB', (WIDTH, HEIGHT), rng.randbytes(WIDTH * HEIGHT * 3))
    strength = min(max(rng.gauss(0.55, 0.06), 0.25), 0.8)
    out = io.BytesIO()
    Image.blend(structure, noise, strength).save(out, 'JPEG', quality=85)
    return out.getvalue()


def make(job):
    path, number = job
    with open(path, 'wb') as file:
        file.write(jpeg(number))
    return os.path.getsize(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('directory')
    parser.add_argument('count', type=int)
    parser.add_argument('--folders', type=int, default=10)
    options = parser.parse_args()
    for folder in range(options.folders):
        os.makedirs(os.path.join(options.directory, f'class-{folder:02}'), exist_ok=True)
    jobs = [
        (os.path.join(options.directory, f'class-{number % options.folders:02}', f'image-{number:06}.jpg'), number)
        for number in range(options.count)
    ]
    total = 0
    with multiprocessing.Pool() as pool:
        for done, size in enumerate(pool.imap_unordered(make, jobs, chunksize=16), 1):
            total += size
            if done % 100 == 0 or done == len(jobs):
                print(f'{done} {total}', flush=True)


if __name__ == '__main__':
    main()
