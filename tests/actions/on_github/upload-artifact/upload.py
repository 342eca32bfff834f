"""Keeps files as a zip of the run: their modes are lost, and none is added to it later."""

import glob
import os
import re
import sys
import zipfile
from pathlib import Path

GIVEN = os.environ
STORE = Path(GIVEN["GITHUB_STAND_IN"], "artifacts", GIVEN["GITHUB_RUN_ID"])
FORBIDDEN = re.compile(r'["<>|*?:\r\n\\/]')
FLAGS = {"true": True, "false": False}


def found(path: Path, *, hidden: bool) -> tuple[Path, list[Path]]:
    """Return the top of the archive, a folder or what stands before a wildcard, and the files."""
    if path.is_file():
        return path.parent, [path]
    plain = next((n for n, part in enumerate(path.parts) if glob.has_magic(part)), len(path.parts))
    top = Path(*path.parts[:plain])
    named = Path().glob(str(path))
    files = [file for one in named for file in (one.rglob("*") if one.is_dir() else [one]) if file.is_file()]
    shown = [file for file in files if not any(part.startswith(".") for part in file.relative_to(top).parts)]
    return top, files if hidden else shown


def main() -> None:
    """Do what the action's inputs ask for, or fail as it does."""
    name, path = GIVEN["NAME"], GIVEN["FILES"].strip()
    if not name or FORBIDDEN.search(name):
        sys.exit(f"::error::The artifact name is not valid: {name}")
    if "\n" in path or path.startswith("!"):
        sys.exit("::error::this stand-in takes one path")
    top, files = found(Path(path), hidden=FLAGS[GIVEN["HIDDEN"]])
    if not files:
        told = f"No files were found with the provided path: {path}. No artifacts will be uploaded."
        if GIVEN["NONE_FOUND"] == "error":
            sys.exit(f"::error::{told}")
        print(f"::warning::{told}")
        return
    STORE.mkdir(parents=True, exist_ok=True)
    kept = STORE / f"{name}.zip"
    if kept.exists() and not FLAGS[GIVEN["OVERWRITE"]]:
        sys.exit("::error::(409) Conflict: an artifact with this name already exists on the workflow run")
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            archive.writestr(str(file.relative_to(top)), file.read_bytes())
    print(f"Artifact {name} has {len(files)} file(s)")


if __name__ == "__main__":
    main()
