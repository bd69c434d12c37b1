"""Who may do what, and to whom new files belong."""
import os
import stat

from .kit import ALICE, BOB, CAROL, GUESTS, STAFF, Skip, as_user, check, equal, fails, fails_as, finish, get
from .kit import is_root, mode_of, put, same_bytes, start, true

A, B = (ALICE, ALICE), (BOB, BOB)


# S6.1
@check(root=True)
def permission_bits_hold_for_owner_group_and_others():
    put('file', b'content')
    os.chown('file', ALICE, STAFF)
    users = {'owner': A, 'group': (BOB, BOB, STAFF), 'others': (CAROL, CAROL, GUESTS)}
    for shift, who in ((6, 'owner'), (3, 'group'), (0, 'others')):
        for bits in range(8):
            os.chmod('file', (bits << shift) | (0o777 & ~(7 << shift)))  # everyone else may do everything
            equal(as_user(users[who], os.access, 'file', os.R_OK), bool(bits & 4), f'read access, {who}, {bits}')
            equal(as_user(users[who], os.access, 'file', os.W_OK), bool(bits & 2), f'write access, {who}, {bits}')
            equal(as_user(users[who], os.access, 'file', os.X_OK), bool(bits & 1), f'execute access, {who}, {bits}')
            equal(as_user(users[who], may_open, os.O_RDONLY), bool(bits & 4), f'opening to read, {who}, {bits}')
            equal(as_user(users[who], may_open, os.O_WRONLY), bool(bits & 2), f'opening to write, {who}, {bits}')


def may_open(flags):
    try:
        os.close(os.open('file', flags))
        return True
    except PermissionError:
        return False


@check
def a_file_of_mode_0_is_closed_to_its_ordinary_owner():
    put('file', b'content')
    opened_before = os.open('file', os.O_RDWR)
    os.chmod('file', 0)
    if is_root():
        os.chown('file', *A)
        fails_as(A, 'EACCES', os.open, 'file', os.O_RDONLY)
        equal(get('file'), b'content', 'content for root')
    else:
        fails('EACCES', os.open, 'file', os.O_RDONLY)
        fails('EACCES', os.open, 'file', os.O_WRONLY)
        fails('EACCES', os.truncate, 'file', 0)
        equal(os.access('file', os.R_OK), False, 'access')
    os.pwrite(opened_before, b'C', 0)
    same_bytes(os.pread(opened_before, 100, 0), b'Content', 'through a descriptor opened before')
    os.close(opened_before)


# S6.1
@check
def directories_need_r_to_list_x_to_enter_and_w_to_change():
    os.mkdir('dir')
    put('dir/file', b'content')

    def expect():
        os.chmod('dir', 0o600)
        fails('EACCES', os.stat, 'dir/file')
        equal(os.listdir('dir'), ['file'], 'listing without x')
        os.chmod('dir', 0o100)
        fails('EACCES', os.listdir, 'dir')
        equal(get('dir/file'), b'content', 'content without r')
        fails('EACCES', put, 'dir/new')
        os.chmod('dir', 0o500)
        for function, *arguments in (
            (put, 'dir/new'), (os.mkdir, 'dir/new'), (os.symlink, 'x', 'dir/new'), (os.unlink, 'dir/file'),
            (os.rename, 'dir/file', 'dir/new'), (os.link, 'dir/file', 'dir/new'), (os.mkfifo, 'dir/new'),
        ):
            fails('EACCES', function, *arguments)
        put('dir/file', b'the file itself may be written')
        os.chmod('dir', 0o300)
        put('dir/file', b'x')
        put('dir/new', b'y')
        fails('EACCES', os.listdir, 'dir')
        os.chmod('dir', 0o755)

    if is_root():
        os.chown('dir', *A)
        os.chown('dir/file', *A)
        as_user(A, expect)
    else:
        expect()
    equal(sorted(os.listdir('dir')), ['file', 'new'], 'listing')


