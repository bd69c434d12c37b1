"""Processes together: programs run from here, notification, fifos, and many hands in one directory."""
import os
import random
import shutil
import signal
import subprocess
import time

from . import calls
from .kit import Skip, all_of, check, elsewhere, ends_by_signal, equal, exists, fails, finish, get, pattern, put
from .kit import same_bytes, start, true


def program(name='program'):
    """A copy of a small binary, to be executed from here."""
    with open(shutil.which('true'), 'rb') as file:
        put(name, file.read(), 0o755)
    return f'./{name}'


@check
def scripts_and_binaries_run():
    put('script', b'#!/bin/sh\necho "out: $1"\nexit 7\n', 0o755)
    done = subprocess.run(['./script', 'x'], capture_output=True)
    equal((done.stdout, done.returncode), (b'out: x\n', 7), 'output and status of a script')
    equal(subprocess.run([program()]).returncode, 0, 'status of a binary')
    os.chmod('program', 0o644)
    fails('EACCES', os.execv, './program', ['program'])
    put('script', b'#!/bin/sh\nexit 8\n', 0o755)
    equal(subprocess.run(['./script']).returncode, 8, 'status of a rewritten script')


@check
def a_running_program_cannot_be_written_and_a_written_one_not_run():
    with open(shutil.which('sleep'), 'rb') as file:
        put('program', file.read(), 0o755)
    process = subprocess.Popen(['./program', '30'])
    try:
        deadline = time.monotonic() + 5
        while os.readlink(f'/proc/{process.pid}/exe') != os.path.abspath('program'):
            true(time.monotonic() < deadline, 'the program does not start')
            time.sleep(0.01)
        fails('ETXTBSY', os.open, 'program', os.O_WRONLY)
        fails('ETXTBSY', os.truncate, 'program', 0)
        fd = os.open('program', os.O_RDONLY)
        os.close(fd)
    finally:
        process.kill()
        process.wait()
    fd = os.open('program', os.O_WRONLY)
    fails('ETXTBSY', os.execv, './program', ['program', '0'])
    os.close(fd)


@check
def a_running_program_can_be_replaced():
    with open(shutil.which('sleep'), 'rb') as file:
        put('program', file.read(), 0o755)
    process = subprocess.Popen(['./program', '30'])
    try:
        put('fresh', b'#!/bin/sh\nexit 9\n', 0o755)
        os.rename('fresh', 'program')
        equal(subprocess.run(['./program']).returncode, 9, 'status of the replacement')
        equal(process.poll(), None, 'status of the running program')
    finally:
        process.kill()
        process.wait()


@check
def fifos_carry_bytes_between_processes():
    os.mkfifo('fifo')

    def write():
        with open('fifo', 'wb') as fifo:
            fifo.write(pattern(200_000))

    writer = start(write)
    with open('fifo', 'rb') as fifo:
        same_bytes(fifo.read(), pattern(200_000))
    finish(writer)
    fails('ENXIO', os.open, 'fifo', os.O_WRONLY | os.O_NONBLOCK)


@check
def inotify_tells_a_process_of_its_own_changes():
    os.mkdir('dir')
    mask = calls.IN_CREATE | calls.IN_DELETE | calls.IN_MOVED_FROM | calls.IN_MOVED_TO | calls.IN_CLOSE_WRITE | calls.IN_ATTRIB
    fd = calls.inotify('dir', mask)
    put('dir/file', b'x')
    os.chmod('dir/file', 0o600)
    os.rename('dir/file', 'dir/moved')
    os.unlink('dir/moved')
    events = calls.inotify_events(fd)
    wanted = [
        (calls.IN_CREATE, 'file'), (calls.IN_CLOSE_WRITE, 'file'), (calls.IN_ATTRIB, 'file'),
        (calls.IN_MOVED_FROM, 'file'), (calls.IN_MOVED_TO, 'moved'), (calls.IN_DELETE, 'moved'),
    ]
    equal([event for event in events if event in wanted], wanted, f'events among {events}')
    put('watched')
    file = calls.inotify('watched', calls.IN_MODIFY | calls.IN_DELETE_SELF)
    elsewhere(put, 'watched', b'changed')
    true(calls.IN_MODIFY in [event for event, _ in calls.inotify_events(file)], 'no event for a write by another process')
    os.unlink('watched')
    true(calls.IN_DELETE_SELF in [event for event, _ in calls.inotify_events(file)], 'no event for the removal')
    os.close(fd)
    os.close(file)


@check(seconds=240)
def many_processes_create_rename_and_remove_in_one_directory():
    os.mkdir('dir')

    def work(i):
        dice, mine = random.Random(i), {}
        for step in range(250):
            choice = dice.randrange(6)
            if choice < 3 or not mine:
                name, data = f'dir/{i}-{step}', dice.randbytes(dice.randrange(1, 5000))
                put(name, data)
                mine[name] = data
            elif choice == 3:
                name = dice.choice(sorted(mine))
                os.rename(name, f'{name}r')
                mine[f'{name}r'] = mine.pop(name)
            elif choice == 4:
                name = dice.choice(sorted(mine))
                os.unlink(name)
                true(not exists(name), f'{name} is still there')
                del mine[name]
            else:
                name = dice.choice(sorted(mine))
                same_bytes(get(name), mine[name], name)
                equal(os.stat(name).st_size, len(mine[name]), f'size of {name}')
        return mine

    wanted = {}
    for mine in all_of(6, work):
        wanted.update(mine)
    equal(sorted(f'dir/{name}' for name in os.listdir('dir')), sorted(wanted), 'names in the end')
    for name, data in wanted.items():
        same_bytes(get(name), data, name)


