#!/usr/bin/env python3
"""Run load scenarios against a service and judge them; compare with a second address when one is given."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("performance")

import argparse
import contextlib
import os
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType

from kickoff import evidence, git, github
from kickoff import service as services
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict
from kickoff.host import handover
from kickoff.performance import (
    aggregates,
    baselines,
    check,
    live_release,
    load,
    resources,
    runner,
    scenarios,
    summary,
)
from kickoff.performance.load import Arm
from kickoff.performance.progress import Line
from kickoff.performance.resources import Probe
from kickoff.performance.samples import CANDIDATE
from kickoff.performance.scenarios import Catalogue, Scenario
from kickoff.report import load_page

_MARKS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_APPLICABLE: "–",  # noqa: RUF001 - read by people
}
_BASELINES = Path("configs/performance/baselines")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run, once the arguments and the project's files are read."""

    arguments: argparse.Namespace
    service: services.Service
    catalogue: Catalogue
    chosen: tuple[Scenario, ...]
    setup: check.Setup
    attempt: str
    not_compared: str


def main() -> int:
    """Parse the arguments and run; returns the exit code."""
    arguments = _arguments(sys.argv[1:])
    root = Path.cwd()
    service = services.load(root)
    scenario_file = root / service.scenarios
    catalogue = scenarios.load(scenario_file, arguments.env, service.scenarios)
    if arguments.duration is not None:
        settings = replace(catalogue.comparison, max_duration=arguments.duration)
        catalogue = replace(catalogue, comparison=settings)
    if arguments.list:
        _list(catalogue)
        return ExitCode.PASS
    signal.signal(signal.SIGTERM, _terminate)
    if arguments.candidate:
        return _pipeline(arguments, root, service, catalogue)
    if not arguments.host:
        raise KickoffError("no address to test", hint="give --host http://127.0.0.1:8000")
    candidate = Arm("candidate", arguments.host, _headers(arguments.header), arguments.release)
    live = Arm("live", arguments.against, _headers(arguments.header)) if arguments.against else None
    if live is not None:
        load.require(live.url)  # whoever names an address means one that answers
    found = {arm.name: resources.listening_on(arm.url) for arm in (candidate, live) if arm}
    probes = {name: resources.of_process(pid) for name, pid in found.items() if pid}
    given = {key: os.environ[key] for key in service.load_environment if key in os.environ}
    setup = _setup(arguments, root, service, candidate=candidate, live=live, environ=given, probes=probes)
    chosen = _chosen(arguments, catalogue, "")
    why = "" if live else "no second address was given (--against)"
    document = _execute(Job(arguments, service, catalogue, chosen, setup, "", why))
    return _exit_code(document)


def _pipeline(
    arguments: argparse.Namespace, root: Path, service: services.Service, catalogue: Catalogue
) -> int:
    # Only here, so that testing an address does not need the release engine.
    from kickoff.release.session import open_session  # noqa: PLC0415

    session = open_session(arguments.env, root)
    given = {key: session.environment.text(key) for key in service.load_environment}
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(session.reach("candidate"))
        candidate = Arm("candidate", base.url, dict(base.headers), session.expected_release("candidate"))
        live = None
        if session.expected_release("live"):
            # The private way in, as for the candidate: a difference is then the release's, not the route's.
            reached = stack.enter_context(session.reach("live-direct"))
            live = Arm("live", reached.url, dict(reached.headers), session.expected_release("live"))
        if arguments.max_rps is None:
            arguments.max_rps = float(session.environment.integer("PERF_MAX_RPS"))
        pids = {
            arm.name: session.target.state(colour).pid
            for arm, colour in (
                (candidate, session.colour_of("candidate")),
                (live, session.colour_of("live")),
            )
            if arm is not None and colour is not None
        }
        probes = {name: resources.of_process(pid) for name, pid in pids.items() if pid}
        setup = _setup(
            arguments,
            root,
            service,
            candidate=candidate,
            live=live,
            environ=given,
            probes=probes,
            check_headers=session.check_headers(),
        )
        chosen = _chosen(arguments, catalogue, session.environment.text("PERF_SCENARIO"))
        why = "" if live else "nothing is live yet, so the absolute rules decide"
        job = Job(arguments, service, catalogue, chosen, setup, arguments.attempt, why)
        document = _execute(job)
    session.record_check(arguments.attempt, document)
    return _exit_code(document)