# S6.2
@check
def umask_clears_bits_of_what_is_created():
    for mask in (0, 0o002, 0o022, 0o077, 0o777):
        os.umask(mask)
        put(f'file{mask:o}', b'', 0o666)
        os.mkdir(f'dir{mask:o}', 0o777)
        os.mkfifo(f'fifo{mask:o}', 0o666)
        equal(mode_of(f'file{mask:o}'), 0o666 & ~mask, f'mode of a file, umask {mask:o}')
        equal(mode_of(f'dir{mask:o}') & 0o777, 0o777 & ~mask, f'mode of a directory, umask {mask:o}')
        equal(mode_of(f'fifo{mask:o}'), 0o666 & ~mask, f'mode of a fifo, umask {mask:o}')
        os.chmod(f'dir{mask:o}', 0o700)
    os.symlink('x', 'link')
    equal(mode_of('link', follow=False), 0o777, 'mode of a symbolic link')


# S6.2
@check
def new_files_belong_to_who_makes_them():
    def create():
        put('made/file')
        os.mkdir('made/dir')
        os.symlink('x', 'made/link')
        os.mkfifo('made/fifo')
        os.mknod('made/node', stat.S_IFREG | 0o600)
        os.link('made/file', 'made/hard')

    os.mkdir('made')
    os.chmod('made', 0o777)
    wanted = (os.getuid(), os.getgid())
    if is_root():
        wanted = (ALICE, STAFF)
        as_user((ALICE, STAFF, GUESTS), create)
    else:
        create()
    for name in os.listdir('made'):
        found = os.lstat(f'made/{name}')
        equal((found.st_uid, found.st_gid), wanted, f'owner and group of {name}')


@check(root=True)
def nameless_files_belong_to_who_makes_them():
    os.chmod('.', 0o777)

    def create():
        try:
            fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o644)
        except OSError as error:
            raise Skip(f'no O_TMPFILE here: {error.strerror}') from error
        return os.fstat(fd).st_uid, os.fstat(fd).st_gid

    equal(as_user((ALICE, STAFF), create), (ALICE, STAFF), 'owner and group')


@check(root=True)
def many_users_create_at_the_same_time_and_each_owns_what_is_its_own():
    os.chmod('.', 0o777)

    def create(i):
        os.umask(0o22 if i % 2 else 0o77)
        for n in range(60):
            put(f'{i}-{n}', b'x', 0o666)
            os.mkdir(f'{i}-{n}-dir')

    users = [(ALICE + i, STAFF + i) for i in range(4)]
    for process in [start(create, i, user=user) for i, user in enumerate(users)]:
        finish(process)
    for i, user in enumerate(users):
        for n in range(60):
            for name, mode in ((f'{i}-{n}', 0o666), (f'{i}-{n}-dir', 0o777)):
                found = os.stat(name)
                equal((found.st_uid, found.st_gid), user, f'owner of {name}')
                equal(found.st_mode & 0o777, mode & ~(0o22 if i % 2 else 0o77), f'mode of {name}')


# S6.2, S6.3
@check(root=True)
def setgid_directories_hand_their_group_on():
    os.mkdir('dir')
    os.chown('dir', 0, STAFF)
    os.chmod('dir', 0o2777)

    def create():
        put('dir/file')
        os.mkdir('dir/sub')
        os.mkfifo('dir/fifo')
        put('dir/sub/inner')

    as_user(A, create)
    for name in ('file', 'sub', 'fifo', 'sub/inner'):
        equal((os.stat(f'dir/{name}').st_uid, os.stat(f'dir/{name}').st_gid), (ALICE, STAFF), f'owner of {name}')
    true(os.stat('dir/sub').st_mode & stat.S_ISGID, 'a subdirectory did not inherit the setgid bit')
    true(not os.stat('dir/file').st_mode & stat.S_ISGID, 'a file got the setgid bit')


@check(root=True)
def the_setgid_bit_of_a_new_file_needs_membership_of_its_group():
    os.mkdir('dir')
    os.chown('dir', 0, STAFF)
    os.chmod('dir', 0o2777)
    os.umask(0)
    mode = 0o2755
    as_user((ALICE, ALICE), put, 'dir/outsider', b'', mode)
    equal(mode_of('dir/outsider'), 0o755, 'mode of a file made by an outsider')
    as_user((BOB, BOB, GUESTS, STAFF), put, 'dir/member', b'', mode)
    equal(mode_of('dir/member'), 0o2755, 'mode of a file made by a member')
    equal(os.stat('dir/member').st_gid, STAFF, 'group')


