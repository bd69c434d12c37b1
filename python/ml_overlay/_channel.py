"""The way to the plans of a mount: messages to its `.mlo/plan` (docs/PLAN.md)."""

import errno
import fcntl
import os

# _IOW('M', 0x10, char[N]): works where the mount is read-only, too, and nobody may open a file for writing.
_COMMAND = 0x40004D10
# N has 14 bits.
_MESSAGE_MOST = 16000
# Directories whose place is remembered.
_DIRECTORIES_MOST = 65536


class Channel:
    """Where the plans of one mount are announced."""

    def __init__(self, root):
        self._root = root
        self._file = os.path.join(root, b".mlo", b"plan")
        # By directory as it is named: where it is below the root, with a slash at the end; None: elsewhere.
        self._below = {}

    @classmethod
    def of(cls, path):
        """The channel of the mount that a path lies on; None: it is no mount of ours, or nobody may announce to it."""
        at = os.path.realpath(os.path.dirname(os.path.abspath(os.fsencode(path))))
        device = os.stat(at).st_dev
        while at != b"/":
            above = os.path.dirname(at)
            if os.stat(above).st_dev != device:
                break
            at = above
        channel = cls(at)
        return channel if os.access(channel._file, os.R_OK) else None

    def below(self, path):
        """A path as the mount names it, as bytes; None: it lies elsewhere."""
        directory, name = os.path.split(os.fsencode(path))
        try:
            prefix = self._below[directory]
        except KeyError:
            prefix = self._prefix(directory)
            if len(self._below) >= _DIRECTORIES_MOST:
                self._below.clear()
            self._below[directory] = prefix
        return None if prefix is None or not name else prefix + name

    def _prefix(self, directory):
        real = os.path.realpath(directory or b".")
        if real == self._root:
            return b""
        root = self._root.rstrip(b"/") + b"/"
        return real[len(root):] + b"/" if real.startswith(root) else None

    def send(self, header, lines):
        """Sends lines (each with its end); how many were taken: fewer when the mount has no room for more. Raises OSError."""
        file = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)  # open() would ask for its size as well
        try:
            return self._messages(file, header, lines)
        finally:
            os.close(file)

    def _messages(self, file, header, lines):
        taken = 0
        while taken < len(lines) or (taken == 0 and not lines):
            message = bytearray(header)
            end = taken
            while end < len(lines) and len(message) + len(lines[end]) <= _MESSAGE_MOST:
                message += lines[end]
                end += 1
            if end == taken and lines:
                taken += 1  # a line that fits no message names nothing that could be read
                continue
            count = self._message(file, message)
            if count == len(message):
                taken = end
                if not lines:
                    break
                continue
            count -= len(header)
            while count > 0:
                count -= len(lines[taken])
                taken += 1
            break
        return taken

    @staticmethod
    def _message(file, message):
        try:
            return fcntl.ioctl(file, _COMMAND | len(message) << 16, message, True)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return 0
            raise
