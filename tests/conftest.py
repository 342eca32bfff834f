"""What every test starts from."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from kickoff import masking
from kickoff.cli import output

_E2E_SECONDS = 1800
_MEMORY, _ENOUGH = Path("/dev/shm"), 8 << 30

# A shell that starts the suite in the background has Ctrl-C ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The clients of the tests talk to this machine. Installations may still need the caller's proxies; what the
# product makes of those has rows of its own in the fault table, which run without these two lines.
for _name in ("ALL_PROXY", "all_proxy"):
    os.environ.pop(_name, None)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"

# What pipelines leave are thousands of small files a test; on a disk, making and removing them takes half of the time.
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH:
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give longer than the default to what starts the whole pipeline."""
    for item in items:
        if item.get_closest_marker("e2e") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_E2E_SECONDS))


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with nothing to hide, and without the traceback of commands."""
    monkeypatch.setattr(masking, "_known", masking.Masker())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture(autouse=True)
def no_options_of_other_tests() -> None:
    """Let each test begin with what is printed without ``--json``, ``--quiet`` and ``--verbose``."""
    output.configure(argparse.Namespace())
