"""What every test starts from."""

import signal
import sys

import pytest

from kickoff import masking

# A shell that starts the suite in the background has Ctrl-C ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with nothing to hide, and without the traceback of commands."""
    monkeypatch.setattr(masking, "_known", masking.Masker())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
