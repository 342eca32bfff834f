"""What the verbs of a release print with ``--json``, against one release of the fixture service."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project
from tests.unit.cli.test_output import check

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    with made.entered():
        yield made
        made.command("stop")


def test_results_keep_their_schemas(project: Project) -> None:
    staged = project.stage(project.commit(), KICKOFF_LOG="")
    assert (staged.returncode, staged.stdout) == (0, ""), staged.stderr
    staged_as = project.evidence("stage")
    attempt, release = staged_as["attempt"], staged_as["release"]
    promoted = check("promote", project.command("promote", "--attempt", attempt, "--json").stdout)
    assert (promoted["verdict"], promoted["live_release"]) == ("pass", promoted["release"])
    for verb, options in (
        ("status", ()), ("logs", ("--lines=5",)), ("history", ()), ("history", ("--verify",)), ("metrics", ()),
        ("show", (release,)), ("history", ("--limit=1",)),
        ("plan", ()), ("unlock", ("--force",)), ("start", ()), ("resume", ()), ("stop", ()),
    ):  # fmt: skip
        done = project.command(verb, *options, "--json")
        assert done.returncode == 0, done.stderr
        check(verb, done.stdout)
    down = project.command("status", "--json")
    assert down.returncode == 4
    assert check("status", down.stdout)["serves"] is False


def test_a_verb_is_quiet_or_verbose(project: Project) -> None:
    project.ship()
    loud = project.command("rollback", "--verbose")
    assert loud.returncode != 0
    assert "on this machine" in loud.stderr and "has no earlier release" in loud.stderr
    quiet = project.command("start", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert json.loads(project.command("status", "--json", "--quiet").stdout)["serves"]
