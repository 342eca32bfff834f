"""The backup service says how old its newest backup is; what it runs of PostgreSQL and barman is stood in for."""

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from kickoff.prometheus import samples
from tests.unit.stack.stack_support import ROOT

STAND_INS = {
    # What barman is asked to do stands in a file; a backup is a folder.
    "barman": """shift 3
echo "$@" >>"$ASKED"
case "$1" in
backup) mkdir -p football/base/1 && printf backup >football/base/1/data ;;
restore) mkdir restored ;;
delete) rm -r football/base/1 ;;
esac""",
    "pg_ctl": ":",
    "pg_dump": "exit ${UNREADABLE:-0}",
    "psql": "echo f",
}


@pytest.fixture
def service(tmp_path: Path) -> "Service":
    return Service(tmp_path)


class Service:
    """The script as in its container, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.backups, self.asked, self.programs = folder / "backups", folder / "asked", folder / "bin"
        for new in (self.backups, self.programs):
            new.mkdir()
        for name, body in STAND_INS.items():
            (self.programs / name).write_text(f"#!/bin/sh\n{body}\n")
            (self.programs / name).chmod(0o755)
        (folder / "password").write_text("secret")
        text = (ROOT / "configs/postgres/backup.sh").read_text("utf-8")
        for place, ours in {
            "/tmp/": f"{folder}/",  # first: the others may stand in it
            "cd /backups": f"cd {self.backups}",
            "/run/secrets/postgres_replication_password": str(folder / "password"),
            "/etc/barman.conf": str(ROOT / "configs/postgres/barman.conf"),
        }.items():
            assert place in text
            text = text.replace(place, ours)
        self.script = folder / "backup.sh"
        self.script.write_text(text)

    def run(self, verb: str, **extra: str) -> int:
        """Return its exit code."""
        environ = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "ASKED": str(self.asked),
            "BACKUP_KEEP": "2",
            "BACKUP_INTERVAL_SECONDS": "600",
        }
        return subprocess.run(
            ["sh", str(self.script), verb], env=environ | extra, capture_output=True, timeout=30, check=False
        ).returncode

    def told(self) -> dict[str, float]:
        text = (self.backups / "backup.prom").read_text("utf-8")
        names = ("backup_last_success_timestamp_seconds", "backup_interval_seconds")
        return {sample.name: sample.value for sample in samples(text, *names)}


def test_a_backup_tells_its_age_to_another_user_who_cannot_read_it(service: Service) -> None:
    before = int(time.time())
    assert service.run("once") == 0
    found = service.told()
    assert before <= found.pop("backup_last_success_timestamp_seconds") <= time.time()
    assert found == {"backup_interval_seconds": 600}
    assert stat.S_IMODE((service.backups / "backup.prom").stat().st_mode) == 0o644
    kept = service.backups / "football/base/1/data"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_one_that_cannot_be_read_back_is_none(service: Service) -> None:
    assert service.run("once") == 0
    before = service.told()
    assert service.run("once", UNREADABLE="1") != 0
    assert service.told() == before
    assert service.asked.read_text().splitlines()[-1] == "delete football latest"


@pytest.mark.parametrize(("backup", "stream", "code"), [(0, 0, 0), (1300, 0, 1), (0, 90, 1)])
def test_it_is_ill_without_a_young_backup_or_without_the_changes_since(
    service: Service, backup: int, stream: int, code: int
) -> None:
    now = int(time.time())
    name = "backup_last_success_timestamp_seconds"
    (service.backups / "backup.prom").write_text(f"{name} {now - backup}\n")
    (service.backups / "stream.prom").write_text(f"backup_stream_timestamp_seconds {now - stream}\n")
    assert service.run("check") == code


def test_what_was_never_recovered_is_not_installed(service: Service) -> None:
    assert service.run("install") == 2
