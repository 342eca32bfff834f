"""Fixtures: loopback services, and a scenario short enough for a test."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from kickoff.performance import scenarios
from kickoff.performance.scenarios import Catalogue, Scenario
from tests.unit.performance.toy import Toy, serve

ROOT = Path(__file__).parents[3]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, whatever others were collected with it."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.statistical)


@pytest.fixture
def candidate() -> Iterator[Toy]:
    """A service that answers as release ``new``."""
    with serve(Toy("new")) as toy:
        yield toy


@pytest.fixture
def pair() -> Iterator[tuple[Toy, Toy]]:
    """Two services: releases ``new`` and ``old``."""
    with ExitStack() as stack:
        yield stack.enter_context(serve(Toy("new"))), stack.enter_context(serve(Toy("old")))


@pytest.fixture
def locustfile() -> Path:
    """The project's own users."""
    return ROOT / "tests/performance/locustfile.py"


@pytest.fixture
def catalogue() -> Catalogue:
    """The project's scenarios, as in development."""
    return scenarios.load(ROOT / "configs/performance/scenarios.yml", "development")


@pytest.fixture
def smoke(catalogue: Catalogue) -> Scenario:
    """The smoke scenario, faster and for two seconds."""
    return replace(catalogue.get("smoke"), duration=2.0, target_rps=20.0)
