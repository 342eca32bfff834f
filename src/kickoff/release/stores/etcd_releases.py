"""Releases in etcd: what one is started from, for a host that never had it. Pure but for the folders."""

import io
import tarfile
import tempfile
from pathlib import Path

from kickoff.errors import ExitCode, KickoffError

MOST_BYTES = 1 << 20
"""Largest folder that is kept, below what etcd takes as one value; a bundle is larger, and of one host."""


def packed(folder: Path) -> bytes | None:
    """Return a release folder as one value; ``None`` for one that is too large."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if sum(path.stat().st_size for path in files) > MOST_BYTES:
        return None
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(folder, arcname=".", filter=_nobody_s)
    return content.getvalue()


def unpack(value: bytes, folder: Path) -> None:
    """Make a release folder of such a value, whole or not at all.

    Raises:
        KickoffError: It is damaged (exit 4).
    """
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=folder.parent) as scratch:
        place = Path(scratch) / folder.name
        try:
            with tarfile.open(fileobj=io.BytesIO(value), mode="r:gz") as archive:
                archive.extractall(place, filter=_plain)  # noqa: S202 - by a filter
        except (tarfile.TarError, OSError, EOFError) as error:
            raise KickoffError(
                f"{folder.name} as etcd has it is damaged",
                code=ExitCode.UNREACHABLE,
                causes=[str(error)],
                hint=f"release its commit again; {folder.parent} of another host may have it, too",
            ) from None
        place.chmod(0o700)
        place.rename(folder)


def _plain(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo | None:
    """Take files and folders alone, below the place; their modes are part of what a container reads."""
    found = tarfile.tar_filter(member, place)
    return found if found.isfile() or found.isdir() else None


def _nobody_s(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
