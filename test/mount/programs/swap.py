#!/usr/bin/env python3
"""
swap.py prepare TOP                      makes TOP/source and TOP/outside
swap.py attack TOP MOUNT SECONDS UID     swaps at the source while eight processes work in MOUNT as UID; prints JSON

Every directory of the source has a twin that is a symbolic link out of the source; the attacker exchanges the two as fast
as it can. Whatever of outside shows (a byte of its files, a name of its listings, a new or changed file in it) was
reached by the daemon: the users themselves may not enter outside, so following a link on their own shows them nothing.
"""
import errno
import json
import multiprocessing
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../posix'))
from checks.acl import acl  # noqa: E402
from checks.calls import RENAME_EXCHANGE, renameat2  # noqa: E402

DIRECTORIES, WORKERS = 6, 8
INSIDE, OUTSIDE, DENIED = b'inside ' * 40, b'OUTSIDE ' * 40, b'DENIED ' * 40


def write(path, data, mode=0o644):
    with open(path, 'wb') as file:
        file.write(data)
    os.chmod(path, mode)


def prepare(top, uid):
    os.makedirs(f'{top}/source')
    os.makedirs(f'{top}/outside')
    os.chmod(f'{top}/source', 0o777)
    for n in range(DIRECTORIES):
        for at, data in ((f'{top}/source/dir{n}', INSIDE), (f'{top}/outside/dir{n}', OUTSIDE)):
            os.makedirs(f'{at}/deep/deeper')
            for sub in ('', 'deep/', 'deep/deeper/'):
                os.chmod(f'{at}/{sub}', 0o777)
                # Readable by anyone: only the way in is closed, and the daemon of root finds it open.
                write(f'{at}/{sub}file', data, 0o666)
                if data is OUTSIDE:
                    write(f'{at}/{sub}only-outside', data, 0o666)
            if data is INSIDE:
                write(f'{at}/denied', DENIED)
                os.setxattr(f'{at}/denied', 'system.posix_acl_access', acl(f'u::rw- u:{uid}:--- g::r-- m::r-- o::r--'))
        # A link as the twin of the directory, and one as the twin of the directory below it.
        os.symlink(f'{top}/outside/dir{n}', f'{top}/source/twin{n}')
        os.symlink(f'../../outside/dir{n}/deep', f'{top}/source/dir{n}/twin')
    os.chmod(f'{top}/outside', 0o700)


def state_of(top):
    """Everything that is outside: names, attributes and bytes."""
    found = {}
    for at, directories, names in os.walk(f'{top}/outside'):
        for name in directories + names:
            path = os.path.join(at, name)
            status = os.lstat(path)
            with open(path, 'rb') if name in names else open(os.devnull, 'rb') as file:
                found[path] = [status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns, hash(file.read())]
    return found


def attack(top, until, n):
    count = 0
    deep = os.open(f'{top}/source/dir{n}', os.O_RDONLY | os.O_DIRECTORY)
    below = f'/proc/self/fd/{deep}'
    while time.monotonic() < until:
        for _ in range(100):
            renameat2(f'{top}/source/dir{n}', f'{top}/source/twin{n}', RENAME_EXCHANGE)
            renameat2(f'{below}/deep', f'{below}/twin', RENAME_EXCHANGE)
            count += 1
            time.sleep(random.random() * 0.0004)
    return {'swaps': count}, []


class Worker:
    def __init__(self, mount, uid, seed):
        self.mount, self.uid, self.dice = mount, uid, random.Random(seed)
        self.done, self.wrong, self.number = {}, [], seed

    def run(self, until):
        os.setgroups([])
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(self.uid, self.uid, self.uid)
        actions = [self.read, self.read, self.list, self.create, self.stat, self.denied, self.change, self.walk]
        while time.monotonic() < until:
            action = self.dice.choice(actions)
            place = f'{self.mount}/dir{self.dice.randrange(DIRECTORIES)}/' + self.dice.choice(
                ['', 'deep/', 'deep/deeper/', 'twin/', 'twin/deeper/']
            )
            try:
                action(place)
                self.count(action.__name__)
            except OSError as error:
                self.count(errno.errorcode.get(error.errno, str(error.errno)))
                if error.errno == errno.EIO:
                    self.wrong.append(f'EIO from {action.__name__}({place})')
        return self.done, self.wrong

    def count(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    def read(self, place):
        with open(f'{place}file', 'rb') as file:
            data = file.read()
        if b'OUTSIDE' in data:
            self.wrong.append(f'read a byte outside: {place}file')

    def list(self, place):
        if 'only-outside' in os.listdir(place):
            self.wrong.append(f'listed a directory outside: {place}')

    def stat(self, place):
        for name in ('file', 'only-outside'):
            try:
                size = os.lstat(place + name).st_size
            except FileNotFoundError:
                continue
            if name == 'only-outside' or size == len(OUTSIDE):
                self.wrong.append(f'saw a file outside: {place}{name}')

    def create(self, place):
        name = f'{place}new-{self.number}-{self.dice.randrange(5)}'
        kind = self.dice.randrange(4)
        if kind == 0:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        elif kind == 1:
            os.mkdir(name)
            os.rmdir(name)
        elif kind == 2:
            os.rename(f'{place}new-{self.number}-{self.dice.randrange(5)}', name)
        else:
            os.unlink(name)

    def change(self, place):
        """What is inside belongs to root and is open to all; what is outside must not move."""
        fd = os.open(f'{place}file', os.O_WRONLY)
        os.pwrite(fd, INSIDE[:7], 0)
        os.close(fd)
        os.utime(f'{place}file')

    def denied(self, place):
        with open(f'{self.mount}/dir{self.dice.randrange(DIRECTORIES)}/denied', 'rb') as file:
            self.wrong.append(f'the denied user read {file.read()[:20]!r}')

    def walk(self, _):
        for _, _, names in os.walk(self.mount):
            if 'only-outside' in names:
                self.wrong.append('walked outside')


def main():
    what, top, *rest = sys.argv[1:]
    if what == 'prepare':
        return prepare(top, int(rest[0]))
    mount, seconds, uid = rest[0], float(rest[1]), int(rest[2])
    before = state_of(top)
    until = time.monotonic() + seconds
    context = multiprocessing.get_context('fork')
    with context.Pool(WORKERS + DIRECTORIES) as pool:
        workers = [pool.apply_async(Worker(mount, uid, seed).run, (until,)) for seed in range(WORKERS)]
        attackers = [pool.apply_async(attack, (top, until, n)) for n in range(DIRECTORIES)]
        results = [one.get() for one in workers + attackers]
    done, wrong = {}, []
    for counts, found in results:
        wrong += found
        for key, value in counts.items():
            done[key] = done.get(key, 0) + value
    after = state_of(top)
    for path in sorted(set(before) | set(after)):
        if before.get(path) != after.get(path):
            wrong.append(f'outside changed: {path}: {before.get(path)} -> {after.get(path)}')
    print(json.dumps({'done': done, 'wrong': wrong[:20], 'wrongs': len(wrong)}))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
