"""Lookup, creation and removal of names: files, directories, special files, symbolic links."""
import os
import socket
import stat

from . import calls
from .kit import Skip, check, elsewhere, equal, exists, fails, finish, get, mode_of, put, same_bytes, start, true


# S4.1
@check
def a_missing_name_is_ENOENT():
    fails('ENOENT', os.stat, 'missing')
    fails('ENOENT', os.open, 'missing', os.O_RDONLY)
    fails('ENOENT', os.unlink, 'missing')
    fails('ENOENT', os.rmdir, 'missing')
    fails('ENOENT', os.stat, 'missing/below')
    fails('ENOENT', os.stat, '')


# S4.1
@check
def a_file_used_as_a_directory_is_ENOTDIR():
    put('file')
    fails('ENOTDIR', os.stat, 'file/below')
    fails('ENOTDIR', os.stat, 'file/')
    fails('ENOTDIR', os.mkdir, 'file/below')
    fails('ENOTDIR', os.scandir, 'file')
    fails('ENOTDIR', os.open, 'file', os.O_RDONLY | os.O_DIRECTORY)
    fails('ENOTDIR', os.rmdir, 'file')


# S2.8, S2.10
@check
def a_name_looked_up_in_vain_appears_when_another_process_creates_it():
    for i in range(20):
        name = f'late{i}'
        true(not exists(name), 'exists too early')
        elsewhere(put, name, b'x')
        equal(os.stat(name).st_size, 1, 'size')
        elsewhere(os.unlink, name)
        true(not exists(name), f'{name} still exists')


@check
def a_new_file_is_empty_also_where_a_larger_one_was():
    put('file', b'x' * 100_000)
    os.unlink('file')
    put('file')
    equal(os.stat('file').st_size, 0, 'size')
    equal(get('file'), b'', 'content')


@check
def dots_lead_to_the_directory_and_its_parent():
    os.makedirs('a/b')
    equal(os.stat('a/b/..').st_ino, os.stat('a').st_ino, 'a/b/..')
    equal(os.stat('a/.').st_ino, os.stat('a').st_ino, 'a/.')
    equal(os.stat('a/b/../../a/b').st_ino, os.stat('a/b').st_ino, 'a/b/../../a/b')


# S4.8
@check
def names_of_255_bytes_work_and_256_are_ENAMETOOLONG():
    longest = 'n' * 255
    put(longest, b'long')
    equal(get(longest), b'long', 'content')
    equal(os.listdir(), [longest], 'listing')
    os.rename(longest, 'm' * 255)
    os.unlink('m' * 255)
    too_long = 'n' * 256
    for function in (os.stat, os.mkdir, os.unlink, os.rmdir, lambda name: os.symlink('x', name), os.mkfifo):
        fails('ENAMETOOLONG', function, too_long)
    fails('ENAMETOOLONG', os.open, too_long, os.O_CREAT | os.O_WRONLY)
    put('short')
    fails('ENAMETOOLONG', os.rename, 'short', too_long)
    fails('ENAMETOOLONG', os.link, 'short', too_long)


# S4.8
@check
def names_that_are_not_UTF_8_are_kept_byte_for_byte():
    names = sorted([b'\xff\xfe', b'caf\xe9', b'\xc3\x28', b'\x80', bytes(range(0x80, 0x100)), 'größe'.encode()])
    for name in names:
        put(name, name)
    equal(sorted(os.listdir(b'.')), names, 'listing')
    for name in names:
        equal(get(name), name, 'content')
        os.rename(name, name + b'2')
        equal(os.stat(name + b'2').st_size, len(name), 'size')
        os.symlink(name, b'link')
        equal(os.readlink(b'link'), name, 'target')
        os.unlink(b'link')


# S4.8
@check
def names_may_hold_any_byte_but_slash_and_NUL():
    names = sorted([b'\n', b'a\tb', b' ', b'...', b'\\', b'*?[', b'-rf', b'"\'', b'\x01\x7f', b'a:b', b'con'])
    for name in names:
        os.mkdir(name)
    equal(sorted(os.listdir(b'.')), names, 'listing')
    for name in names:
        os.rmdir(name)


@check
def names_that_differ_in_case_or_normalisation_are_different_files():
    names = ['name', 'NAME', 'Name', '\u00e9', 'e\u0301']
    for i, name in enumerate(names):
        put(name, str(i).encode())
    for i, name in enumerate(names):
        equal(get(name), str(i).encode(), name)
    equal(len(os.listdir()), len(names), 'entries')


@check
def a_tree_of_200_levels_can_be_made_walked_and_removed():
    path = '.'
    for level in range(200):
        path += f'/level{level}'
        os.mkdir(path)
    put(f'{path}/leaf', b'deep')
    equal(get(f'{path}/leaf'), b'deep', 'content')
    equal(sum(len(files) for _, _, files in os.walk('.')), 1, 'files in the walk')
    os.rename('level0', 'renamed')
    equal(get(f'{path}/leaf'.replace('./level0', 'renamed')), b'deep', 'content after a rename at the top')