# S1.1
@check
def processes_that_fight_for_the_same_names_leave_whole_files():
    contents = [bytes([65 + i]) * 3_000 for i in range(4)]

    def work(i):
        dice = random.Random(i)
        for step in range(150):
            name = f'shared{dice.randrange(5)}'
            try:
                choice = dice.randrange(4)
                if choice == 0:
                    put(f'own{i}', contents[i])
                    os.rename(f'own{i}', name)
                elif choice == 1:
                    os.unlink(name)
                elif choice == 2:
                    os.rename(name, f'shared{dice.randrange(5)}')
                else:
                    true(get(name) in contents, 'a mixed or cut file')
            except FileNotFoundError:
                pass

    all_of(4, work)
    for name in os.listdir():
        true(get(name) in contents, f'{name} is mixed or cut')
        equal(os.stat(name).st_nlink, 1, f'links of {name}')


@check
def exactly_one_process_makes_a_directory_of_a_name():
    def make(_):
        won = 0
        for i in range(30):
            try:
                os.mkdir(f'dir{i}')
                won += 1
            except FileExistsError:
                pass
        return won

    equal(sum(all_of(4, make)), 30, 'directories made')


@check
def makedirs_of_overlapping_trees_and_their_removal_race_safely():
    def work(i):
        for n in range(20):
            os.makedirs(f'tree/{n % 5}/{n}/{i}', exist_ok=True)
            put(f'tree/{n % 5}/{n}/{i}/file', b'x')
        for n in range(20):
            shutil.rmtree(f'tree/{n % 5}/{n}/{i}')

    all_of(4, work)
    equal([files for _, _, files in os.walk('tree') if files], [], 'files left')


@check
def directories_renamed_under_a_process_that_works_in_them_lose_nothing():
    os.mkdir('a')

    def work():
        for i in range(150):
            put(f'file{i}', str(i).encode())
            equal(get(f'file{i}'), str(i).encode(), 'content')

    os.chdir('a')
    process = start(work)
    os.chdir('..')
    names = ['a', 'b']
    for _ in range(150):
        if exists(names[0]):
            os.rename(*names)
        names.reverse()
    finish(process)
    home = 'a' if exists('a') else 'b'
    equal(len(os.listdir(home)), 150, 'files')
    for i in range(150):
        equal(get(f'{home}/file{i}'), str(i).encode(), 'content')


@check
def a_file_held_open_by_a_killed_process_is_whole_and_free():
    put('file', b'start')

    def write_and_die():
        fd = os.open('file', os.O_RDWR | os.O_APPEND)
        os.write(fd, b' and end')
        os.unlink('file')
        os.kill(os.getpid(), signal.SIGKILL)

    os.link('file', 'kept')
    ends_by_signal(write_and_die, signal.SIGKILL)
    same_bytes(get('kept'), b'start and end')
    equal(os.stat('kept').st_nlink, 1, 'links')


@check
def git_can_work_here():
    if not shutil.which('git'):
        raise Skip('git is not installed')
    environment = {
        **os.environ, 'HOME': os.getcwd(), 'GIT_CONFIG_NOSYSTEM': '1', 'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@b',
        'GIT_COMMITTER_NAME': 'a', 'GIT_COMMITTER_EMAIL': 'a@b',
    }

    def git(*arguments):
        done = subprocess.run(['git', *arguments], cwd='repository', env=environment, capture_output=True, text=True)
        equal(done.returncode, 0, f'git {arguments[0]}: {done.stderr}')
        return done.stdout

    os.mkdir('repository')
    git('init', '-q')
    for i in range(40):
        put(f'repository/file{i}', pattern(i * 1000, i))
    git('add', '.')
    git('commit', '-q', '-m', 'one')
    put('repository/file3', b'changed')
    equal(git('status', '--porcelain').strip(), 'M file3', 'status')
    git('commit', '-q', '-a', '-m', 'two')
    git('repack', '-q', '-a', '-d')
    git('checkout', '-q', 'HEAD~1')
    same_bytes(get('repository/file3'), pattern(3000, 3))
    git('fsck', '--strict')


@check
def sqlite_keeps_its_promises_here():
    try:
        import sqlite3
    except ImportError as error:
        raise Skip(str(error)) from error

    def insert(i):
        connection = sqlite3.connect('base.sqlite', timeout=30)
        for n in range(15):
            with connection:
                connection.execute('insert into t values (?, ?)', (i, n))
        connection.close()

    for journal in ('delete', 'wal'):
        connection = sqlite3.connect('base.sqlite')
        equal(connection.execute(f'pragma journal_mode={journal}').fetchone()[0], journal, 'journal mode')
        connection.execute('drop table if exists t')
        connection.execute('create table t (i, n)')
        connection.commit()
        connection.close()
        all_of(3, insert)
        connection = sqlite3.connect('base.sqlite')
        equal(connection.execute('select count(*), count(distinct i * 100 + n) from t').fetchone(), (45, 45), 'rows')
        equal(connection.execute('pragma integrity_check').fetchone()[0], 'ok', 'integrity')
        connection.close()
