"""A read-only mount refuses every change with EROFS. Works on whatever files are there already."""
import os

from .kit import Skip, check, fails, get


def some_file():
    for at, _, names in os.walk('.'):
        for name in names:
            path = os.path.join(at, name)
            if os.path.isfile(path) and not os.path.islink(path):
                return path
    raise Skip('no file here to try')


# S3.8
@check(readonly=True)
def nothing_can_be_created():
    for function, *arguments in (
        (os.mkdir, 'new'), (os.mkfifo, 'new'), (os.symlink, 'x', 'new'), (os.open, 'new', os.O_CREAT | os.O_WRONLY),
        (os.link, some_file(), 'new'), (os.rename, some_file(), 'new'),
    ):
        fails('EROFS', function, *arguments)


# S3.8
@check(readonly=True)
def nothing_can_be_removed():
    fails('EROFS', os.unlink, some_file())


# S3.8
@check(readonly=True)
def files_open_for_reading_only():
    path = some_file()
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        fails('EROFS', os.open, path, flags)
    get(path)
    fails('EROFS', os.truncate, path, 0)


# S3.8
@check(readonly=True)
def no_attribute_can_be_set():
    path = some_file()
    fails('EROFS', os.chmod, path, 0o600)
    fails('EROFS', os.chown, path, os.getuid(), os.getgid())
    fails('EROFS', os.utime, path)
    fails('EROFS', os.setxattr, path, 'user.a', b'x')
    fails('EROFS', os.chmod, '.', 0o700)


@check(readonly=True)
def access_denies_writing_and_statfs_says_why():
    path = some_file()
    if os.access(path, os.W_OK):
        raise AssertionError('access says that the file may be written')
    if not os.statvfs('.').f_flag & os.ST_RDONLY:
        raise AssertionError('statfs does not say that the file system is read-only')
