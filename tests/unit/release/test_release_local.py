"""What the local target reads of its host."""

import os
from pathlib import Path

import pytest

from kickoff.release.targets.local import usage


def test_a_process_may_use_the_processors_of_its_affinity_within_the_quotas_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "CGROUPS", tmp_path)
    every = float(len(os.sched_getaffinity(0)))
    assert usage.processors(os.getpid()) == every, "no group has a quota"
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usage.processors(os.getpid()) == every
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usage.processors(os.getpid()) == 0.5
    (tmp_path / "cpu.max").write_text("100000000 100000\n")
    assert usage.processors(os.getpid()) == every, "a quota beyond the host gives no more of it"


def test_a_process_that_is_gone_uses_nothing() -> None:
    assert usage.usage(2**22 + 1) == (0, 0.0, 1.0)
