"""Two stacks compared as their compose files are written: no variable is filled in, and no engine asked.

A service that another file gives by ``extends`` is read with what it takes over, each layer for itself.
"""

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from kickoff import stack
from kickoff.change.model import Part, actions

_AROUND = ("networks", "volumes", "secrets", "configs")
"""What a compose file declares beside its services."""
_DEEPEST = 10


class _Layer(NamedTuple):
    """One way that a service is written: in which folder, and how."""

    folder: str
    keys: Mapping[str, Any]


def compare(
    before: Path, after: Path, old_file: Path | None, new_file: Path | None, touched: Collection[str]
) -> tuple[Part, ...]:
    """Return the parts of a stack that differ.

    Args:
        before: Folder with the files of the older commit.
        after: Folder with those of the newer one.
        old_file: The older compose file, relative to its folder; ``None`` for none.
        new_file: The newer one.
        touched: Files of the project that differ, which containers may mount.

    Raises:
        KickoffError: A compose file is not YAML (exit 2).
    """
    old, new = _read(before, old_file), _read(after, new_file)
    old_services, new_services = _layers(before, old_file, old), _layers(after, new_file, new)
    differing = actions(old_services, new_services)
    found = []
    for name in dict.fromkeys([*new_services, *old_services]):
        mounted = _mounted(new_services.get(name, ()), touched)
        if differing.get(name, "changed") != "changed":
            found.append(Part(name, differing[name]))
        elif name in differing or mounted:
            keys = _keys(old_services[name], new_services[name])
            found.append(Part(name, "changed", ", ".join([*keys, *mounted])))
    included = set(_included(old_file, old)) | set(_included(new_file, new))
    found += [Part(f"include {path}", "changed") for path in touched if path in included]
    for kind in _AROUND:
        for name, action in actions(_entries(old, kind), _entries(new, kind)).items():
            found.append(Part(f"{kind.removesuffix('s')} {name}", action))
    return tuple(found)


def _read(folder: Path, file: Path | None) -> Mapping[str, Any]:
    if file is None or not (folder / file).is_file():
        return {}
    return _parsed((folder / file).read_text(encoding="utf-8", errors="replace"), str(file))


@lru_cache(maxsize=32)
def _parsed(text: str, source: str) -> Mapping[str, Any]:
    return stack.document_of(text, source)


def _included(file: Path | None, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files that a compose file includes, which are not read."""
    entries = document.get("include")
    for entry in entries if isinstance(entries, list) else ():
        paths = entry.get("path") if isinstance(entry, dict) else entry
        for path in paths if isinstance(paths, list) else [paths]:
            yield posixpath.normpath(((file or Path()).parent / str(path)).as_posix())


def _entries(document: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = document.get(kind)
    return found if isinstance(found, dict) else {}


def _layers(folder: Path, file: Path | None, document: Mapping[str, Any]) -> dict[str, tuple[_Layer, ...]]:
    if file is None:
        return {}
    return {
        str(name): tuple(_taken_over(folder, file, document, str(name)))
        for name in _entries(document, "services")
    }


def _taken_over(
    folder: Path, file: Path, document: Mapping[str, Any], name: str, depth: int = 0
) -> Iterator[_Layer]:
    """Yield a service as it is written, then what it extends, and so on."""
    service = _entries(document, "services").get(name)
    if not isinstance(service, dict):
        return
    yield _Layer(file.parent.as_posix(), service)
    extends = service.get("extends")
    base = {"service": extends} if isinstance(extends, str) else extends
    if not isinstance(base, dict) or depth > _DEEPEST:
        return
    named = base.get("file")
    other = Path(posixpath.normpath((file.parent / str(named)).as_posix())) if named else file
    # Below the project alone: the files of a commit lie in a folder of their own.
    if ".." not in other.parts and not other.is_absolute():
        there = _read(folder, other) if named else document
        yield from _taken_over(folder, other, there, str(base.get("service")), depth + 1)


def _keys(old: Sequence[_Layer], new: Sequence[_Layer]) -> list[str]:
    """Return what of a service differs; an image with both, since it says what a container runs."""

    def values(layers: Sequence[_Layer], key: str) -> list[object]:
        return [layer.keys[key] for layer in layers if key in layer.keys]

    names = dict.fromkeys(key for layer in (*new, *old) for key in layer.keys if key != "extends")
    differing = [name for name in names if values(old, name) != values(new, name)]
    was, now = values(old, "image")[:1], values(new, "image")[:1]
    if was != now and was and now:
        differing = [f"image {was[0]} → {now[0]}", *(name for name in differing if name != "image")]
    return [str(name) for name in differing] or ["extends"] * (old != new)


def _mounted(layers: Sequence[_Layer], touched: Collection[str]) -> list[str]:
    """Return the files among ``touched`` that a service mounts, by itself or within a folder."""
    sources = []
    for layer in layers:
        volumes = layer.keys.get("volumes")
        for mount in volumes if isinstance(volumes, list) else ():
            source = mount.get("source") if isinstance(mount, dict) else str(mount).split(":")[0]
            if str(source).startswith("."):
                sources.append(posixpath.normpath(posixpath.join(layer.folder, str(source))))
    return [path for path in touched if any(path == one or path.startswith(f"{one}/") for one in sources)]
