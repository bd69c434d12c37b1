"""Reading directories: positions, changes during a walk, types; and directories without a name."""
import os
import random
import stat

from .calls import Directory
from .kit import check, elsewhere, equal, fails, finish, get, pattern, put, start, tick, true

MANY = 5_000
# Thousands of files are made and removed: a matter of seconds, unless the machine is busy.
MANY_SECONDS = 240
KINDS = {1: stat.S_IFIFO, 4: stat.S_IFDIR, 8: stat.S_IFREG, 10: stat.S_IFLNK, 12: stat.S_IFSOCK}


def fill(directory, count):
    os.mkdir(directory)
    names = [f'{i:05}-{"n" * (i % 60)}' for i in range(count)]
    for name in names:
        os.close(os.open(f'{directory}/{name}', os.O_CREAT | os.O_WRONLY))
    return [name.encode() for name in names]


@check(seconds=MANY_SECONDS)
def five_thousand_entries_are_listed_once_each():
    names = fill('dir', MANY)
    for _ in range(2):
        found = Directory('dir').names()
        equal(len(found), MANY, 'entries')
        equal(sorted(found), names, 'names')
    equal(sorted(os.listdir(b'dir')), names, 'names by listdir')
    equal(sum(1 for entry in os.scandir('dir') if entry.is_file()), MANY, 'plain files')
    equal(len(elsewhere(os.listdir, 'dir')), MANY, 'entries seen by another process')
    for name in names:
        os.unlink(b'dir/' + name)
    equal(os.listdir('dir'), [], 'listing after removal')
    os.rmdir('dir')


