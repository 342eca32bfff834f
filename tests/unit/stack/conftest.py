"""Fixtures of the stacks' tests."""

import json
from typing import Any

import pytest

from tests.unit.stack.stack_support import STACKS, compose, exported


@pytest.fixture(scope="session", params=STACKS)
def resolved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One stack, resolved with all its profiles."""
    folder = tmp_path_factory.mktemp("compose")
    environ = exported(request.param, folder)
    text = compose(
        request.param, folder / "exported.env", environ, "--profile", "*", "config", "--format", "json"
    )
    document: dict[str, Any] = json.loads(text)
    return document
