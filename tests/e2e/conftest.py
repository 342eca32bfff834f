"""The projects that the end-to-end tests ship."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with nothing released yet; everything it starts is stopped again."""
    created = Project(tmp_path)
    for key, value in created.environ.items():
        monkeypatch.setenv(key, value)
    yield created
    created.close()
