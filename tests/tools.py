"""Programs that tests need and PyPI does not have: `make tools` gets them, or the PATH has them."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".kickoff" / "tools"
"""Where `scripts/setup/test_tools.sh` puts them."""


def tool(*names: str) -> str:
    """Return the program that has one of these names; a missing one skips the test, or fails it where it is required."""
    found = next(filter(None, (shutil.which(name, path=_path()) for name in names)), None)
    if found is None:
        said = f"{names[0]} is not installed: `make tools` gets it"
        if os.environ.get("KICKOFF_TEST_TOOLS") == "required":
            pytest.fail(said)
        pytest.skip(said)
    return found


def _path() -> str:
    return os.pathsep.join([str(FOLDER), os.environ.get("PATH", os.defpath)])
