"""Stands in for ``kickoff``: records later verbs, leaves the evidence and outputs of a success.

``RECORDER_FAULTS`` names a JSON file: call name (``smoke live``) → ``exit`` (code), ``sleep``
(seconds), ``silent`` (no evidence) or ``outputs`` (other outputs).
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
from kickoff import github
from kickoff.cli.main import main as real_main
from kickoff.evidence import Evidence, RuleResult, Verdict, now

RECORDED = (
    "env",
    "stage",
    "promote",
    "watch",
    "abort",
    "rollback",
    "smoke",
    "functional",
    "perf",
    "report",
    "audit",
)
STAGES = {
    "stage": "stage",
    "promote": "promote",
    "abort": "abort",
    "rollback": "rollback",
    "smoke candidate": "smoke-candidate",
    "smoke live": "smoke-live",
    "functional": "functional-candidate",
    "perf": "perf-baseline",
}
OUTPUTS = {
    "stage": {
        "attempt": "attempt-1",
        "changed": True,
        "candidate_url": "http://127.0.0.1:1",
        "release": "abc1234-00000000",
        "live_release": "",
    },
    "promote": {"release": "abc1234-00000000", "url": "http://127.0.0.1:2"},
    "smoke candidate": {"verdict": "pass"},
    "smoke live": {"verdict": "pass"},
    "functional": {"verdict": "pass"},
    "perf": {"verdict": "pass"},
    "report": {"verdict": "pass", "path": "report.html"},
}


def main() -> int:
    verb, arguments = sys.argv[1], sys.argv[2:]
    real = Path(__file__).with_name("unrecorded")
    if verb not in RECORDED or (real.is_file() and real.read_text() == verb):
        return real_main()
    options = dict(text.removeprefix("--").split("=", 1) for text in arguments if "=" in text)
    word = options.get("phase", "") or next((text for text in arguments if not text.startswith("-")), "")
    name = f"{verb} {word}".strip()
    fault = json.loads(Path(os.environ["RECORDER_FAULTS"]).read_text()).get(name, {})
    outputs = OUTPUTS.get(name, {}) | fault.get("outputs", {})
    for key, value in outputs.items():
        github.set_output(key, value)
    call = {
        "name": name,
        "arguments": arguments,
        "job": os.environ.get("GITHUB_JOB", ""),
        "tracked": "RUNNER_TRACKING_ID" in os.environ,
        "api_key": os.environ.get("API_KEY", ""),
    }
    with Path(os.environ["RECORDER_FILE"]).open("a") as stream:
        stream.write(json.dumps(call) + "\n")
    time.sleep(fault.get("sleep", 0))
    if verb == "report":
        ends = {job["result"] for job in json.loads(options["jobs"] or "{}").values()}
        return int(fault.get("exit", not ends <= {"success", "skipped"}))
    if name in STAGES and not fault.get("silent"):
        _leave_evidence(STAGES[name], options.get("env", ""), fault.get("exit", 0), outputs)
    return int(fault.get("exit", 0))


def _leave_evidence(stage: str, environment: str, code: int, outputs: dict[str, object]) -> None:
    verdict = Verdict.FAIL if code else Verdict.PASS
    rule = RuleResult(
        f"{stage}.told", stage, verdict, f"exit {code}", "exit 0", 1, "told to fail" if code else ""
    )
    Evidence(
        stage=stage,
        environment=environment,
        verdict=verdict,
        summary=f"{stage} ended with {code}",
        started=now(),
        service="demo",
        release="abc1234-00000000",
        attempt="attempt-1",
        rules=[rule],
        facts=_facts(outputs),
    ).write(Path(os.environ["KICKOFF_EVIDENCE_DIR"]))


def _facts(outputs: dict[str, object]) -> dict[str, object]:
    if "changed" not in outputs:
        return {}
    promoted = {"attempt": "attempt-0", "at": now(), "verdict": "pass"}
    return {"changed": outputs["changed"], **({} if outputs["changed"] else {"promoted": promoted})}


if __name__ == "__main__":
    sys.exit(main())
