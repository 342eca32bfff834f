#!/usr/bin/env python3
"""Every broken input of the tests through the real command, as a Markdown table; exit code 1 on any surprise.

A surprise is a pass, a traceback, an exit code other than 2, or another rule or line than expected.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.unit.environment.support import FOLDER, Project  # noqa: E402 - found through the line above

CASES = ROOT / "tests" / "unit" / "environment" / "broken_inputs.yml"
LOADER = ROOT / "scripts" / "deploy" / "environment-loader.py"


def main() -> int:
    """Print the table; return 1 when one input was not refused as expected."""
    cases = yaml.safe_load(CASES.read_text("utf-8"))
    environ = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    surprises = tracebacks = passes = 0
    print("| Broken input | Place | Rules | Exit code |\n| --- | --- | --- | --- |")
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(ROOT / FOLDER, Path(folder, FOLDER))
            env, line = Project(Path(folder)).break_by(case)
            done = subprocess.run(
                [sys.executable, str(LOADER), "validate", "--env", env, "--format", "json"],
                cwd=folder, env=environ, capture_output=True, encoding="utf-8", check=False,
            )  # fmt: skip
        crashed = "Traceback" in done.stderr
        found = [] if crashed else json.loads(done.stdout)["findings"]
        rules = {one["rule"] for one in found}
        good = rules == set(case.get("rules", [case.get("rule")])) and line in {one["line"] for one in found}
        surprises += not good or done.returncode != 2
        tracebacks += crashed
        passes += done.returncode == 0
        print(f"| {case['name']} | `{env}.env:{line}` | {', '.join(sorted(rules))} | {done.returncode} |")
    print(f"\n{len(cases)} inputs, {tracebacks} tracebacks, {passes} wrong passes, {surprises} surprises")
    return 1 if surprises or tracebacks or passes else 0


if __name__ == "__main__":
    sys.exit(main())
