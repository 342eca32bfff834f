"""The content of configuration files, read once as long as they do not change."""

from functools import lru_cache
from pathlib import Path


def read_once(path: Path, most: int) -> bytes:
    """Return the content of ``path``, at most ``most`` bytes and one, which tells that there are more.

    Raises:
        OSError: The file cannot be read.
    """
    found = path.stat()
    return _read(path.absolute(), most, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=64)
def _read(path: Path, most: int, _signature: tuple[int, ...]) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most + 1)
