"""Hard links: one inode under several names."""
import os

from .kit import check, elsewhere, equal, fails, get, mode_of, put, same_bytes, tick


# S4.3
@check
def both_names_of_a_file_show_one_inode_and_its_link_count():
    put('one', b'content')
    os.link('one', 'two')
    os.mkdir('dir')
    os.link('two', 'dir/three')
    names = ('one', 'two', 'dir/three')
    equal(len({os.stat(name).st_ino for name in names}), 1, 'inode numbers')
    equal([os.stat(name).st_nlink for name in names], [3, 3, 3], 'links through each name')
    os.unlink('one')
    equal([os.stat(name).st_nlink for name in names[1:]], [2, 2], 'links after unlink')
    os.unlink('two')
    equal(os.stat('dir/three').st_nlink, 1, 'links of the last name')
    equal(get('dir/three'), b'content', 'content of the last name')


@check
def a_link_made_elsewhere_is_seen_through_an_open_descriptor():
    fd = os.open('one', os.O_CREAT | os.O_RDWR)
    elsewhere(os.link, 'one', 'two')
    equal(os.fstat(fd).st_nlink, 2, 'links')
    elsewhere(os.unlink, 'one')
    equal(os.fstat(fd).st_nlink, 1, 'links')
    equal(os.stat('two').st_ino, os.fstat(fd).st_ino, 'inode')
    os.unlink('two')
    equal(os.fstat(fd).st_nlink, 0, 'links')
    os.close(fd)


# S4.3
@check
def what_is_written_through_one_name_is_read_through_the_other():
    put('one', b'first')
    os.link('one', 'two')
    equal(get('two'), b'first', 'content')  # in the page cache now
    put('one', b'second version')
    same_bytes(get('two'), b'second version', 'content through the other name')
    equal(os.stat('two').st_size, 14, 'size through the other name')
    os.truncate('two', 3)
    same_bytes(get('one'), b'sec', 'content')


# S4.3, S2.10
@check
def attributes_set_through_one_name_are_seen_through_the_other():
    put('one')
    os.link('one', 'two')
    os.stat('two')
    os.chmod('one', 0o640)
    equal(mode_of('two'), 0o640, 'mode')
    os.utime('two', ns=(1_000_000_001, 2_000_000_002))
    equal(os.stat('one').st_mtime_ns, 2_000_000_002, 'mtime')


@check
def a_descriptor_opened_through_one_name_sees_writes_through_the_other():
    put('one', b'a' * 10)
    os.link('one', 'two')
    first, second = os.open('one', os.O_RDWR), os.open('two', os.O_RDWR)
    os.pwrite(first, b'B', 5)
    same_bytes(os.pread(second, 10, 0), b'aaaaaBaaaa')
    os.ftruncate(second, 2)
    equal(os.fstat(first).st_size, 2, 'size')
    os.close(first)
    os.close(second)


@check
def a_name_survives_the_rename_and_replacement_of_its_twin():
    put('one', b'content')
    os.link('one', 'two')
    os.rename('one', 'three')
    equal(os.stat('two').st_nlink, 2, 'links after a rename')
    put('other', b'other')
    os.rename('other', 'three')
    equal(os.stat('two').st_nlink, 1, 'links after the twin was replaced')
    equal(get('two'), b'content', 'content')
    equal(get('three'), b'other', 'content of the replacement')


# S4.1
@check
def link_refuses_existing_names_and_directories():
    put('one')
    put('two')
    os.mkdir('dir')
    fails('EEXIST', os.link, 'one', 'two')
    fails('EPERM', os.link, 'dir', 'dir2')
    fails('ENOENT', os.link, 'missing', 'three')
    fails('EEXIST', os.link, 'one', 'dir')


@check
def a_symbolic_link_itself_can_have_two_names():
    os.symlink('target', 'link')
    os.link('link', 'twin', follow_symlinks=False)
    equal(os.readlink('twin'), 'target', 'target')
    equal(os.lstat('link').st_nlink, 2, 'links')
    equal(os.lstat('link').st_ino, os.lstat('twin').st_ino, 'inode')


@check
def a_thousand_links_are_counted():
    put('file', b'x')
    for i in range(1000):
        os.link('file', f'link{i}')
    equal(os.stat('link500').st_nlink, 1001, 'links')
    for i in range(0, 1000, 2):
        os.unlink(f'link{i}')
    equal(os.stat('link501').st_nlink, 501, 'links')
    equal(len({entry.inode() for entry in os.scandir()}), 1, 'inode numbers in the listing')


@check
def linking_moves_the_change_time_of_the_file():
    put('one')
    before = os.stat('one').st_ctime_ns
    tick()
    os.link('one', 'two')
    after = os.stat('one').st_ctime_ns
    equal(after > before, True, 'ctime moved by link')
    tick()
    os.unlink('two')
    equal(os.stat('one').st_ctime_ns > after, True, 'ctime moved by unlink')
