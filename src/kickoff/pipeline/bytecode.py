"""Bytecode for the working copies of a run: its steps start this code some twenty times, each time anew."""

import importlib.util
import marshal
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path

from kickoff import bootstrap

_CHECKED_HASH = 0b11
"""Flags of a bytecode file that holds while its source has the same hash (PEP 552)."""


def carry(top: Path, copy: Path) -> None:
    """Put the bytecode of this package beside its modules in a copy of the repository that it stands in.

    A module of the copy that reads otherwise gets none, and the interpreter compares hashes when it loads
    one: what runs is always what the copy's sources say. The steps of other repositories run the installed
    package, which has its bytecode.

    Args:
        top: The top folder of the repository that was copied.
        copy: The copy's.
    """
    if not bootstrap.IN_CHECKOUT or top.resolve() != Path(bootstrap.ROOT).resolve():
        return
    for path in Path(bootstrap.PACKAGE).rglob("*.py"):
        source, target = path.read_bytes(), copy / path.relative_to(bootstrap.ROOT)
        if not target.is_file() or target.read_bytes() != source:
            continue
        head = importlib.util.MAGIC_NUMBER + _CHECKED_HASH.to_bytes(4, "little")
        cached = Path(importlib.util.cache_from_source(str(target)))
        cached.parent.mkdir(exist_ok=True)
        cached.write_bytes(head + importlib.util.source_hash(source) + _code(path))


def _code(path: Path) -> bytes:
    """Return the code of a module as bytecode files hold it: of its own file where that is of this source."""
    described = path.stat()
    times = (0, int(described.st_mtime), described.st_size)
    head = importlib.util.MAGIC_NUMBER + b"".join((one & 0xFFFFFFFF).to_bytes(4, "little") for one in times)
    with suppress(FileNotFoundError):
        kept = Path(importlib.util.cache_from_source(str(path))).read_bytes()
        if kept.startswith(head):
            return kept[len(head) :]
    return marshal.dumps(SourceFileLoader(path.stem, str(path)).get_code(path.stem))
