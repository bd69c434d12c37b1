"""One plan of a job: what it will read next, announced as it becomes known."""

import os
import sys
import threading
import uuid
import warnings
from collections import deque

from ._channel import Channel

_warned = set()
_warned_lock = threading.Lock()
_PERCENT = {byte: b"%%%02X" % byte for byte in b"%\t\n"}
_ODD = frozenset(_PERCENT)


def warn_once(kind, text):
    """Says it the first time only: a job has thousands of steps."""
    with _warned_lock:
        if kind in _warned:
            return
        _warned.add(kind)
    try:
        warnings.warn("ml_overlay: " + text, RuntimeWarning, stacklevel=3)
    except Warning as warning:  # the job turns warnings into errors
        print(warning, file=sys.stderr)


class Plan:
    """Never raises because of the mount: what cannot be announced is not."""

    def __init__(self, name=None):
        """`name`: of letters, digits, "_", "." and "-"; it shows in `ml-overlay plan MOUNTPOINT --list`."""
        self._base = name or "python"
        self._name = None
        self._pid = None
        self._channel = None
        self._fresh = True
        self._off = False
        self._unsent = deque()

    @property
    def name(self):
        """Of this process: a fork announces under a name of its own."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._name = "%s-%d-%s" % (self._base[:40], self._pid, uuid.uuid4().hex[:8])
            self._fresh = True
        return self._name

    def restart(self):
        """What is added from now on replaces what was announced before."""
        self._fresh = True
        self._off = False
        self._unsent.clear()

    def add(self, items):
        """Announces more: paths, or (path, offset, length)."""
        if self._off:
            return
        try:
            self._add(items)
        except Exception as error:
            self._off = True
            warn_once("failed", "nothing is announced any more in this pass: %r" % (error,))

    def withdraw(self):
        """The rest will not be read."""
        try:
            if self._channel is not None and self._name is not None and not self._fresh:
                self._channel.send(b"#ml-overlay-withdraw 1 name=%s\n" % self._name.encode(), [])
        except Exception:
            pass  # it is forgotten by itself after a while
        self._unsent.clear()
        self._fresh = True

    def _add(self, items):
        for item in items:
            path, rest = _split(item)
            if self._channel is None:
                self._channel = Channel.of(path)
                if self._channel is None:
                    self._off = True
                    warn_once(
                        "elsewhere",
                        "%r is on no ml-overlay mount that can be announced to (mounted with a cache, over a slow source, "
                        "with .mlo for this user: see control-files); the job goes on without" % (path,),
                    )
                    return
            below = self._channel.below(path)
            if below is not None:
                self._unsent.append(_quoted(below) + rest + b"\n")
        if self._unsent:
            self._send()

    def _send(self):
        name = self.name.encode()
        mode = b"replace" if self._fresh else b"append"
        if self._fresh:
            # Made first, by itself: each message of the lines then goes on with it.
            self._channel.send(b"#ml-overlay-plan 1 name=%s mode=%s\n" % (name, mode), [])
            self._fresh = False
        lines = list(self._unsent)
        header = b"#ml-overlay-plan 1 name=%s mode=append encoding=percent\n" % name
        for _ in range(self._channel.send(header, lines)):
            self._unsent.popleft()


def _split(item):
    if isinstance(item, (tuple, list)):
        if len(item) == 3:
            path, offset, length = item
            return path, b"\t%d\t%d" % (offset, length)
        return item[0], b""  # as in ImageFolder.samples: a path and its class
    return item, b""


def _quoted(path):
    if _ODD.isdisjoint(path):
        return path if not path.startswith(b"#") else b"./" + path
    return b"".join(_PERCENT.get(byte, bytes((byte,))) for byte in path)