@check(root=True)
def supplementary_groups_count():
    put('file', b'content')
    os.chown('file', CAROL, STAFF + 35)
    os.chmod('file', 0o660)
    groups = [STAFF + i for i in range(40)]
    equal(as_user((ALICE, ALICE, *groups), get, 'file'), b'content', 'content for a member by its 36th group')
    as_user((ALICE, ALICE, *groups), put, 'file', b'changed')
    fails_as((ALICE, ALICE, *groups[:35]), 'EACCES', get, 'file')
    os.mkdir('dir')
    os.chown('dir', CAROL, STAFF + 39)
    os.chmod('dir', 0o770)
    as_user((ALICE, ALICE, *groups), put, 'dir/file')
    fails_as((ALICE, ALICE, *groups[:39]), 'EACCES', put, 'dir/other')


@check(root=True)
def an_owner_may_hand_a_file_to_a_group_it_belongs_to_only():
    put('file')
    os.chown('file', ALICE, ALICE)
    as_user((ALICE, ALICE, STAFF), os.chown, 'file', -1, STAFF)
    equal(os.stat('file').st_gid, STAFF, 'group')
    fails_as((ALICE, ALICE, STAFF), 'EPERM', os.chown, 'file', -1, GUESTS)
    fails_as((BOB, BOB, STAFF), 'EPERM', os.chown, 'file', -1, BOB)


# S6.3
@check(root=True)
def sticky_directories_let_only_owners_remove():
    os.mkdir('dir')
    os.chmod('dir', 0o1777)
    as_user(A, put, 'dir/alice')
    as_user(B, put, 'dir/bob')
    for function, *arguments in (
        (os.unlink, 'dir/alice'), (os.rename, 'dir/alice', 'dir/other'), (os.rename, 'dir/bob', 'dir/alice'),
    ):
        fails_as(B, 'EPERM EACCES', function, *arguments)
    as_user(A, os.mkdir, 'dir/sub')
    fails_as(B, 'EPERM EACCES', os.rmdir, 'dir/sub')
    as_user(A, os.rename, 'dir/alice', 'dir/renamed')
    as_user(A, os.unlink, 'dir/renamed')
    os.chown('dir', *B)
    as_user(B, os.rmdir, 'dir/sub')  # the owner of the directory may


# S6.4
@check(root=True)
def a_write_by_someone_else_clears_suid_and_sgid():
    def changed(change, by=B, mode=0o6777):
        put('file', b'content')
        os.chown('file', *A)
        os.chmod('file', mode)
        as_user(by, change)
        return mode_of('file')

    def write():
        fd = os.open('file', os.O_WRONLY)
        os.write(fd, b'x')
        os.close(fd)

    equal(changed(write), 0o777, 'mode after a write')
    equal(changed(write, by=A), 0o777, 'mode after a write by the owner')
    equal(changed(lambda: os.truncate('file', 2)), 0o777, 'mode after truncate')
    equal(changed(lambda: os.close(os.open('file', os.O_WRONLY | os.O_TRUNC))), 0o777, 'mode after O_TRUNC')
    equal(changed(lambda: os.posix_fallocate(os.open('file', os.O_WRONLY), 0, 100)), 0o777, 'mode after fallocate')
    equal(changed(write, by=(0, 0)), 0o6777, 'mode after a write by root')


# S6.4
@check(root=True)
def chown_clears_suid_and_sgid():
    put('file')
    os.chown('file', *A)
    os.chmod('file', 0o6755)
    as_user((ALICE, ALICE, STAFF), os.chown, 'file', -1, STAFF)
    equal(mode_of('file'), 0o755, 'mode after chown by the owner')
    os.chmod('file', 0o6755)
    os.chown('file', BOB, BOB)
    equal(mode_of('file'), 0o755, 'mode after chown by root')
    os.mkdir('dir')
    os.chmod('dir', 0o2755)
    os.chown('dir', *A)
    true(os.stat('dir').st_mode & stat.S_ISGID, 'chown cleared the setgid bit of a directory')


