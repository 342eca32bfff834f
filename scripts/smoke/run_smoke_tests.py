#!/usr/bin/env python3
"""Send the smoke checks of configs/service.yml to the candidate or the live release; judge the answers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import os
from collections.abc import Mapping, Sequence

from kickoff import evidence, github
from kickoff import service as services
from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, Verdict
from kickoff.host import handover
from kickoff.probing import smoke
from kickoff.service import Service

_MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "?", Verdict.NOT_APPLICABLE: "-"}
_LOG_LINES = 40


def main() -> int:
    """Run the checks, leave the evidence and return the exit code."""
    arguments = _arguments(sys.argv[1:])
    root = Path.cwd()
    if arguments.base_url:
        service = services.load(root)
        document = _check(arguments, service, arguments.base_url, {}, arguments.expect_release)
        return _finish(arguments, document)
    # Only here, so that testing an address needs neither an environment file nor the engine.
    from kickoff.release.session import open_session  # noqa: PLC0415

    session = open_session(arguments.env, root)
    expected = session.expected_release(arguments.phase)
    with session.reach(arguments.phase) as endpoint:
        document = _check(
            arguments,
            session.service,
            endpoint.url,
            {**endpoint.headers, **session.check_headers()},
            expected,
        )
    if document.verdict is not Verdict.PASS:
        document.log_tail = list(session.logs(arguments.phase, _LOG_LINES))
        unsent = session.unsent_headers(" ".join(rule.reason for rule in document.rules))
        document.summary = "; ".join(filter(None, (document.summary, unsent)))
    code = _finish(arguments, document)
    if arguments.phase == "candidate" and arguments.attempt:
        session.record_check(arguments.attempt, document)
    return code


def _check(
    arguments: argparse.Namespace, service: Service, url: str, headers: Mapping[str, str], expected: str
) -> Evidence:
    started = evidence.now()
    rules = smoke.run(url, headers, service, expected)
    verdict = evidence.combine(rule.verdict for rule in rules)
    failed = [rule.rule for rule in rules if rule.verdict is Verdict.FAIL]
    who = expected or url
    counted = sum(rule.verdict is not Verdict.NOT_APPLICABLE for rule in rules)
    summary = (
        f"{len(failed)} of {counted} checks of {who} failed: {', '.join(failed)}"
        if failed
        else f"all {counted} checks of {who} passed"
    )
    return Evidence(
        stage=f"smoke-{arguments.phase}",
        environment=arguments.env,
        verdict=verdict,
        summary=summary,
        started=started,
        service=service.name,
        release=expected,
        attempt=arguments.attempt,
        inputs={"phase": arguments.phase, "base_url": url, "expected_release": expected},
        rules=rules,
    )


def _finish(arguments: argparse.Namespace, document: Evidence) -> int:
    for rule in document.rules:
        line = f"{_MARKS[rule.verdict]} {rule.rule}  {rule.measured}".rstrip()
        print(f"{line}\n    {rule.reason}" if rule.reason else line, file=sys.stderr)
    path = document.write(Path(arguments.evidence))
    print(f"{_MARKS[document.verdict]} {document.summary}\n  evidence  {path}", file=sys.stderr)
    for line in document.log_tail:
        print(f"  │ {line}", file=sys.stderr)
    github.set_output("verdict", document.verdict.value)
    if document.verdict is not Verdict.PASS:
        github.annotate("error", document.summary, title="Smoke test")
    return ExitCode(document.verdict.exit_code)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", required=True, metavar="NAME", help="environment to test")
    parser.add_argument(
        "--phase",
        required=True,
        choices=["candidate", "live"],
        help="candidate: no user reaches it yet; live: through the public address",
    )
    parser.add_argument(
        "--attempt", default="", metavar="ID", help="candidate: the attempt that gets the verdict"
    )
    parser.add_argument(
        "--base-url", default="", metavar="URL", help="test this address instead; the verdict is not recorded"
    )
    parser.add_argument(
        "--expect-release", default="", metavar="ID", help="with --base-url: the release that must answer"
    )
    parser.add_argument(
        "--evidence",
        default=os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence",
        metavar="DIR",
        help="where the evidence goes (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    if arguments.base_url and not arguments.base_url.startswith(("http://", "https://")):
        parser.error(f"--base-url {arguments.base_url!r} is no address; write http://host:port")
    if arguments.base_url and arguments.attempt:
        parser.error("--attempt finds its address by itself; leave --base-url out")
    if arguments.expect_release and not arguments.base_url:
        parser.error("--expect-release needs --base-url; otherwise the state says what must answer")
    return arguments


if __name__ == "__main__":
    sys.exit(handover.run(main))
