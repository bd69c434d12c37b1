"""
What a check is made of: registration, expectations, other processes and other users.

A check is a function named after its claim. It runs in a process of its own whose working directory is a fresh, empty
directory of the file system under test, so relative names are enough, and ids, umask, limits and descriptors need no
cleaning up. It fails by raising, and says "does not apply here" by raising Skip.
"""
import errno
import os
import pickle
import signal
import sys
import time
import traceback

CHECKS = []

# Ordinary users that need no entry in /etc/passwd.
ALICE, BOB, CAROL = 61001, 61002, 61003
STAFF, GUESTS = 62001, 62002


class Skip(Exception):
    """This check does not apply here; the reason is printed."""


class Check:
    def __init__(self, group, function, root, readonly, seconds):
        self.group = group
        self.function = function
        self.name = function.__name__
        self.root = root
        self.readonly = readonly
        self.seconds = seconds


def check(function=None, *, root=False, readonly=False, seconds=60):
    """Registers a check. `root`: needs privileges. `readonly`: runs only on a read-only file system."""

    def register(wrapped):
        group = wrapped.__module__.rsplit('.', 1)[-1]
        CHECKS.append(Check(group, wrapped, root, readonly, seconds))
        return wrapped

    return register(function) if function else register


def equal(found, wanted, what='value'):
    if found != wanted:
        raise AssertionError(f'{what}: found {short(found)}, wanted {short(wanted)}')


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def short(value):
    text = repr(value)
    return text if len(text) <= 200 else f'{text[:120]}...{text[-60:]} ({len(text)} characters)'


def same_bytes(found, wanted, what='bytes'):
    """Like equal, but says where two long byte strings part."""
    if found == wanted:
        return
    at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
    raise AssertionError(
        f'{what}: {len(found)} bytes found, {len(wanted)} wanted, the first difference at {at}: '
        f'{bytes(found[at:at + 16])!r} for {bytes(wanted[at:at + 16])!r}'
    )


def fails(wanted, function, *arguments, **keywords):
    """Expects `function` to raise OSError with one of the errno names in `wanted` ('EPERM EACCES')."""
    try:
        result = function(*arguments, **keywords)
    except OSError as error:
        name = errno.errorcode.get(error.errno, str(error.errno))
        if error.errno not in [getattr(errno, one) for one in wanted.split()]:
            raise AssertionError(f'{called(function, arguments)}: {name}, wanted {wanted}') from error
        return
    raise AssertionError(f'{called(function, arguments)}: succeeded ({short(result)}), wanted {wanted}')


def called(function, arguments):
    return f'{getattr(function, "__name__", function)}({", ".join(short(a) for a in arguments)})'


def put(path, data=b'', mode=0o644):
    """Creates or replaces the content of a file."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        view = memoryview(data)
        while len(view):
            view = view[os.write(fd, view):]
    finally:
        os.close(fd)


def get(path):
    with open(path, 'rb', buffering=0) as file:
        return file.readall()


def opened(path, flags=os.O_RDWR, mode=0o644):
    return os.open(path, flags, mode)


def exists(path):
    return os.path.lexists(path)


def pattern(size, seed=1):
    """Bytes that differ at every offset and for every seed."""
    block = bytearray()
    state = seed * 2654435761 % 4294967291 + 1
    while len(block) < min(size, 65537):  # 65537: prime, so that pages and chunks never repeat in phase
        state = state * 48271 % 2147483647
        block += state.to_bytes(4, 'little')
    block = bytes(block[:65537])
    return (block * (size // len(block) + 1))[:size] if size else b''


def tick():
    """Lets the coarsest clock that file systems stamp with (one jiffy, 10 ms at most) move on."""
    time.sleep(0.025)


def start(function, *arguments, user=None):
    """Runs `function` in another process; `finish` gives its result. `user`: (uid, gid, *groups) to run it as."""
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        outcome = (False, 'nothing reported')
        try:
            if user is not None:
                become(*user)
            outcome = (True, function(*arguments))
        except Skip as reason:
            outcome = (None, str(reason))
        except BaseException as error:  # noqa: B902 - everything is reported to the parent
            outcome = (False, describe(error))
        try:
            with os.fdopen(write_end, 'wb') as pipe:
                pickle.dump(outcome, pipe)
        finally:
            os._exit(0)
    os.close(write_end)
    return pid, read_end


def finish(process):
    pid, read_end = process
    with os.fdopen(read_end, 'rb') as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not data:
        raise AssertionError(f'the other process ended with status {status:#x} and reported nothing')
    good, value = pickle.loads(data)
    if good is None:
        raise Skip(value)
    if not good:
        raise AssertionError(f'in the other process: {value}')
    return value


def describe(error):
    """What went wrong, and the line of the check at which it did."""
    frames = traceback.extract_tb(error.__traceback__)
    here = next((frame for frame in reversed(frames) if not frame.filename.endswith(('kit.py', 'calls.py'))), None)
    at = f' ({os.path.basename(here.filename)}:{here.lineno})' if here else ''
    kind = '' if isinstance(error, AssertionError) else f'{type(error).__name__}: '
    return f'{kind}{error}{at}'


def elsewhere(function, *arguments):
    """The result of `function`, run in another process."""
    return finish(start(function, *arguments))


def as_user(user, function, *arguments):
    """The result of `function`, run in another process as `user` (uid, gid, *groups)."""
    return finish(start(function, *arguments, user=user))


def fails_as(user, wanted, function, *arguments, **keywords):
    as_user(user, lambda: fails(wanted, function, *arguments, **keywords))


def become(uid, gid, *groups):
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def all_of(count, function):
    """Runs function(0) ... function(count - 1) at the same time in a process each; their results in order."""
    processes = [start(function, i) for i in range(count)]
    return [finish(process) for process in processes]


def ends_by_signal(function, wanted):
    """Expects that `function`, run in another process, is ended by the signal `wanted`."""
    pid = os.fork()
    if pid == 0:
        if wanted != signal.SIGKILL:
            signal.signal(wanted, signal.SIG_DFL)
        try:
            function()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    true(os.WIFSIGNALED(status) and os.WTERMSIG(status) == wanted, f'status {status:#x}, wanted the signal {wanted}')


def mode_of(path, follow=True):
    return os.stat(path, follow_symlinks=follow).st_mode & 0o7777


def is_root():
    return os.geteuid() == 0
