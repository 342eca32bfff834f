"""Unpacks what the run has kept: one artefact, those of a pattern, or all."""

import fnmatch
import os
import sys
import zipfile
from pathlib import Path

GIVEN = os.environ
STORE = Path(GIVEN["GITHUB_STAND_IN"], "artifacts", GIVEN["GITHUB_RUN_ID"])


def main() -> None:
    """Do what the action's inputs ask for; a pattern may find nothing, a name must be there."""
    name, pattern, merge = GIVEN["NAME"], GIVEN["PATTERN"], {"true": True, "false": False}[GIVEN["MERGE"]]
    kept = sorted(STORE.glob("*.zip"))
    if name:
        kept = [one for one in kept if one.stem == name]
        if not kept:
            sys.exit(f"::error::Unable to download artifact(s): Artifact not found for name: {name}")
    elif pattern:
        kept = [one for one in kept if fnmatch.fnmatchcase(one.stem, pattern)]
    for one in kept:
        with zipfile.ZipFile(one) as archive:
            archive.extractall(Path(GIVEN["FOLDER"] or ".", "" if name or merge else one.stem))
    print(f"Total of {len(kept)} artifact(s) downloaded")


if __name__ == "__main__":
    main()
