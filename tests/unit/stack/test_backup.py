"""The backup service says how old its newest backup is; what it runs of PostgreSQL is stood in for."""

import os
import stat
import subprocess
import time
from pathlib import Path

from kickoff.prometheus import samples
from tests.unit.stack.stack_support import ROOT

STAND_INS = {
    # pg_dump … --file NAME.part
    "pg_dump": 'while [ "$1" != --file ]; do shift; done; printf dump >"$2"',
    "pg_restore": "exit ${RESTORE_CODE:-0}",
}


def once(folder: Path, **extra: str) -> int:
    """Run the script as in its container; return its exit code."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "backups").mkdir(exist_ok=True)
    for name, body in STAND_INS.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / "bin" / name).chmod(0o755)
    (folder / "password").write_text("secret")
    (folder / "user").write_text("clerk")
    text = (ROOT / "configs/postgres/backup.sh").read_text("utf-8")
    for place, ours in {
        "cd /backups": f"cd {folder / 'backups'}",
        "/tmp/pgpass": str(folder / "pgpass"),
        "/run/secrets/postgres_app_password": str(folder / "password"),
        "/run/secrets/postgres_app_user": str(folder / "user"),
    }.items():
        assert place in text
        text = text.replace(place, ours)
    (folder / "backup.sh").write_text(text)
    environ = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "BACKUP_KEEP": "2",
        "BACKUP_INTERVAL_SECONDS": "600",
    }
    return subprocess.run(
        ["sh", str(folder / "backup.sh"), "once"],
        env=environ | extra,
        capture_output=True,
        timeout=30,
        check=False,
    ).returncode


def told(folder: Path) -> dict[str, float]:
    text = (folder / "backups" / "backup.prom").read_text("utf-8")
    names = ("backup_last_success_timestamp_seconds", "backup_last_size_bytes", "backup_interval_seconds")
    return {sample.name: sample.value for sample in samples(text, *names)}


def test_a_backup_tells_its_age_to_another_user_who_cannot_read_it(tmp_path: Path) -> None:
    before = int(time.time())
    assert once(tmp_path) == 0
    found = told(tmp_path)
    assert before <= found.pop("backup_last_success_timestamp_seconds") <= time.time()
    assert found == {"backup_last_size_bytes": 4, "backup_interval_seconds": 600}
    assert stat.S_IMODE((tmp_path / "backups" / "backup.prom").stat().st_mode) == 0o644
    [dump] = (tmp_path / "backups").glob("*.dump")
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600


def test_one_that_cannot_be_read_back_tells_nothing(tmp_path: Path) -> None:
    assert once(tmp_path) == 0
    before = told(tmp_path)
    assert once(tmp_path, RESTORE_CODE="1") != 0
    assert told(tmp_path) == before
