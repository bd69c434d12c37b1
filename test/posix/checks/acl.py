"""POSIX access control lists, written as the attributes the tools write, and by the tools."""
import os
import shutil
import struct
import subprocess

from .kit import ALICE, BOB, CAROL, GUESTS, STAFF, Skip, as_user, check, equal, exists, fails, fails_as, get, is_root
from .kit import mode_of, put, true

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
ACCESS, DEFAULT = 'system.posix_acl_access', 'system.posix_acl_default'
NOBODY = 0xFFFFFFFF


def acl(text):
    """'u::rw- u:61001:r-- g::--- m::rw- o::---' as the attribute's value."""
    kinds = {'u': (USER_OBJ, USER), 'g': (GROUP_OBJ, GROUP), 'm': (MASK, MASK), 'o': (OTHER, OTHER)}
    entries = []
    for word in text.split():
        kind, who, bits = word.split(':')
        tag = kinds[kind][1 if who else 0]
        entries.append((tag, int(who) if who else NOBODY, sum(4 >> 'rwx'.index(bit) for bit in bits if bit != '-')))
    entries.sort(key=lambda entry: (entry[0], entry[1]))
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', tag, bits, who) for tag, who, bits in entries)


def words(value):
    names = {USER_OBJ: 'u', USER: 'u', GROUP_OBJ: 'g', GROUP: 'g', MASK: 'm', OTHER: 'o'}
    found = []
    for at in range(4, len(value), 8):
        tag, bits, who = struct.unpack_from('<HHI', value, at)
        found.append(f'{names[tag]}:{who if tag in (USER, GROUP) else ""}:' + ''.join(c if bits & 4 >> i else '-' for i, c in enumerate('rwx')))
    return ' '.join(found)


def set_acl(path, text, kind=ACCESS):
    try:
        os.setxattr(path, kind, acl(text))
    except OSError as error:
        raise Skip(f'no access control lists here: {error.strerror}') from error


def acl_of(path, kind=ACCESS):
    return words(os.getxattr(path, kind))


@check
def a_list_is_kept_and_shown_as_it_was_set():
    put('file')
    text = f'u::rw- u:{ALICE}:r-- u:{BOB}:-w- g::r-- g:{STAFF}:--x m::rwx o::---'
    set_acl('file', text)
    equal(acl_of('file'), text, 'list')
    equal(mode_of('file'), 0o670, 'mode: the group bits show the mask')
    true(ACCESS in os.listxattr('file'), 'the list is not among the attributes')
    os.removexattr('file', ACCESS)
    fails('ENODATA', os.getxattr, 'file', ACCESS)


@check
def chmod_changes_the_mask_and_the_mask_shows_in_the_mode():
    put('file')
    set_acl('file', f'u::rw- u:{ALICE}:rwx g::r-- m::rwx o::r--')
    os.chmod('file', 0o640)
    equal(acl_of('file'), f'u::rw- u:{ALICE}:rwx g::r-- m::r-- o::---', 'list after chmod')
    set_acl('file', 'u::rwx g::r-x o::--x')
    equal(mode_of('file'), 0o751, 'mode after a minimal list')


# S6.2
@check
def a_default_list_is_inherited_instead_of_the_umask():
    os.mkdir('dir')
    text = f'u::rwx u:{ALICE}:rwx g::r-x m::rwx o::r-x'
    set_acl('dir', text, DEFAULT)
    os.umask(0o077)
    put('dir/file', b'', 0o666)
    equal(acl_of('dir/file'), f'u::rw- u:{ALICE}:rwx g::r-x m::rw- o::r--', 'list of a new file')
    equal(mode_of('dir/file'), 0o664, 'mode of a new file')
    os.mkdir('dir/sub', 0o750)
    equal(acl_of('dir/sub', DEFAULT), text, 'default list of a new directory')
    equal(acl_of('dir/sub'), f'u::rwx u:{ALICE}:rwx g::r-x m::r-x o::---', 'list of a new directory')
    os.mkfifo('dir/fifo', 0o600)
    equal(mode_of('dir/fifo'), 0o600, 'mode of a new fifo')
    os.symlink('x', 'dir/link')
    put('plain', b'', 0o666)
    equal(mode_of('plain'), 0o600, 'mode of a new file elsewhere: the umask counts')


@check
def a_default_list_without_names_takes_the_place_of_the_umask():
    os.mkdir('dir')
    set_acl('dir', 'u::rwx g::rwx o::r--', DEFAULT)
    os.umask(0o077)
    put('dir/file', b'', 0o666)
    equal(mode_of('dir/file'), 0o664, 'mode of a new file')
    os.mkdir('dir/sub', 0o777)
    equal(mode_of('dir/sub') & 0o777, 0o774, 'mode of a new directory')


