"""The service keeps what its OpenAPI document promises: schemathesis asks, with every check and no exclusion."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.unit.app.support import ROOT, ServerProcess

API_KEY = "0123456789abcdef"
# A few seconds; the reference documentation has the command for a longer run.
EXAMPLES = 20


def test_the_service_keeps_its_contract(
    database_url: str, redis_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    report = tmp_path / "report.json"
    config = ROOT / "tests" / "integration" / "schemathesis.toml"
    with ServerProcess(DATABASE_URL=database_url, REDIS_URL=redis_url, API_KEY=API_KEY) as server:
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("st"), "--config-file", config),
                *("run", f"{server.url}/openapi.json", "--checks=all", f"--max-examples={EXAMPLES}"),
                *("--no-color", "--report=json", f"--report-json-path={report}"),
            ],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "API_KEY": API_KEY},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    found = json.loads(report.read_text())
    record_property("cases", found["test_cases"]["generated"])
    assert found["operations"]["tested"] == found["operations"]["total"] > 0
    assert found["test_cases"]["generated"] > 200
    assert (found["test_cases"]["with_failures"], found["test_cases"]["errored"]) == (0, 0)
    phases = {name: phase["status"] for name, phase in found["phases"].items()}
    assert [phases[name] for name in ("examples", "coverage", "fuzzing")] == ["success"] * 3
