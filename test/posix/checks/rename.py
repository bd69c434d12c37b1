"""rename and renameat2."""
import mmap
import os

from .calls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2
from .kit import check, elsewhere, equal, exists, fails, finish, get, pattern, put, same_bytes, start, true


# S4.1
@check
def a_renamed_file_is_found_under_its_new_name_only():
    put('old', b'content')
    ino = os.stat('old').st_ino
    os.rename('old', 'new')
    fails('ENOENT', os.stat, 'old')
    equal(os.stat('new').st_ino, ino, 'inode')
    equal(get('new'), b'content', 'content')
    fails('ENOENT', os.rename, 'old', 'newer')


# S2.1, S4.1
@check
def renaming_over_a_file_replaces_it():
    put('old', b'new content')
    put('target', b'x' * 5000)
    get('target')
    os.rename('old', 'target')
    same_bytes(get('target'), b'new content')
    equal(os.stat('target').st_size, 11, 'size')
    equal(os.listdir(), ['target'], 'listing')


# S2.5, S2.6
@check
def a_replaced_file_keeps_its_bytes_for_who_has_it_open():
    old = pattern(300_000, 1)
    new = pattern(200_000, 2)
    put('target', old)
    fd = os.open('target', os.O_RDONLY)
    same_bytes(os.pread(fd, 1000, 0), old[:1000])
    mapped = mmap.mmap(fd, len(old), prot=mmap.PROT_READ)
    put('fresh', new)
    os.rename('fresh', 'target')
    equal(os.fstat(fd).st_nlink, 0, 'links of the replaced file')
    equal(os.fstat(fd).st_size, len(old), 'size of the replaced file')
    same_bytes(os.pread(fd, len(old), 0), old, 'the replaced file')
    same_bytes(mapped[:], old, 'the mapping of the replaced file')
    same_bytes(get('target'), new, 'the new file')
    again = os.open('target', os.O_RDONLY)
    same_bytes(os.pread(again, len(old), 0), new, 'the new file beside the old one')
    same_bytes(os.pread(fd, len(old), 0), old, 'the replaced file beside the new one')
    os.close(again)
    os.close(fd)


@check
def a_replaced_file_still_takes_writes_from_who_has_it_open():
    put('target', b'old')
    fd = os.open('target', os.O_RDWR)
    put('fresh', b'new')
    os.rename('fresh', 'target')
    os.pwrite(fd, b'OLD and changed', 0)
    same_bytes(os.pread(fd, 100, 0), b'OLD and changed')
    same_bytes(get('target'), b'new', 'the new file')
    os.close(fd)


@check
def writes_follow_an_open_file_to_its_new_name():
    os.mkdir('dir')
    fd = os.open('old', os.O_CREAT | os.O_RDWR)
    os.write(fd, b'one ')
    os.rename('old', 'dir/new')
    os.write(fd, b'two ')
    os.fsync(fd)
    same_bytes(get('dir/new'), b'one two ')
    os.rename('dir', 'dir2')
    os.write(fd, b'three')
    same_bytes(get('dir2/new'), b'one two three')
    os.ftruncate(fd, 3)
    equal(os.stat('dir2/new').st_size, 3, 'size')
    os.close(fd)


@check
def a_directory_may_replace_an_empty_one_only():
    os.makedirs('dir/sub')
    os.mkdir('empty')
    os.makedirs('full/sub')
    fails('ENOTEMPTY EEXIST', os.rename, 'dir', 'full')
    os.rename('dir', 'empty')
    equal(os.listdir('empty'), ['sub'], 'listing')
    fails('ENOENT', os.stat, 'dir')


# S4.1
@check
def files_and_directories_do_not_replace_each_other():
    put('file')
    os.mkdir('dir')
    fails('EISDIR', os.rename, 'file', 'dir')
    fails('ENOTDIR', os.rename, 'dir', 'file')
    fails('ENOTDIR', os.rename, 'file', 'file/below')
    fails('ENOTDIR', os.rename, 'file', 'new/')


@check
def a_directory_cannot_be_moved_into_itself():
    os.makedirs('a/b/c')
    fails('EINVAL', os.rename, 'a', 'a/b/c/a')
    fails('EINVAL', os.rename, 'a', 'a/x')
    fails('ENOTEMPTY EEXIST', os.rename, 'a/b', 'a')
    fails('EINVAL EBUSY', os.rename, 'a/.', 'x')


# S4.2
@check
def NOREPLACE_spares_what_exists():
    put('old', b'old')
    put('taken', b'taken')
    os.mkdir('dir')
    fails('EEXIST', renameat2, 'old', 'taken', RENAME_NOREPLACE)
    fails('EEXIST', renameat2, 'old', 'dir', RENAME_NOREPLACE)
    renameat2('old', 'free', RENAME_NOREPLACE)
    equal(get('free'), b'old', 'content')
    equal(get('taken'), b'taken', 'content')
    fails('EINVAL', renameat2, 'free', 'taken', RENAME_NOREPLACE | RENAME_EXCHANGE)


