"""A sample of the fault table on the real service, broken in a copy of its own."""

import shutil
from collections.abc import Iterator
from typing import ClassVar

import pytest

from kickoff.errors import ExitCode
from tests.e2e import disturbances as disturb
from tests.e2e.faults import Fault, Stop
from tests.e2e.project import REPOSITORY, UNSHIPPED, Project, Request
from tests.e2e.rehearsal import Bench

pytestmark = [pytest.mark.e2e, pytest.mark.statistical]

MATCH = {"home_team": "Arsenal", "away_team": "Chelsea"}


class AppProject(Project):
    """The real service with its own configuration, run by this interpreter.

    The fault switches of a commit are files: path and new content.
    """

    bundle: ClassVar[tuple[str, ...]] = ("app", "alembic.ini")
    requests: ClassVar[tuple[Request, ...]] = (
        ("GET", "/health/ready", None),
        ("POST", "/predictions", MATCH),
        ("GET", "/predictions?limit=1", None),
    )
    slow_seconds: ClassVar[float] = 0

    def _fill(self) -> None:
        for folder in ("app", "configs"):
            shutil.copytree(REPOSITORY / folder, self.root / folder, ignore=UNSHIPPED)
        for name in ("alembic.ini", "kickoff.yml"):
            shutil.copyfile(REPOSITORY / name, self.root / name)
        service = self.root / "kickoff.yml"
        lines = service.read_text(encoding="utf-8").splitlines(keepends=True)
        own = ("requirements: ", "  - requirements/")
        text = "".join(line for line in lines if not line.startswith(own))
        text = text.replace("required_checks: [smoke-candidate, perf-baseline]", "required_checks: []")
        service.write_text(text, encoding="utf-8")
        self.set(BAKE_TIME="2s", READY_TIMEOUT="15s", LOG_LEVEL="warning", DEBUG="false")

    def commit(self, **faults: object) -> str:
        """Commit the service with these files changed; return the commit."""
        shutil.rmtree(self.root / "app")
        shutil.copytree(REPOSITORY / "app", self.root / "app", ignore=UNSHIPPED)
        shutil.copyfile(REPOSITORY / "alembic.ini", self.root / "alembic.ini")
        for path, text in faults.items():
            (self.root / path).write_text(str(text), encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", f"changed: {list(faults) or 'nothing'}")
        return self._git("rev-parse", "HEAD").strip()


FAULTS = (
    Fault("nothing", Stop.LIVE, "pass", ExitCode.PASS, "serves all requests", rate=20),
    Fault("crash at start", Stop.STAGE, "fail", ExitCode.REJECTED, "the process ended",
          {"app/__main__.py": "raise SystemExit(3)\n"}, rate=20),
    Fault("migration fails", Stop.STAGE, "fail", ExitCode.REJECTED, "failed with exit code",
          {"alembic.ini": "[alembic]\nscript_location = nowhere\n"}, rate=20),
    Fault("candidate gone before it is promoted", Stop.PROMOTE, "fail", ExitCode.REJECTED,
          "the process ended", disturbance=disturb.candidate_stopped, rate=20),
    Fault("metrics endpoint down", Stop.BAKE, "inconclusive", ExitCode.ROLLED_BACK, "metrics cannot be read",
          disturbance=disturb.metrics_down, rate=20),
)  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    kept = Bench(tmp_path_factory.mktemp("bench"), AppProject)
    yield kept
    kept.close()


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_app_fault(bench: Bench, fault: Fault) -> None:
    assert bench.rehearse(fault).problems == []