def _execute(job: Job) -> Evidence:
    load.require(job.setup.candidate.url)
    started = evidence.now()
    outcomes = []
    for scenario in job.chosen:
        job.setup.say(_headline(scenario, job))
        outcome = check.run(scenario, job.setup, job.catalogue)
        outcomes.append(outcome)
        if outcome.partial:
            break
        _baseline(outcome, job)
    document = check.to_evidence(
        outcomes,
        environment=job.arguments.env,
        service=job.service.name,
        release=job.setup.candidate.release,
        attempt=job.attempt,
        started=started,
        inputs={
            "scenarios": [scenario.name for scenario in job.chosen],
            "seconds": [scenario.duration for scenario in job.chosen],
            "host": job.setup.candidate.url,
            "against": job.setup.live.url if job.setup.live else "",
            "max_rps": job.setup.max_rps,
        },
        compared=job.setup.live is not None,
        not_compared=job.not_compared,
        unmeasured=job.setup.unmeasured,
    )
    document.facts["runner"] = {"class": runner.runner_class(), "processor": runner.processor()}
    folder = Path(job.arguments.evidence)
    suffix = f".{job.arguments.env}" if job.arguments.env else ""
    samples = folder / f"{check.STAGE}{suffix}.samples.csv.gz"
    check.write_samples(outcomes, samples)
    document.facts["samples_file"] = samples.name
    path = document.write(folder)
    text = summary.markdown(document)
    if job.arguments.report:
        written = (
            (".md", text),
            (".csv", summary.aggregates_csv(document)),
            (".html", load_page.render(document)),
        )
        for ending, content in written:
            evidence.write_atomic(path.with_suffix(ending), content)
    github.append_summary(text)
    github.set_output("verdict", document.verdict)
    _print(document, path, samples)
    return document


def _baseline(outcome: check.Outcome, job: Job) -> None:
    """Judge a run by its stored baseline, or add it to that baseline, as the arguments ask."""
    compare, update = job.arguments.baseline, job.arguments.update_baseline
    if compare is None and update is None:
        return
    folder = compare or update
    key = baselines.Key(job.arguments.env, outcome.scenario.name, runner.runner_class())
    known = baselines.load(key, folder)
    first = outcome.runs[0]
    figures = aggregates.by_endpoint(sample for sample in first.samples if sample.arm == CANDIDATE)
    run = baselines.measured(figures, evidence.now(), first.seconds)
    if compare is not None:
        outcome.rules += (
            [baselines.missing(key, str(key.path(folder)))]
            if known is None
            else baselines.judge(known, run, job.catalogue.comparison)
        )
    if update is None:
        return
    verdict = evidence.combine(rule.verdict for rule in outcome.rules)
    # With --baseline the old baseline has judged too, and a doubt about noise must not keep a run out.
    own = [rule for rule in outcome.rules if not rule.id.startswith(f"{baselines.AREA}.")]
    if evidence.combine(rule.verdict for rule in own) is not Verdict.PASS or first.saturated:
        why = first.saturated or f"the run is {verdict}"
        job.setup.say(f"baseline not updated: {why}")
        return
    commit = _commit(job)
    path = baselines.save(baselines.add(known, key, commit, runner.processor(), run), folder)
    job.setup.say(f"baseline updated: {path}; review and commit it")


def _commit(job: Job) -> str:
    """Return the commit that was measured: the release's, or the one checked out here.

    Raises:
        KickoffError: Neither is known.
    """
    if job.setup.candidate.release:
        return job.setup.candidate.release.partition("-")[0]
    done = git.run(Path.cwd(), "rev-parse", "--short", "HEAD", check=False)
    if done.returncode:
        raise KickoffError(
            "a baseline names the commit it was measured on, and this folder has none",
            hint="give --release ID of the service that answers",
        )
    return done.stdout.strip()


def _print(document: Evidence, path: Path, samples: Path) -> None:
    for rule in document.rules:
        figures = f"{rule.measured} (limit {rule.threshold}, n={rule.samples})"
        line = f"{_MARKS[rule.verdict]} {rule.rule}: {figures}"
        print(f"{line}\n    {rule.reason}" if rule.reason else line)
    for warning in summary.warnings(document):
        print(f"warning: {warning}")
    print(f"\n{_MARKS[document.verdict]} {document.verdict.upper()}  {document.summary}")
    print(f"  evidence  {path}\n  samples   {samples}")
    if path.with_suffix(".md").exists():
        print(f"  report    {path.with_suffix('.html')}\n  summary   {path.with_suffix('.md')}")
        print(f"  figures   {path.with_suffix('.csv')}")


def _exit_code(document: Evidence) -> int:
    return ExitCode.INTERRUPTED if document.facts["partial"] else document.verdict.exit_code


def _headline(scenario: Scenario, job: Job) -> str:
    against = f" interleaved with {job.setup.live.url}" if job.setup.live else ""
    users = "1 user" if scenario.users == 1 else f"{scenario.users} users"
    return f"{scenario.name}: {users} for {scenario.duration:g} s on {job.setup.candidate.url}{against}"


def _setup(
    arguments: argparse.Namespace,
    root: Path,
    service: services.Service,
    *,
    candidate: Arm,
    live: Arm | None,
    environ: dict[str, str],
    probes: dict[str, Probe],
    check_headers: Mapping[str, str] | None = None,
) -> check.Setup:
    # act gives its steps a terminal, but nobody sits at it: what they print is kept in a log.
    line = Line(sys.stderr, redraw=sys.stderr.isatty() and not github.context().active)
    sides = [arm.name for arm in (candidate, live) if arm is not None and arm.name not in probes]
    local: list[list[str]] = [[] for _ in range(arguments.workers)]
    asked = replace(live, headers={**live.headers, **(check_headers or {})}) if live else None
    return check.Setup(
        candidate=candidate,
        live=live,
        locustfile=root / service.locustfile,
        max_rps=arguments.max_rps or 0.0,
        release_header=service.release_header,
        environ=environ,
        workers=[*local, *(shlex.split(command) for command in arguments.worker_command)],
        probes=probes,
        unmeasured=f"the process behind {' and '.join(sides)} cannot be seen from here" if sides else "",
        live_down=live_release.asked(asked, service) if asked else lambda: "",
        say=line.say,
        on_progress=line.show,
    )