@check(seconds=MANY_SECONDS)
def every_position_leads_back_to_the_entry_it_was_taken_at():
    count = 3_000
    names = fill('dir', count)
    directory = Directory('dir')
    places = []
    while True:
        place = directory.tell()
        entry = directory.read()
        if entry is None:
            break
        places.append((place, entry[0]))
    equal(len(places), count + 2, 'entries, with . and ..')
    dice = random.Random(1)
    for place, name in dice.sample(places, 200) + places[:3] + places[-3:]:
        directory.seek(place)
        equal(directory.read()[0], name, f'entry at {place}')
    directory.seek(places[count // 2][0])
    equal(directory.names(), [name for _, name in places[count // 2:] if name not in (b'.', b'..')], 'the second half')
    directory.rewind()
    equal(sorted(directory.names()), names, 'names after rewinding')
    directory.close()


# S4.6, S4.7
@check(seconds=MANY_SECONDS)
def a_walk_shows_what_stays_exactly_once_whatever_comes_and_goes():
    staying = fill('dir', MANY)
    leaving = [f'leaving{i}'.encode() for i in range(500)]
    for name in leaving:
        put(b'dir/' + name)
    directory = Directory('dir')
    found, step = [], 0
    while (entry := directory.read()) is not None:
        found.append(entry[0])
        step += 1
        if step % 10 == 0 and step // 10 <= 500:
            put(b'dir/coming%d' % step)
            os.unlink(b'dir/' + leaving[step // 10 - 1])
    counts = {}
    for name in found:
        counts[name] = counts.get(name, 0) + 1
    equal([name for name in staying if counts.get(name) != 1], [], 'staying entries not shown exactly once')
    equal([name for name, count in counts.items() if count > 1], [], 'entries shown twice')
    directory.rewind()
    again = directory.names()
    equal(len(again), MANY + 500, 'entries after rewinding')
    true(not set(again) & set(leaving), 'removed entries are shown after rewinding')


@check(seconds=MANY_SECONDS)
def a_walk_survives_the_removal_of_everything_it_shows():
    fill('dir', 2_000)
    directory = Directory('dir')
    count = 0
    while (entry := directory.read()) is not None:
        if entry[0] not in (b'.', b'..'):
            os.unlink(b'dir/' + entry[0])
            count += 1
    equal(count, 2_000, 'entries removed while walking')
    equal(os.listdir('dir'), [], 'listing')


# S4.6
@check(seconds=MANY_SECONDS)
def a_walk_goes_on_while_another_process_changes_the_directory():
    staying = fill('dir', 2_000)

    def churn():
        for i in range(1_000):
            put(f'dir/coming{i}')
            if i >= 50:
                os.rename(f'dir/coming{i - 50}', f'dir/moved{i}') if i % 2 else os.unlink(f'dir/coming{i - 50}')

    process = start(churn)
    for _ in range(5):
        found = Directory('dir').names()
        equal([name for name in staying if found.count(name) != 1] if len(found) < 2_000 else [], [], 'lost entries')
        equal(len(set(staying) & set(found)), 2_000, 'staying entries shown')
    finish(process)


@check
def two_walks_of_one_directory_do_not_disturb_each_other():
    names = fill('dir', 1_000)
    one, two = Directory('dir'), Directory('dir')
    first = [one.read()[0] for _ in range(500)]
    equal(sorted(two.names()), names, 'the second walk')
    rest = one.names()
    equal(sorted(name for name in first + rest if name not in (b'.', b'..')), names, 'the first walk')
    one.close()
    two.close()


# S2.10
@check
def changes_show_in_the_next_listing_at_once():
    os.mkdir('dir')
    for i in range(30):
        put(f'dir/file{i}')
        equal(len(os.listdir('dir')), i + 1, 'entries after creation')
    elsewhere(os.unlink, 'dir/file7')
    true('file7' not in os.listdir('dir'), 'an unlinked file is listed')
    os.rename('dir/file8', 'dir/file7')
    true('file8' not in os.listdir('dir') and 'file7' in os.listdir('dir'), 'a renamed file is listed wrongly')
    elsewhere(os.mkdir, 'dir/sub')
    true('sub' in os.listdir('dir'), 'a new directory is not listed')


@check
def types_and_inode_numbers_of_entries_are_those_of_stat():
    put('plain')
    os.mkdir('dir')
    os.symlink('plain', 'link')
    os.mkfifo('fifo')
    os.mknod('socket', stat.S_IFSOCK | 0o600)
    directory = Directory('.')
    seen = 0
    while (entry := directory.read()) is not None:
        name, ino, kind = entry
        if name == b'..':
            continue
        found = os.lstat(name)
        equal(ino, found.st_ino, f'inode number of {name!r}')
        if kind:
            equal(KINDS[kind], stat.S_IFMT(found.st_mode), f'type of {name!r}')
        seen += 1
    equal(seen, 6, 'entries')


@check
def every_directory_lists_itself_and_its_parent():
    os.mkdir('dir')
    directory = Directory('dir')
    entries = {}
    while (entry := directory.read()) is not None:
        entries[entry[0]] = entry
    equal(sorted(entries), [b'.', b'..'], 'entries of an empty directory')
    equal(entries[b'.'][1], os.stat('dir').st_ino, 'inode number of .')


@check
def a_replaced_file_has_its_new_inode_number_in_the_listing():
    os.mkdir('dir')
    put('dir/file')
    os.listdir('dir')
    before = os.stat('dir/file').st_ino
    put('dir/fresh')
    os.rename('dir/fresh', 'dir/file')
    entry = next(os.scandir('dir'))
    true(entry.inode() != before, 'the listing still names the old inode')
    equal(entry.inode(), os.stat('dir/file').st_ino, 'inode number in the listing')


@check
def names_of_255_bytes_fill_a_listing():
    os.mkdir('dir')
    names = sorted(f'{i:03}'.encode() + b'\xff' * 252 for i in range(300))
    for name in names:
        put(b'dir/' + name)
    equal(sorted(os.listdir(b'dir')), names, 'names')


@check
def a_working_directory_that_was_removed_is_empty_and_takes_nothing():
    os.mkdir('dir')
    os.chdir('dir')
    os.rmdir('../dir')
    fails('ENOENT', os.getcwd)
    fails('ENOENT', os.open, 'file', os.O_CREAT | os.O_WRONLY)
    fails('ENOENT', os.mkdir, 'sub')
    fails('ENOENT', os.stat, 'anything')
    equal(os.listdir('.'), [], 'listing')
    true(stat.S_ISDIR(os.stat('.').st_mode), 'the removed directory is no directory')


@check
def an_open_directory_that_was_removed_lists_nothing():
    os.mkdir('dir')
    put('dir/file')
    fd = os.open('dir', os.O_RDONLY | os.O_DIRECTORY)
    os.unlink('dir/file')
    os.rmdir('dir')
    equal(os.listdir(fd), [], 'listing')
    equal(os.fstat(fd).st_nlink, 0, 'links')
    os.mkdir('dir')
    put('dir/other')
    equal(os.listdir(fd), [], 'listing beside a successor')
    fails('ENOENT', os.open, 'other', os.O_RDONLY, dir_fd=fd)
    os.close(fd)


@check
def a_listing_by_descriptor_starts_where_the_position_is():
    os.mkdir('dir')
    put('dir/one')
    fd = os.open('dir', os.O_RDONLY | os.O_DIRECTORY)
    equal(os.listdir(fd), ['one'], 'listing')
    put('dir/two')
    equal(sorted(os.listdir(fd)), ['one', 'two'], 'listing again')  # listdir rewinds
    os.close(fd)


@check
def files_are_opened_relative_to_an_open_directory():
    os.makedirs('dir/sub')
    fd = os.open('dir', os.O_PATH | os.O_DIRECTORY)
    one = os.open('sub/file', os.O_CREAT | os.O_RDWR, dir_fd=fd)
    os.write(one, b'x')
    os.mkdir('made', dir_fd=fd)
    os.rename('sub/file', 'file', src_dir_fd=fd, dst_dir_fd=fd)
    equal(get('dir/file'), b'x', 'content')
    os.unlink('file', dir_fd=fd)
    equal(sorted(os.listdir('dir')), ['made', 'sub'], 'listing')
    os.close(one)
    os.close(fd)


@check(seconds=MANY_SECONDS)
def a_wide_and_deep_tree_is_walked_and_removed():
    wanted = set()
    for a in range(8):
        for b in range(8):
            os.makedirs(f'top/{a}/{b}')
            for c in range(4):
                put(f'top/{a}/{b}/{c}', pattern(a * 100 + b * 10 + c))
                wanted.add(f'top/{a}/{b}/{c}')
    found = {os.path.join(at, name) for at, _, files in os.walk('top') for name in files}
    equal(found, wanted, 'files')
    for name in found:
        a, b, c = map(int, name.split('/')[1:])
        equal(os.stat(name).st_size, a * 100 + b * 10 + c, f'size of {name}')
    for at, directories, files in os.walk('top', topdown=False):
        for name in files:
            os.unlink(f'{at}/{name}')
        for name in directories:
            os.rmdir(f'{at}/{name}')
    equal(os.listdir('top'), [], 'listing')


@check
def a_directorys_mtime_moves_with_its_listing():
    os.mkdir('dir')
    seen = os.stat('dir').st_mtime_ns
    for i in range(5):
        tick()
        put(f'dir/{i}')
        now = os.stat('dir').st_mtime_ns
        true(now > seen, 'the mtime stood still')
        seen = now
