"""Extended attributes."""
import os

from . import calls
from .kit import Skip, check, equal, fails, get, is_root, mode_of, pattern, put, same_bytes, true

SUPPORTED_BY_ALL = 2000  # ext4 keeps the attributes of a file in one block


def attributes_supported(path):
    try:
        os.setxattr(path, 'user.probe', b'x')
        os.removexattr(path, 'user.probe')
    except OSError as error:
        raise Skip(f'no user attributes here: {error.strerror}') from error


def made(directory=False):
    if directory:
        os.mkdir('it')
    else:
        put('it')
    attributes_supported('it')
    return 'it'


# S5.4
@check
def attributes_are_set_read_listed_and_removed_on_files_and_directories():
    for directory in (False, True):
        name = made(directory)
        values = {'user.a': b'1', 'user.binary': bytes(range(256)), 'user.empty': b'', 'user.größe': b'utf-8'}
        for key, value in values.items():
            os.setxattr(name, key, value)
        equal(sorted(listed(name)), sorted(values), 'names')
        for key, value in values.items():
            same_bytes(os.getxattr(name, key), value, key)
        os.removexattr(name, 'user.a')
        fails('ENODATA', os.getxattr, name, 'user.a')
        fails('ENODATA', os.removexattr, name, 'user.a')
        equal(sorted(listed(name)), sorted(set(values) - {'user.a'}), 'names after removal')
        os.rmdir(name) if directory else os.unlink(name)


def listed(name, **options):
    return [key for key in os.listxattr(name, **options) if key.startswith(('user.', 'trusted.'))]


@check
def attributes_work_through_descriptors_and_links():
    name = made()
    os.symlink(name, 'link')
    fd = os.open(name, os.O_RDWR)
    os.setxattr(fd, 'user.a', b'by descriptor')
    same_bytes(os.getxattr('link', 'user.a'), b'by descriptor')
    os.setxattr('link', 'user.a', b'by link')
    same_bytes(os.getxattr(fd, 'user.a'), b'by link')
    os.unlink(name)
    same_bytes(os.getxattr(fd, 'user.a'), b'by link', 'after unlink')
    os.setxattr(fd, 'user.b', b'after unlink')
    equal(sorted(key for key in os.listxattr(fd) if key.startswith('user.')), ['user.a', 'user.b'], 'names')
    os.removexattr(fd, 'user.a')
    fails('ENODATA', os.getxattr, fd, 'user.a')
    os.close(fd)


# S5.4
@check
def XATTR_CREATE_and_XATTR_REPLACE_insist():
    name = made()
    fails('ENODATA', os.setxattr, name, 'user.a', b'1', os.XATTR_REPLACE)
    os.setxattr(name, 'user.a', b'1', os.XATTR_CREATE)
    fails('EEXIST', os.setxattr, name, 'user.a', b'2', os.XATTR_CREATE)
    same_bytes(os.getxattr(name, 'user.a'), b'1')
    os.setxattr(name, 'user.a', b'longer than before', os.XATTR_REPLACE)
    same_bytes(os.getxattr(name, 'user.a'), b'longer than before')
    os.setxattr(name, 'user.a', b'3')
    same_bytes(os.getxattr(name, 'user.a'), b'3')


# S5.4
@check
def sizes_can_be_asked_for_and_short_buffers_are_ERANGE():
    name = made()
    os.setxattr(name, 'user.a', b'x' * 100)
    equal(calls.xattr_into(name, 'user.a', 0), 100, 'size asked for')
    equal(calls.xattr_into(name, 'user.a', 100), 100, 'exact buffer')
    equal(calls.xattr_into(name, 'user.a', 200), 100, 'larger buffer')
    fails('ERANGE', calls.xattr_into, name, 'user.a', 99)
    size = calls.xattrs_into(name, 0)
    true(size >= len('user.a') + 1, f'the list has {size} bytes')
    equal(calls.xattrs_into(name, size), size, 'exact buffer for the list')
    fails('ERANGE', calls.xattrs_into, name, size - 1)
    os.setxattr(name, 'user.empty', b'')
    equal(calls.xattr_into(name, 'user.empty', 0), 0, 'size of an empty value')


# S5.4
@check
def values_of_many_sizes_come_back_whole_up_to_64_KiB():
    name = made()
    for size in (1, 255, 256, 1000, SUPPORTED_BY_ALL, 4096, 20_000, 65_535, 65_536):
        value = pattern(size, size)
        try:
            os.setxattr(name, 'user.big', value)
        except OSError:
            if size <= SUPPORTED_BY_ALL:
                raise
            continue  # the file system's own limit: ENOSPC, ERANGE, E2BIG, ENOTSUP ... are all in use
        same_bytes(os.getxattr(name, 'user.big'), value, f'{size} bytes')
    fails('E2BIG', os.setxattr, name, 'user.big', b'x' * 65_537)


