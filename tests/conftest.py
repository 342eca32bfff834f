"""What every test starts from."""

import os
import signal
import sys

import pytest

from kickoff import masking

# A shell that starts the suite in the background has Ctrl-C ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The clients of the tests talk to this machine. Installations may still need the caller's proxies; what the
# product makes of those has rows of its own in the fault table, which run without these two lines.
for _name in ("ALL_PROXY", "all_proxy"):
    os.environ.pop(_name, None)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with nothing to hide, and without the traceback of commands."""
    monkeypatch.setattr(masking, "_known", masking.Masker())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
