"""The local target's artefact: a tar whose digest depends on its files alone.

Names, contents, executable bits and links decide the digest; times, owners, the builder's machine and
the commit's id do not. The file is stored under its digest, so building again changes nothing.
"""

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kickoff.artifact import build_steps, source
from kickoff.artifact.build_steps import Steps
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.service import described_in

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A stored bundle.

    Attributes:
        digest: ``sha256:<hex>`` of the tar.
        path: Where it is stored.
        commit: The commit it was made of.
        size: Its size in bytes.
        files: Number of files and links in it.
        created: ``False`` when the very same bundle was already there.
    """

    digest: str
    path: Path
    commit: str
    size: int
    files: int
    created: bool


def directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of bundles: ``KICKOFF_ARTIFACT_DIR``, else ``.kickoff/artifacts`` here."""
    given = (os.environ if environ is None else environ).get("KICKOFF_ARTIFACT_DIR")
    return Path(given) if given else Path.cwd() / ".kickoff" / "artifacts"


def build(root: Path, commit: str, paths: Sequence[str], store: Path, steps: Steps | None = None) -> Bundle:
    """Make the bundle of ``paths`` in ``commit`` and store it in ``store`` under its digest.

    Args:
        root: The project.
        commit: The commit.
        paths: What is shipped of it.
        store: The folder of bundles.
        steps: The service's build, whose outputs are shipped as well. It runs once for its key.

    Raises:
        KickoffError: The commit lacks a path, holds a pointer instead of content, a member would be unsafe
            to unpack, or the build failed.
    """
    store.mkdir(parents=True, exist_ok=True)
    if steps is None or not steps.commands:
        return _store(root, commit, paths, store)
    key = steps.key(root, commit, paths, os.environ)
    record = store / f"{key}.build.json"
    known = _known(record, store, commit)
    if known is not None:
        return known
    with build_steps.built(root, commit, steps, key) as tree:
        committed = [path for path in paths if not steps.leave(path)]
        made = _store(root, commit, committed, store, build_steps.files(tree, steps))
    write_atomic(record, json.dumps({"digest": made.digest, "files": made.files}))
    return made


def _known(record: Path, store: Path, commit: str) -> Bundle | None:
    """Return the bundle that a build came to before; ``None`` when it is not there as it was."""
    try:
        document = json.loads(record.read_text(encoding="utf-8"))
        path = find(store, str(document["digest"]))
        return Bundle(document["digest"], path, commit, path.stat().st_size, int(document["files"]), False)
    except (FileNotFoundError, ValueError, KeyError, TypeError, KickoffError):
        return None  # built anew


def _store(
    root: Path, commit: str, paths: Sequence[str], store: Path, made: Mapping[str, Path] | None = None
) -> Bundle:
    with _scratch(store) as packed:
        files = _pack(root, commit, paths, packed, made or {})
        if files == 0:
            raise KickoffError(
                "the bundle would be empty", at=str(described_in(root)), hint="check `bundle:`"
            )
        digest, size = _digest_of(packed), packed.stat().st_size
        path = store / f"{digest.removeprefix('sha256:')}.tar"
        created = not (path.is_file() and _digest_of(path) == digest)
        if created:
            with packed.open("rb") as stream:
                os.fsync(stream.fileno())
            packed.chmod(0o644)
            packed.replace(path)
    return Bundle(digest, path, commit, size, files, created)


def find(store: Path, digest: str) -> Path:
    """Return the verified bundle with ``digest`` in ``store``.

    Raises:
        KickoffError: The digest is malformed, or the bundle is missing or damaged.
    """
    path = store / f"{checked(digest).removeprefix('sha256:')}.tar"
    verify(path, digest)
    return path


def verify(path: Path, digest: str) -> None:
    """Make sure that the bundle at ``path`` is the one with ``digest``, byte for byte.

    Raises:
        KickoffError: It is missing, or it is another.
    """
    checked(digest)
    if not path.is_file():
        raise KickoffError(
            f"the bundle {digest[:19]}… is not at {path.parent}",
            code=ExitCode.UNREACHABLE,
            hint="build it again with `kickoff build`; the same commit gives the same digest",
        )
    found = _digest_of(path)
    if found != digest:
        raise KickoffError(
            f"the bundle is not what was built: expected {digest[:19]}…, found {found[:19]}…",
            code=ExitCode.REJECTED,
            at=str(path),
            hint="it was damaged or changed on its way; delete it and build again",
        )


