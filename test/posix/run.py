#!/usr/bin/env python3
"""
Runs POSIX checks in a directory: run.py PATH [--json] [--only GROUP[/NAME]]... [--user UID] [--readonly] [--list]

Prints a line a check (ok, not ok with what was found, skip with the reason) and a summary; exits 1 if a check failed.
PATH must be writable for the user the checks run as. --readonly: PATH is on a read-only file system, and only the
checks that expect EROFS run. --user: switch to this uid (and gid) first.
"""
import argparse
import importlib
import json
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from checks import kit  # noqa: E402

GROUPS = (
    'names', 'links', 'rename', 'attributes', 'times', 'opening', 'data', 'mapping', 'space', 'extended', 'acl',
    'directories', 'permissions', 'locks', 'processes', 'readonly',
)


def main():
    parser = argparse.ArgumentParser(description='POSIX checks of a directory')
    parser.add_argument('path', nargs='?')
    parser.add_argument('--json', action='store_true', help='one JSON object a check')
    parser.add_argument('--only', action='append', default=[], metavar='GROUP[/NAME]')
    parser.add_argument('--user', type=int, metavar='UID')
    parser.add_argument('--readonly', action='store_true')
    parser.add_argument('--list', action='store_true')
    options = parser.parse_args()
    for group in GROUPS:
        importlib.import_module(f'checks.{group}')
    chosen = [check for check in kit.CHECKS if wanted(check, options)]
    if options.list:
        print('\n'.join(f'{check.group}/{check.name}' for check in chosen))
        return 0
    if not options.path or not chosen:
        parser.error('needs a PATH, and checks to run')
    if options.user is not None:
        kit.become(options.user, options.user)
    # A shell's own limits must not decide what is found.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    os.umask(0o022)
    return report(chosen, os.path.abspath(options.path), options)


def wanted(check, options):
    if check.readonly != options.readonly:
        return False
    return not options.only or any(check.group == one or f'{check.group}/{check.name}' == one for one in options.only)


def report(chosen, path, options):
    counts = {'ok': 0, 'not ok': 0, 'skip': 0}
    began = time.monotonic()
    for number, check in enumerate(chosen):
        started = time.monotonic()
        result, message = run(check, path, number)
        counts[result] += 1
        name = f'{check.group}/{check.name}'
        if options.json:
            fields = {'check': name, 'result': result, 'message': message, 'seconds': time.monotonic() - started}
            print(json.dumps(fields), flush=True)
        else:
            print(f'{result} {name}{": " + message if message else ""}', flush=True)
    took = time.monotonic() - began
    summary = f'{counts["ok"]} ok, {counts["not ok"]} not ok, {counts["skip"]} skipped in {took:.1f} s'
    print(json.dumps({'summary': summary, **counts}) if options.json else f'# {summary}', flush=True)
    return 1 if counts['not ok'] else 0


def run(check, path, number):
    """(result, message) of one check, run in a process group of its own that is killed when it takes too long."""
    if check.root and not kit.is_root():
        return 'skip', 'needs root'
    place = path if check.readonly else os.path.join(path, f'{number:03}-{os.getpid()}')
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        os.setpgid(0, 0)
        with os.fdopen(write_end, 'wb') as pipe:
            pickle.dump(inside(check, place), pipe)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, 'rb') as pipe:
        ready, _, _ = select.select([pipe], [], [], check.seconds)
        data = pipe.read() if ready else b''
    kill_group(pid)
    if not ready:
        reap(pid)
        return 'not ok', f'no answer within {check.seconds} s'
    os.waitpid(pid, 0)
    return pickle.loads(data) if data else ('not ok', 'the check ended without a report')


def inside(check, place):
    """Runs in the check's process: the check, and the removal of what it made."""
    try:
        if not check.readonly:
            os.mkdir(place, 0o755)
        os.chdir(place)
        check.function()
        outcome = ('ok', '')
    except kit.Skip as reason:
        outcome = ('skip', str(reason))
    except BaseException as error:  # noqa: B902 - whatever it is, it is the check's outcome
        outcome = ('not ok', kit.describe(error))
    if not check.readonly:
        try:
            os.umask(0o022)
            os.chdir('/')
            remove(place)
        except BaseException as error:  # noqa: B902
            if outcome[0] != 'not ok':
                outcome = ('not ok', f'cleaning up: {kit.describe(error)}')
    return outcome


def remove(place):
    def again(function, path, _info):
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            shutil.rmtree(path)
        else:
            function(path)

    shutil.rmtree(place, onerror=again)


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def reap(pid):
    """A process that hangs in the kernel must not hang the report: it is left to init."""
    for _ in range(20):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.05)


if __name__ == '__main__':
    sys.exit(main())
