"""The OpenAPI document: written down as the code says, and kept for clients of the last release."""

import json

import pytest

from kickoff.openapi import breaking
from tests.unit.app.interface import TARGET, last_release, text
from tests.unit.app.support import ROOT


def test_the_committed_document_is_what_the_code_says() -> None:
    assert (ROOT / TARGET).read_text() == text(), "python -m tests.unit.app.interface writes it anew"


def test_clients_of_the_last_release_are_served() -> None:
    release = last_release()
    if release is None:
        pytest.skip("no tag v* is an ancestor of this commit: there is no release to compare with")
    assert breaking(release[1], json.loads(text())) == []