def unpack(path: Path, destination: Path) -> None:
    """Unpack a bundle into the new or empty folder ``destination``.

    Every member is checked before the first is written: only files, folders and links that stay inside.

    Raises:
        KickoffError: A member is unsafe, the file is no tar, or the folder holds something already.
    """
    destination.mkdir(parents=True, exist_ok=True)
    if any(destination.iterdir()):
        raise KickoffError(f"{destination} is not empty", hint="unpack into a folder of its own")
    with _opened(path) as tar:
        members = tar.getmembers()
        _check(members)
        for member in members:
            # Older 3.11 builds lack the standard filter; the check above refuses all that it would.
            if hasattr(tarfile, "data_filter"):
                tar.extract(member, destination, filter="data")
            else:
                tar.extract(member, destination)


def export(root: Path, commit: str, destination: Path, paths: Sequence[str]) -> None:
    """Write ``paths`` of ``commit``, as a bundle holds them, into the new or empty folder ``destination``.

    Raises:
        KickoffError: As for :func:`build`.
    """
    with _scratch(destination.parent) as packed:
        _pack(root, commit, paths, packed, {})
        unpack(packed, destination)


def _pack(root: Path, commit: str, paths: Sequence[str], packed: Path, made: Mapping[str, Path]) -> int:
    """Write the tar of ``paths`` in ``commit`` and of files that were made of it; return their number.

    What was made stands in the place of what is committed.
    """
    entries = [entry for entry in source.shipped(root, commit, paths) if entry.path not in made]
    shipped = [*(entry.path for entry in entries), *made]
    folders = {str(parent) for path in shipped for parent in PurePosixPath(path).parents} - {"."}
    blobs = source.contents(root, sorted(entries, key=lambda entry: entry.path))
    members, pointers = [], []
    with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as out:
        for name in sorted({*folders, *shipped}):
            member, content = tarfile.TarInfo(name), b""
            if name in folders:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif name in made:
                content = _describe(member, made[name])
            else:
                entry, content = next(blobs)
                member.mode = 0o755 if entry.executable or entry.link else 0o644
                if entry.link:
                    member.type, member.linkname = tarfile.SYMTYPE, source.target(content)
                else:
                    member.size = len(content)
                if source.is_pointer(content):
                    pointers.append(name)
            members.append(member)
            out.addfile(member, io.BytesIO(content))
    source.refuse_pointers(pointers)
    _check(members)
    return len(shipped)


def _describe(member: tarfile.TarInfo, path: Path) -> bytes:
    """Give a member type, mode and size of the file at ``path``; return its content."""
    if path.is_symlink():
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o755, str(path.readlink())
        return b""
    if not path.is_file():
        raise _unsafe(member, "is neither a file, a folder nor a symbolic link")
    content = path.read_bytes()
    member.mode, member.size = 0o755 if os.access(path, os.X_OK) else 0o644, len(content)
    return content


def _check(members: Sequence[tarfile.TarInfo]) -> None:
    links = {PurePosixPath(member.name) for member in members if member.issym()}
    for member in members:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or not name.parts:
            raise _unsafe(member, "points outside the bundle")
        if links.intersection(name.parents):
            raise _unsafe(member, "lies behind a link")
        if not (member.isfile() or member.isdir() or member.issym()):
            raise _unsafe(member, "is neither a file, a folder nor a symbolic link")
        if member.issym() and _escapes(name, PurePosixPath(member.linkname)):
            raise _unsafe(member, f"links to {member.linkname}, which may lie outside the bundle")


def _escapes(name: PurePosixPath, link: PurePosixPath) -> bool:
    parts = link.parts
    up = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    # A `..` further on may climb from wherever another link leads to, so the text alone cannot be trusted.
    return link.is_absolute() or ".." in parts[up:] or up >= len(name.parts)


def _unsafe(member: tarfile.TarInfo, why: str) -> KickoffError:
    return KickoffError(
        f"{member.name!r} {why}",
        hint="a bundle holds files, folders and relative links within itself; take this one out",
    )


def checked(digest: str) -> str:
    """Return ``digest`` when it is one.

    Raises:
        KickoffError: It is not `sha256:` and 64 hexadecimal digits.
    """
    if not _DIGEST.fullmatch(digest):
        raise KickoffError(
            f"{digest[:80]!r} is no digest", hint="a digest is `sha256:` and 64 hexadecimal digits"
        )
    return digest


def _digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    opened: Callable[..., tarfile.TarFile] = tarfile.open
    try:
        tar = opened(path, "r:")
    except tarfile.TarError as error:
        raise KickoffError(f"not a tar archive: {error}", at=str(path)) from None
    with tar:
        yield tar


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=".bundle.", dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