@check
def names_are_limited_to_255_bytes():
    name = made()
    longest = 'user.' + 'n' * 250
    os.setxattr(name, longest, b'x')
    equal(listed(name), [longest], 'names')
    same_bytes(os.getxattr(name, longest), b'x')
    fails('ERANGE ENAMETOOLONG', os.setxattr, name, longest + 'n', b'x')
    fails('ERANGE ENAMETOOLONG', os.getxattr, name, longest + 'n')
    fails('EOPNOTSUPP', os.setxattr, name, 'nonsense.a', b'x')
    fails('ENOENT', os.getxattr, 'missing', 'user.a')


@check
def many_attributes_are_all_listed():
    name = made()
    for i in range(50):
        os.setxattr(name, f'user.number{i}', str(i).encode())
    equal(len(listed(name)), 50, 'names')
    for i in range(50):
        equal(os.getxattr(name, f'user.number{i}'), str(i).encode(), 'value')


@check
def user_attributes_of_symbolic_links_and_fifos_are_refused():
    made()
    os.symlink('it', 'link')
    fails('EPERM', os.setxattr, 'link', 'user.a', b'x', follow_symlinks=False)
    os.mkfifo('fifo')
    fails('EPERM', os.setxattr, 'fifo', 'user.a', b'x')


@check(root=True)
def trusted_attributes_are_for_root_also_on_symbolic_links():
    made()
    os.symlink('nowhere', 'link')
    for name in ('it', 'link'):
        try:
            os.setxattr(name, 'trusted.a', b'secret', follow_symlinks=False)
        except PermissionError as error:
            raise Skip(f'trusted attributes are refused: {error.strerror}') from error
        same_bytes(os.getxattr(name, 'trusted.a', follow_symlinks=False), b'secret', name)
        equal(listed(name, follow_symlinks=False), ['trusted.a'], f'names of {name}')
        os.removexattr(name, 'trusted.a', follow_symlinks=False)
        fails('ENODATA', os.getxattr, name, 'trusted.a', follow_symlinks=False)


@check
def trusted_attributes_are_refused_to_ordinary_users():
    made()
    if is_root():
        raise Skip('runs as root')
    fails('EPERM', os.setxattr, 'it', 'trusted.a', b'x')
    fails('ENODATA', os.getxattr, 'it', 'trusted.a')


# S6.4
@check(root=True)
def file_capabilities_are_kept_and_dropped_by_a_write():
    put('it', b'x', 0o755)
    value = bytes.fromhex('0000000200040000000000000000000000000000')  # cap_net_bind_service, permitted
    os.setxattr('it', 'security.capability', value)
    same_bytes(os.getxattr('it', 'security.capability'), value)
    with open('it', 'ab', buffering=0) as file:
        file.write(b'y')
    fails('ENODATA', os.getxattr, 'it', 'security.capability')


@check
def attributes_follow_rename_and_hard_links():
    name = made()
    os.setxattr(name, 'user.a', b'1')
    os.link(name, 'twin')
    os.rename(name, 'moved')
    same_bytes(os.getxattr('moved', 'user.a'), b'1')
    os.setxattr('twin', 'user.a', b'2')
    same_bytes(os.getxattr('moved', 'user.a'), b'2')
    put('fresh')
    os.rename('fresh', 'moved')
    fails('ENODATA', os.getxattr, 'moved', 'user.a')
    same_bytes(os.getxattr('twin', 'user.a'), b'2')


@check
def attributes_leave_content_mode_and_mtime_alone():
    put('it', b'content', 0o640)
    attributes_supported('it')
    before = os.stat('it').st_mtime_ns
    os.setxattr('it', 'user.a', b'x' * 500)
    equal(get('it'), b'content', 'content')
    equal((mode_of('it'), os.stat('it').st_mtime_ns), (0o640, before), 'mode and mtime')


@check
def reading_and_writing_attributes_needs_the_permissions_of_the_file():
    name = made()
    os.setxattr(name, 'user.a', b'1')
    if is_root():
        raise Skip('root may do everything')
    os.chmod(name, 0o444)
    fails('EACCES', os.setxattr, name, 'user.a', b'2')
    os.chmod(name, 0o222)
    fails('EACCES', os.getxattr, name, 'user.a')
    os.chmod(name, 0o644)