@check
def a_tree_deeper_than_PATH_MAX_is_reached_step_by_step():
    name = 'd' * 250
    for _ in range(20):  # 5,000 bytes
        os.mkdir(name)
        os.chdir(name)
    put('leaf', b'deep')
    equal(get('leaf'), b'deep', 'content')
    os.rename('leaf', 'moved')
    equal(os.stat('moved').st_size, 4, 'size')
    equal(os.listdir(), ['moved'], 'listing')
    os.mkdir('sub')
    os.rmdir('sub')
    os.link('moved', 'linked')
    os.chmod('linked', 0o600)
    equal(mode_of('moved'), 0o600, 'mode')
    os.unlink('linked')
    os.unlink('moved')
    for _ in range(20):
        os.chdir('..')
        os.rmdir(name)


# S4.1
@check
def mkdir_obeys_mode_and_umask_and_counts_in_its_parent():
    before = os.stat('.').st_nlink
    os.umask(0o027)
    os.mkdir('dir', 0o777)
    equal(mode_of('dir') & 0o777, 0o750, 'mode')
    equal(stat.S_IFMT(os.stat('dir').st_mode), stat.S_IFDIR, 'type')
    fails('EEXIST', os.mkdir, 'dir')
    if before == 1:
        raise Skip('this file system does not count subdirectories (mode and umask are right)')
    equal(os.stat('.').st_nlink, before + 1, 'links of the parent')
    equal(os.stat('dir').st_nlink, 2, 'links of the new directory')
    os.mkdir('dir/sub')
    equal(os.stat('dir').st_nlink, 3, 'links of a directory with one subdirectory')
    os.rmdir('dir/sub')
    equal(os.stat('dir').st_nlink, 2, 'links after rmdir')


# S4.1
@check
def rmdir_takes_only_an_empty_directory():
    os.makedirs('dir/sub')
    fails('ENOTEMPTY EEXIST', os.rmdir, 'dir')
    fails('EINVAL', os.rmdir, 'dir/.')
    fails('ENOTEMPTY EEXIST', os.rmdir, 'dir/sub/..')
    os.rmdir('dir/sub')
    os.rmdir('dir')
    fails('ENOENT', os.stat, 'dir')


# S4.1
@check
def unlink_refuses_directories():
    os.mkdir('dir')
    fails('EISDIR EPERM', os.unlink, 'dir')
    fails('EISDIR', os.open, 'dir', os.O_RDWR)
    fails('EISDIR', os.open, 'dir', os.O_CREAT | os.O_WRONLY)


# S4.4
@check
def an_unlinked_file_lives_while_it_is_open():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'before')
    os.unlink('file')
    fails('ENOENT', os.stat, 'file')
    equal(os.fstat(fd).st_nlink, 0, 'links')
    os.write(fd, b' after')
    same_bytes(os.pread(fd, 100, 0), b'before after')
    os.ftruncate(fd, 3)
    equal(os.fstat(fd).st_size, 3, 'size')
    put('file', b'another')
    same_bytes(os.pread(fd, 100, 0), b'bef', 'the unlinked file')
    same_bytes(get('file'), b'another', 'its successor')
    os.close(fd)


@check
def an_unlinked_file_can_be_reopened_through_proc():
    fd = os.open('file', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'content')
    os.unlink('file')
    again = os.open(f'/proc/self/fd/{fd}', os.O_RDONLY)
    same_bytes(os.read(again, 100), b'content')
    os.write(fd, b' and more')
    same_bytes(os.pread(again, 100, 0), b'content and more')
    os.close(again)
    os.close(fd)


@check
def no_leftovers_stay_after_an_open_file_was_unlinked():
    descriptors = []
    os.mkdir('dir')
    for i in range(20):
        descriptors.append(os.open(f'dir/{i}', os.O_CREAT | os.O_RDWR))
        os.unlink(f'dir/{i}')
    equal(os.listdir('dir'), [], 'listing')
    os.rmdir('dir')  # a hidden ".fuse_hidden" or ".nfs" file would make this ENOTEMPTY
    for fd in descriptors:
        os.write(fd, b'x')
        os.close(fd)


# S4.1, S4.9
@check
def a_symbolic_link_says_its_target_and_is_followed():
    put('file', b'content')
    os.symlink('file', 'link')
    equal(os.readlink('link'), 'file', 'target')
    equal(get('link'), b'content', 'content')
    equal(os.lstat('link').st_size, 4, 'size of the link')
    true(stat.S_ISLNK(os.lstat('link').st_mode), 'lstat: not a link')
    equal(os.stat('link').st_ino, os.stat('file').st_ino, 'inode behind the link')
    fails('EEXIST', os.symlink, 'x', 'link')
    fails('EINVAL', os.readlink, 'file')
    os.unlink('link')
    equal(get('file'), b'content', 'content after the link was removed')


