"""Append-only files of lines: durable appends, and reading from either end.

A crash loses at most the line being written: readers ignore a torn last line, the next writer cuts it off.
"""

import os
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1 << 16


def append(path: Path, line: bytes) -> None:
    """Add a line, or several, durably; the last newline is added here."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        _cut_torn_line(descriptor)
        write_fully(descriptor, line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> list[bytes]:
    """Return the complete lines, oldest first; none when there is no file."""
    try:
        return path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is empty or torn
    except FileNotFoundError:
        return []


def newest_first(path: Path) -> Iterator[bytes]:
    """Yield the complete lines, newest first, reading no more of the file than is asked for."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        position = stream.seek(0, os.SEEK_END)
        rest, complete = b"", False
        while position:
            size = min(_BLOCK, position)
            position -= size
            stream.seek(position)
            first, *lines = (stream.read(size) + rest).split(b"\n")
            if lines and not complete:
                lines.pop()
                complete = True
            yield from reversed(lines)
            rest = first
        if complete:
            yield rest


def write_fully(descriptor: int, data: bytes) -> None:
    """Write all of ``data``: on a full disk the first write may be short and only the next one fails.

    Raises:
        OSError: The rest could not be written.
    """
    while data:
        data = data[os.write(descriptor, data) :]


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    block = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, block.rfind(b"\n") + 1)