# S4.2
@check
def EXCHANGE_swaps_two_names():
    put('one', b'1')
    put('two', b'22')
    os.mkdir('sub')
    put('sub/inner', b'333')
    renameat2('one', 'two', RENAME_EXCHANGE)
    equal((get('one'), get('two')), (b'22', b'1'), 'contents')
    renameat2('one', 'sub', RENAME_EXCHANGE)  # a file with a directory
    equal(get('one/inner'), b'333', 'content below the moved directory')
    equal(get('sub'), b'22', 'content of the moved file')
    renameat2('one/inner', 'two', RENAME_EXCHANGE)  # across directories
    equal((get('one/inner'), get('two')), (b'1', b'333'), 'contents')
    fails('ENOENT', renameat2, 'two', 'missing', RENAME_EXCHANGE)
    fails('EINVAL', renameat2, 'one', 'one/inner', RENAME_EXCHANGE)


@check
def a_directory_moved_across_directories_is_counted_by_its_new_parent():
    os.mkdir('from')
    os.mkdir('to')
    os.mkdir('from/dir')
    links = os.stat('from').st_nlink
    os.rename('from/dir', 'to/dir')
    equal(os.stat('to/dir/..').st_ino, os.stat('to').st_ino, 'the parent of the moved directory')
    if links != 1:
        equal((os.stat('from').st_nlink, os.stat('to').st_nlink), (2, 3), 'links of the parents')


@check
def a_renamed_directory_keeps_its_children():
    os.makedirs('dir/sub')
    put('dir/sub/file', b'content')
    os.stat('dir/sub/file')
    os.rename('dir', 'moved')
    fails('ENOENT', os.stat, 'dir/sub/file')
    equal(get('moved/sub/file'), b'content', 'content')
    os.mkdir('dir')
    fails('ENOENT', os.stat, 'dir/sub')
    put('dir/other', b'x')
    equal(sorted(os.listdir('moved')), ['sub'], 'listing of the moved directory')


@check
def a_directory_with_open_handles_can_be_renamed():
    os.makedirs('dir/sub')
    put('dir/sub/file', b'content')
    directory = os.open('dir/sub', os.O_RDONLY | os.O_DIRECTORY)
    fd = os.open('dir/sub/file', os.O_RDWR)
    os.mkdir('elsewhere')
    os.rename('dir', 'elsewhere/moved')
    equal(os.listdir(directory), ['file'], 'listing through the open directory')
    again = os.open('file', os.O_RDONLY, dir_fd=directory)
    same_bytes(os.read(again, 100), b'content')
    os.pwrite(fd, b'C', 0)
    same_bytes(get('elsewhere/moved/sub/file'), b'Content')
    made = os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=directory)
    true(exists('elsewhere/moved/sub/new'), 'a file created through the open directory is not where it moved to')
    for one in (directory, fd, again, made):
        os.close(one)


@check
def a_working_directory_can_be_renamed():
    os.makedirs('a/b')
    top = os.getcwd()
    os.chdir('a/b')
    os.rename(f'{top}/a', f'{top}/moved')
    put('file', b'x')
    equal(get(f'{top}/moved/b/file'), b'x', 'content')
    equal(os.getcwd(), f'{top}/moved/b', 'working directory')
    os.chdir('../..')
    equal(os.getcwd(), top, 'two levels up')


@check
def renaming_one_name_of_a_file_over_another_does_nothing():
    put('one', b'x')
    os.link('one', 'two')
    os.rename('one', 'two')
    equal(sorted(os.listdir()), ['one', 'two'], 'listing')
    os.rename('one', 'one')
    equal(get('one'), b'x', 'content')


@check
def a_renamed_symbolic_link_keeps_its_target():
    put('file', b'x')
    os.symlink('file', 'link')
    os.rename('link', 'moved')
    equal(os.readlink('moved'), 'file', 'target')
    os.rename('moved', 'file')
    fails('ELOOP', os.stat, 'file')


@check
def a_name_freed_by_rename_can_be_taken_again():
    for i in range(50):
        put('name', str(i).encode())
        os.rename('name', f'kept{i}')
    for i in range(50):
        equal(get(f'kept{i}'), str(i).encode(), 'content')
    fails('ENOENT', os.stat, 'name')


@check
def rename_works_between_names_seen_by_different_processes():
    os.mkdir('dir')
    put('dir/file', b'1')
    elsewhere(os.rename, 'dir/file', 'file')
    fails('ENOENT', os.stat, 'dir/file')
    equal(get('file'), b'1', 'content')
    elsewhere(os.rename, 'dir', 'dir2')
    fails('ENOENT', os.listdir, 'dir')
    equal(os.listdir('dir2'), [], 'listing')


# S1.1
@check
def readers_of_a_file_that_is_replaced_again_and_again_see_whole_versions():
    size = 70_000
    versions = [bytes([version]) * size for version in range(1, 9)]
    put('target', versions[0])

    def read_on():
        for _ in range(300):
            data = get('target')
            true(len(data) == size and data.count(data[:1]) == size, f'a mix of versions: {set(data)}, {len(data)} bytes')

    readers = [start(read_on) for _ in range(2)]
    for i in range(300):
        put('fresh', versions[i % 8])
        os.rename('fresh', 'target')
    for reader in readers:
        finish(reader)