# S4.9
@check
def symbolic_link_targets_up_to_4095_bytes_come_back_whole():
    for size in (1, 59, 60, 61, 255, 256, 1023, 1024, 2048, 4000, 4094, 4095):
        target = ('t' * 99 + '/') * 50
        target = target[:size]
        try:
            os.symlink(target, f'link{size}')
        except OSError:
            if size <= 1023:
                raise
            continue  # how long is for the file system to say
        equal(os.readlink(f'link{size}'), target, f'target of {size} bytes')
        equal(os.lstat(f'link{size}').st_size, size, 'size')
    fails('ENAMETOOLONG', os.symlink, 't' * 4096, 'too-long')


@check
def dangling_and_circular_links_are_errors_of_their_own():
    os.symlink('nowhere', 'dangling')
    fails('ENOENT', os.stat, 'dangling')
    put('dangling', b'x')
    equal(get('nowhere'), b'x', 'a file created through a dangling link')
    os.symlink('b', 'a')
    os.symlink('a', 'b')
    fails('ELOOP', os.stat, 'a')
    fails('ELOOP', os.open, 'a', os.O_RDONLY)
    os.symlink('x', 'plain')
    fails('ELOOP', os.open, 'plain', os.O_RDONLY | os.O_NOFOLLOW)
    fails('EEXIST', os.open, 'plain', os.O_CREAT | os.O_EXCL | os.O_WRONLY)


@check
def a_replaced_symbolic_link_leads_to_its_new_target_at_once():
    put('one', b'1')
    put('two', b'2')
    os.symlink('one', 'link')
    for i in range(20):
        target = ('two', 'one')[i % 2]
        os.symlink(target, 'fresh')
        os.rename('fresh', 'link')
        equal(os.readlink('link'), target, 'target')
        equal(get('link'), b'21'[i % 2:][:1], 'content')


@check
def a_link_to_a_directory_is_followed_in_the_middle_of_a_path():
    os.makedirs('real/sub')
    os.symlink('real', 'link')
    put('link/sub/file', b'x')
    equal(get('real/sub/file'), b'x', 'content')
    os.symlink('../real/sub', 'real/up')
    equal(get('link/up/file'), b'x', 'content by way of two links')
    fails('ENOTDIR', os.rmdir, 'link')


# S4.1
@check
def mknod_makes_fifos_sockets_and_plain_files():
    os.umask(0o022)
    os.mkfifo('fifo', 0o666)
    true(stat.S_ISFIFO(os.stat('fifo').st_mode), 'not a fifo')
    equal(mode_of('fifo'), 0o644, 'mode of the fifo')
    os.mknod('plain', stat.S_IFREG | 0o600)
    true(stat.S_ISREG(os.stat('plain').st_mode), 'not a plain file')
    os.mknod('socket', stat.S_IFSOCK | 0o600)
    true(stat.S_ISSOCK(os.stat('socket').st_mode), 'not a socket')
    fails('EEXIST', os.mkfifo, 'fifo')
    for name in ('fifo', 'plain', 'socket'):
        os.unlink(name)


@check(root=True)
def mknod_makes_devices_with_their_numbers():
    devices = (('c', stat.S_IFCHR, 1, 3), ('b', stat.S_IFBLK, 259, 70000), ('big', stat.S_IFCHR, 4000, 1))
    for name, kind, major, minor in devices:
        os.mknod(name, kind | 0o600, os.makedev(major, minor))
        found = os.stat(name)
        equal(stat.S_IFMT(found.st_mode), kind, 'type')
        equal((os.major(found.st_rdev), os.minor(found.st_rdev)), (major, minor), 'device')


@check
def a_bound_unix_socket_can_be_connected_to():
    server = socket.socket(socket.AF_UNIX)
    server.bind('sock')
    server.listen(1)
    true(stat.S_ISSOCK(os.stat('sock').st_mode), 'not a socket')

    def client():
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect('sock')
            connection.sendall(b'hello')
            return connection.recv(10)

    process = start(client)
    connection, _ = server.accept()
    equal(connection.recv(10), b'hello', 'received')
    connection.sendall(b'world')
    equal(finish(process), b'world', 'answer')
    os.unlink('sock')


# S5.1
@check
def statx_and_stat_agree_on_every_name():
    put('file', b'12345')
    os.mkdir('dir')
    os.symlink('file', 'link')
    for name in ('file', 'dir', 'link', '.'):
        plain, extended = os.lstat(name), calls.Statx(name)
        for field in ('ino', 'mode', 'nlink', 'uid', 'gid', 'size', 'blocks'):
            equal(getattr(extended, field), getattr(plain, f'st_{field}'), f'{field} of {name}')
        equal(extended.mtime, plain.st_mtime_ns, f'mtime of {name}')
        equal(extended.ctime, plain.st_ctime_ns, f'ctime of {name}')
