"""
Files whose every 64 bytes say which file and which generation of it they belong to, so that a byte in the wrong place,
of the wrong file, or of another generation shows itself.
"""
RECORD = 64


def content(name, generation, size):
    """`size` bytes (a multiple of 64) of a generation of a file; a shorter size is a prefix of a longer one."""
    label = f'{name}:{generation}:'
    room = RECORD - 1 - len(label)
    return b''.join(f'{label}{index:0{room}}\n'.encode() for index in range(size // RECORD))


def generation_of(data):
    """The generation that the first record names, or None when there is no record."""
    parts = bytes(data[:RECORD]).split(b':')
    return int(parts[1]) if len(parts) == 3 else None


def difference(found, wanted):
    """Where two byte strings part, in words; '' when they do not."""
    if found == wanted:
        return ''
    at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
    at -= at % RECORD
    return f'{len(found)} bytes for {len(wanted)}; at {at} {bytes(found[at:at + RECORD])!r} for {bytes(wanted[at:at + RECORD])!r}'