@check
def a_default_list_reaches_nameless_files():
    os.mkdir('dir')
    set_acl('dir', 'u::rwx g::rwx o::---', DEFAULT)
    os.umask(0o077)
    try:
        fd = os.open('dir', os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError as error:
        raise Skip(f'no O_TMPFILE here: {error.strerror}') from error
    equal(os.fstat(fd).st_mode & 0o777, 0o660, 'mode')
    os.close(fd)


# S6.1
@check(root=True)
def a_named_user_is_let_in_and_a_denied_one_stays_out():
    put('file', b'content', 0o600)
    set_acl('file', f'u::rw- u:{ALICE}:r-- u:{BOB}:--- g::r-- m::r-- o::r--')
    for _ in range(2):  # the second time from the kernel's cache
        equal(as_user((ALICE, ALICE), get, 'file'), b'content', 'content for the named user')
        fails_as((ALICE, ALICE), 'EACCES', os.open, 'file', os.O_WRONLY)
        fails_as((BOB, BOB), 'EACCES', os.open, 'file', os.O_RDONLY)
        equal(as_user((CAROL, CAROL), get, 'file'), b'content', 'content for others')
    equal(as_user((BOB, BOB), os.access, 'file', os.R_OK), False, 'access for the denied user')
    equal(as_user((ALICE, ALICE), os.access, 'file', os.W_OK), False, 'write access for the named user')
    set_acl('file', f'u::rw- u:{BOB}:rw- g::--- m::rw- o::---')
    equal(as_user((BOB, BOB), get, 'file'), b'content', 'content after the list was changed')
    fails_as((ALICE, ALICE), 'EACCES', get, 'file')


@check(root=True)
def the_mask_limits_named_users_and_groups():
    put('file', b'content', 0o600)
    set_acl('file', f'u::rw- u:{ALICE}:rw- g::--- g:{STAFF}:rw- m::r-- o::---')
    fails_as((ALICE, ALICE), 'EACCES', os.open, 'file', os.O_RDWR)
    equal(as_user((ALICE, ALICE), get, 'file'), b'content', 'content')
    equal(as_user((BOB, BOB, GUESTS, STAFF), get, 'file'), b'content', 'content for a member of the named group')
    fails_as((BOB, BOB, STAFF), 'EACCES', os.open, 'file', os.O_WRONLY)
    fails_as((BOB, BOB, GUESTS), 'EACCES', get, 'file')


# S6.1
@check(root=True)
def a_denied_group_does_not_fall_through_to_others():
    put('file', b'content', 0o644)
    set_acl('file', f'u::rw- g::r-- g:{GUESTS}:--- m::r-- o::r--')
    fails_as((BOB, BOB, GUESTS), 'EACCES', get, 'file')
    fails_as((BOB, GUESTS), 'EACCES', get, 'file')
    equal(as_user((BOB, BOB), get, 'file'), b'content', 'content for others')


# S6.1
@check(root=True)
def lists_on_directories_guard_search_and_creation():
    os.mkdir('dir', 0o700)
    put('dir/file', b'content', 0o644)
    set_acl('dir', f'u::rwx u:{ALICE}:--x u:{BOB}:rwx g::--- m::rwx o::---')
    equal(as_user((ALICE, ALICE), get, 'dir/file'), b'content', 'content for who may search')
    fails_as((ALICE, ALICE), 'EACCES', os.listdir, 'dir')
    fails_as((ALICE, ALICE), 'EACCES', put, 'dir/new')
    as_user((BOB, BOB), put, 'dir/new', b'x')
    equal(os.stat('dir/new').st_uid, BOB, 'owner')
    fails_as((CAROL, CAROL), 'EACCES', os.stat, 'dir/file')
    as_user((BOB, BOB), os.unlink, 'dir/file')
    true(not exists('dir/file'), 'the file is still there')


@check
def only_the_owner_may_set_a_list():
    put('file')
    set_acl('file', 'u::rw- g::r-- o::r--')
    if not is_root():
        raise Skip('needs root')
    os.chmod('file', 0o666)
    fails_as((ALICE, ALICE), 'EPERM', os.setxattr, 'file', ACCESS, acl(f'u::rw- u:{ALICE}:rw- g::r-- m::rw- o::r--'))
    os.chown('file', ALICE, ALICE)
    as_user((ALICE, ALICE), os.setxattr, 'file', ACCESS, acl(f'u::rw- u:{BOB}:rw- g::r-- m::rw- o::r--'))
    as_user((BOB, BOB), put, 'file', b'written')


@check
def malformed_lists_and_lists_in_wrong_places_are_refused():
    put('file')
    set_acl('file', 'u::rw- g::r-- o::r--')
    fails('EINVAL EOPNOTSUPP', os.setxattr, 'file', ACCESS, b'nonsense')
    fails('EINVAL', os.setxattr, 'file', ACCESS, acl(f'u::rw- u:{ALICE}:rw- g::r-- o::r--'))  # no mask
    fails('EINVAL', os.setxattr, 'file', ACCESS, acl('u::rw- g::r--'))
    fails('EACCES EPERM', os.setxattr, 'file', DEFAULT, acl('u::rw- g::r-- o::r--'))


@check
def setfacl_and_getfacl_work():
    if not (shutil.which('setfacl') and shutil.which('getfacl')):
        raise Skip('setfacl is not installed')
    os.mkdir('dir')
    done = subprocess.run(['setfacl', '-m', f'u:{ALICE}:rX,d:u:{BOB}:rw', 'dir'], capture_output=True, text=True)
    if 'not supported' in done.stderr:
        raise Skip('no access control lists here')
    equal(done.returncode, 0, done.stderr)
    shown = subprocess.run(['getfacl', '-n', 'dir'], capture_output=True, text=True).stdout
    true(f'user:{ALICE}:r-x' in shown and f'default:user:{BOB}:rw-' in shown, f'getfacl shows {shown}')
    put('dir/file')
    shown = subprocess.run(['getfacl', '-n', 'dir/file'], capture_output=True, text=True).stdout
    true(f'user:{BOB}:rw-' in shown, f'getfacl of a new file shows {shown}')
    equal(subprocess.run(['setfacl', '-b', '-k', 'dir']).returncode, 0, 'setfacl -b -k')
    fails('ENODATA', os.getxattr, 'dir', DEFAULT)