def _chosen(arguments: argparse.Namespace, catalogue: Catalogue, default: str) -> tuple[Scenario, ...]:
    names = arguments.suite or [arguments.scenario or default or "smoke"]
    chosen = tuple(catalogue.get(name) for name in names)
    if arguments.duration is not None:
        chosen = tuple(replace(scenario, duration=arguments.duration) for scenario in chosen)
    return chosen


def _list(catalogue: Catalogue) -> None:
    print(f"{'scenario':16}{'users':>6}{'seconds':>9}{'requests/s':>12}{'errors':>8}{'p95':>9}  what")
    for scenario in catalogue.scenarios.values():
        target = f"{scenario.target_rps:g}" if scenario.target_rps else "think time"
        print(
            f"{scenario.name:16}{scenario.users:>6}{scenario.duration:>9g}{target:>12}"
            f"{scenario.max_error_rate:>8.0%}{scenario.max_response_time:>6g} ms  {scenario.description}"
        )


def _headers(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for entry in given:
        name, separator, value = entry.partition(":")
        if not separator or not name.strip():
            raise KickoffError(f"`{name}` is no header", hint="write --header 'Name: value'")
        found[name.strip()] = value.strip()
    return found


def _seconds(text: str) -> float:
    try:
        value = scenarios.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value < 1:
        raise argparse.ArgumentTypeError("a run lasts at least 1s")
    return value


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write http://host:port")
    return text.rstrip("/")


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scenario", metavar="NAME", help="run one scenario (default: smoke)")
    what.add_argument("--suite", nargs="+", metavar="NAME", help="run several scenarios, one after the other")
    what.add_argument("--list", action="store_true", help="show the scenarios and exit")
    parser.add_argument("--host", type=_address, help="address of the service, e.g. http://127.0.0.1:8000")
    parser.add_argument(
        "--against", type=_address, metavar="OLD_URL", help="compare with this one, interleaved"
    )
    parser.add_argument(
        "--header", action="append", default=[], help="header of every request: 'Name: value'"
    )
    parser.add_argument("--release", default="", metavar="ID", help="the release that must answer")
    parser.add_argument("--duration", type=_seconds, help="run this long and no longer, e.g. 10s")
    parser.add_argument(
        "--max-rps", type=float, help="never send more requests a second (default: PERF_MAX_RPS)"
    )
    parser.add_argument("--env", default="", metavar="NAME", help="apply this environment's overrides")
    parser.add_argument("--candidate", action="store_true", help="test the staged candidate against live")
    parser.add_argument("--attempt", default="", metavar="ID", help="the attempt that --candidate belongs to")
    parser.add_argument(
        "--report",
        action="store_true",
        help="also write an HTML page, a Markdown summary and a CSV of figures",
    )
    parser.add_argument(
        "--baseline",
        nargs="?",
        type=Path,
        const=_BASELINES,
        metavar="DIR",
        help=f"judge by the stored baseline of this scenario and runner class (default: {_BASELINES})",
    )
    parser.add_argument(
        "--update-baseline",
        nargs="?",
        type=Path,
        const=_BASELINES,
        metavar="DIR",
        help="add this run to that baseline, for review",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="load generators on this machine (default: 1)"
    )
    parser.add_argument(
        "--worker-command",
        action="append",
        default=[],
        metavar="COMMAND",
        help="one more load generator, started by this command, e.g. on another host through ssh",
    )
    parser.add_argument(
        "--evidence",
        default=os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence",
        metavar="DIR",
        help="where the evidence and the raw samples go (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    if arguments.candidate and not (arguments.env and arguments.attempt):
        parser.error("--candidate needs --env and --attempt")
    if arguments.candidate and (arguments.host or arguments.against):
        parser.error("--candidate finds its addresses by itself; leave --host and --against out")
    if arguments.workers < 0 or arguments.workers + len(arguments.worker_command) < 1:
        parser.error("--workers is at least 1, or 0 beside --worker-command")
    stored = arguments.baseline is not None or arguments.update_baseline is not None
    if stored and (arguments.candidate or arguments.against):
        parser.error("a comparison loads two sides at once: measure baselines without --against")
    if stored and arguments.duration is not None:
        parser.error("a baseline belongs to the whole scenario: leave --duration out")
    if arguments.max_rps is None and not arguments.candidate and os.environ.get("PERF_MAX_RPS"):
        arguments.max_rps = float(os.environ["PERF_MAX_RPS"])
    return arguments


if __name__ == "__main__":
    sys.exit(handover.run(main))