@check(root=True)
def chmod_clears_sgid_for_a_group_the_owner_is_not_in():
    put('file')
    os.chown('file', ALICE, STAFF)
    as_user(A, os.chmod, 'file', 0o2755)
    equal(mode_of('file'), 0o755, 'mode set by a non-member')
    as_user((ALICE, ALICE, STAFF), os.chmod, 'file', 0o2755)
    equal(mode_of('file'), 0o2755, 'mode set by a member')


@check(root=True)
def only_the_owner_changes_mode_and_times():
    put('file')
    os.chown('file', *A)
    os.chmod('file', 0o644)
    fails_as(B, 'EPERM', os.chmod, 'file', 0o777)
    fails_as(B, 'EPERM', os.utime, 'file', (1, 1))
    fails_as(B, 'EACCES', os.utime, 'file')
    fails_as(B, 'EACCES', os.truncate, 'file', 0)
    os.chmod('file', 0o666)
    as_user(B, os.utime, 'file')  # now: writing is enough
    fails_as(B, 'EPERM', os.utime, 'file', (1, 1))
    as_user(A, os.utime, 'file', (1, 1))
    equal(os.stat('file').st_mtime, 1, 'mtime')


# S6.1
@check(root=True)
def others_cannot_reach_into_a_closed_directory_even_when_root_just_did():
    os.makedirs('closed/sub')
    put('closed/sub/file', b'secret')
    os.chmod('closed', 0o700)
    equal(get('closed/sub/file'), b'secret', 'content for root')  # names and pages are cached now
    fails_as(B, 'EACCES', get, 'closed/sub/file')
    fails_as(B, 'EACCES', os.stat, 'closed/sub/file')
    fails_as(B, 'EACCES', os.chdir, 'closed/sub')
    fails_as(B, 'EACCES', os.rename, 'closed/sub/file', 'mine')
    fails_as(B, 'EACCES', os.rmdir, 'closed/sub')


@check(root=True)
def root_passes_permission_bits_but_executes_only_what_someone_may():
    os.mkdir('dir', 0)
    put('dir/file', b'content', 0)
    equal(get('dir/file'), b'content', 'content')
    put('dir/file', b'changed')
    equal(os.access('dir/file', os.X_OK), False, 'execute access without any x bit')
    os.chmod('dir/file', 0o001)
    equal(os.access('dir/file', os.X_OK), True, 'execute access with one x bit')


@check
def access_answers_for_ordinary_users():
    put('file')
    os.mkdir('dir')

    def expect():
        for mode, wanted in ((0o400, os.R_OK), (0o200, os.W_OK), (0o100, os.X_OK)):
            os.chmod('file', mode)
            for right in (os.R_OK, os.W_OK, os.X_OK):
                equal(os.access('file', right), right == wanted, f'access {right} at mode {mode:o}')
        equal(os.access('file', os.F_OK), True, 'existence')
        equal(os.access('missing', os.F_OK), False, 'existence')
        os.chmod('dir', 0o500)
        equal(os.access('dir', os.W_OK), False, 'write access to a directory')
        os.chmod('dir', 0o700)

    if is_root():
        os.chown('file', *A)
        os.chown('dir', *A)
        as_user(A, expect)
    else:
        expect()


@check(root=True)
def group_membership_of_the_directory_lets_members_create():
    os.mkdir('dir')
    os.chown('dir', CAROL, STAFF)
    os.chmod('dir', 0o770)
    as_user((ALICE, ALICE, STAFF), put, 'dir/file')
    found = os.stat('dir/file')
    equal((found.st_uid, found.st_gid), (ALICE, ALICE), 'owner and group')
    fails_as(B, 'EACCES', put, 'dir/other')
    as_user((BOB, BOB, STAFF), os.rename, 'dir/file', 'dir/moved')
    as_user((BOB, BOB, STAFF), os.unlink, 'dir/moved')
