"""The performance check: load scenarios against the candidate, or any address, judged and compared."""

import argparse
import contextlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType

from kickoff import evidence, git, github
from kickoff.checks.check import Check, Context, Need, add_evidence
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict
from kickoff.performance import (
    aggregates,
    allowance,
    arguments,
    baselines,
    check,
    document,
    live_release,
    load,
    resources,
    runner,
    scenarios,
    summary,
)
from kickoff.performance.allowance import Allowance
from kickoff.performance.load import Arm
from kickoff.performance.progress import Line
from kickoff.performance.resources import Probe
from kickoff.performance.samples import CANDIDATE
from kickoff.performance.scenarios import Catalogue, Scenario
from kickoff.report import language, load_page
from kickoff.service import Service


@dataclass(frozen=True, slots=True)
class _Sides:
    """The releases that are loaded, and what is known of them.

    Attributes:
        candidate: The side that is judged.
        live: The side it is compared with; ``None`` for no comparison.
        environ: Variables of the load script.
        max_rps: Upper bound of requests a second; 0 for none.
        scenario: The scenario where none is asked for.
        pids: The process behind a side, where it can be seen.
        check_headers: What a request to live must carry besides.
        not_compared: Why there is no live side.
        doubt_warns: Whether a comparison that cannot tell warns instead of stopping the release.
        allowed: By how much this one release may be slower than live; ``None`` for what the rules say.
    """

    candidate: Arm
    live: Arm | None
    environ: dict[str, str]
    max_rps: float
    scenario: str = ""
    pids: Mapping[str, int] = field(default_factory=dict)
    check_headers: Mapping[str, str] = field(default_factory=dict)
    not_compared: str = ""
    doubt_warns: bool = False
    allowed: Allowance | None = None


class Performance(Check):
    """Runs scenarios with locust; nothing of it is imported before it is needed."""

    name = "perf"
    title = "Performance"
    needs = Need.CANDIDATE

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add scenarios, addresses and load generators."""
        arguments.add(parser)
        add_evidence(parser)

    def verify(self, arguments_: argparse.Namespace) -> None:
        """Refuse arguments that contradict each other."""
        arguments.verify(arguments_)

    def documents(self, context: Context) -> Iterable[Evidence]:
        """Yield the evidence, or show the scenarios when they alone are asked for."""
        if context.arguments.list:
            show_scenarios(_catalogue(context))
            return
        if context.arguments.candidate and not context.session.service.load:
            yield _switched_off(context)
            return
        yield self.run(context)

    def run(self, context: Context) -> Evidence:
        """Run the scenarios that are asked for and judge them."""
        signal.signal(signal.SIGTERM, _terminate)
        catalogue = _catalogue(context)
        reached = _staged(context) if context.arguments.candidate else _given(context)
        with reached as sides:
            chosen = arguments.chosen(context.arguments, catalogue, sides.scenario)
            return _execute(context, catalogue, chosen, sides)

    def attach(self, context: Context, found: Evidence, path: Path) -> list[tuple[str, Path]]:
        """Write page, summary and figures when a report is asked for; add the summary to the job's."""
        if found.verdict is Verdict.NOT_APPLICABLE:
            return []
        text = summary.markdown(found)
        github.append_summary(text)
        files = [("samples", path.with_name(found.facts["samples_file"]))]
        if context.arguments.report:
            with language.using(language.chosen(os.environ)):
                page = load_page.render(found)
            written = (
                ("report", ".html", page),
                ("summary", ".md", text),
                ("figures", ".csv", summary.aggregates_csv(found)),
            )
            for label, ending, content in written:
                evidence.write_atomic(path.with_suffix(ending), content)
                files.append((label, path.with_suffix(ending)))
        for warning in summary.warnings(found):
            sys.stdout.write(f"warning: {warning}\n")
        return files


def _switched_off(context: Context) -> Evidence:
    release = context.session.expected_release("candidate")
    return context.not_applicable(document.STAGE, context.service.no_load, release=release)


def _catalogue(context: Context) -> Catalogue:
    service = context.service
    file = context.root / service.scenarios if service.scenarios else None
    found = scenarios.load(file, context.environment, service.scenarios)
    if found.objectives is not None and not found.objectives.health:
        paths = (service.live_path, service.ready_path)
        found = replace(found, objectives=replace(found.objectives, health=paths))
    if context.arguments.duration is not None:
        settings = replace(found.comparison, max_duration=context.arguments.duration)
        found = replace(found, comparison=settings)
    return found


@contextmanager
def _given(context: Context) -> Iterator[_Sides]:
    """Yield the addresses of the command line."""
    given = context.arguments
    host = given.host or _serving(context)
    candidate = Arm("candidate", host, arguments.headers(given.header), given.release)
    live = Arm("live", given.against, arguments.headers(given.header)) if given.against else None
    if live is not None:
        load.require(live.url)  # whoever names an address means one that answers
    yield _Sides(
        candidate,
        live,
        {key: os.environ[key] for key in context.service.load_environment if key in os.environ},
        arguments.most_requests(given),
        pids={arm.name: resources.listening_on(arm.url) for arm in (candidate, live) if arm},
        not_compared="" if live else "no second address was given (--against)",
    )


def _serving(context: Context) -> str:
    """Return the public address of what serves the environment, which is the first one declared by default.

    Raises:
        KickoffError: Nothing serves there (exit 4).
    """
    from kickoff.release.session import open_recorded  # noqa: PLC0415 - an address needs no engine

    name = context.environment or context.service.environments[0].name
    session = open_recorded(name, context.root)
    problem = session.not_serving()
    if problem:
        raise KickoffError(
            f"no address was given, and {name} does not serve: {problem}",
            code=ExitCode.UNREACHABLE,
            hint=f"`kickoff start --env {name}`, the first time `kickoff deploy --env {name}`; "
            "or give --host http://127.0.0.1:8000",
        )
    with session.target.reach("live") as endpoint:
        return endpoint.url


@contextmanager
def _staged(context: Context) -> Iterator[_Sides]:
    """Yield the staged candidate and the live release, both through their private addresses."""
    session, given = context.session, context.arguments
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(session.reach("candidate"))
        candidate = Arm("candidate", base.url, dict(base.headers), session.expected_release("candidate"))
        live = None
        if session.expected_release("live"):
            # The private way in, as for the candidate: a difference is then the release's, not the route's.
            reached = stack.enter_context(session.reach("live-direct"))
            live = Arm("live", reached.url, dict(reached.headers), session.expected_release("live"))
        colours = {arm.name: session.colour_of(arm.name) for arm in (candidate, live) if arm is not None}
        most = session.environment.integer("PERF_MAX_RPS") if given.max_rps is None else given.max_rps
        yield _Sides(
            candidate,
            live,
            {key: session.environment.text(key) for key in context.service.load_environment},
            float(most),
            scenario=session.environment.text("PERF_SCENARIO"),
            pids={
                name: session.target.state(colour).pid
                for name, colour in colours.items()
                if colour is not None
            },
            check_headers=session.check_headers(),
            not_compared="" if live else "nothing is live yet, so the absolute rules decide",
            doubt_warns=session.environment.text("PERF_INCONCLUSIVE") == "warn",
            allowed=allowance.parse(session.store.attempt(context.attempt).perf_allow_once),
        )


def _execute(context: Context, catalogue: Catalogue, chosen: tuple[Scenario, ...], sides: _Sides) -> Evidence:
    # act gives its steps a terminal, but nobody sits at it: what they print is kept in a log.
    line = Line(sys.stderr, redraw=sys.stderr.isatty() and not github.context().active)
    setup = _setup(context, sides, line)
    if sides.allowed:
        catalogue = replace(catalogue, comparison=sides.allowed.applied(catalogue.comparison))
    load.require(setup.candidate.url)
    started = evidence.now()
    outcomes: list[check.Outcome] = []
    with contextlib.closing(line):
        for scenario in chosen:
            line.say(_headline(scenario, setup))
            outcome = check.run(scenario, setup, catalogue)
            outcomes.append(outcome)
            if outcome.partial:
                break
            _baseline(outcome, context, catalogue, setup)
    found = document.to_evidence(
        outcomes,
        environment=context.environment,
        service=context.service.name,
        release=setup.candidate.release,
        attempt=context.attempt if context.arguments.candidate else "",
        started=started,
        inputs={
            "scenarios": [scenario.name for scenario in chosen],
            "seconds": [scenario.duration for scenario in chosen],
            "host": setup.candidate.url,
            "against": setup.live.url if setup.live else "",
            "max_rps": setup.max_rps,
        },
        compared=setup.live is not None,
        not_compared=sides.not_compared,
        unmeasured=setup.unmeasured,
        allowed=sides.allowed,
    )
    suffix = f".{context.environment}" if context.environment else ""
    samples = context.evidence / f"{found.stage}{suffix}.samples.csv.gz"
    document.write_samples(outcomes, samples)
    average, cores = os.getloadavg()[0], runner.processors()
    if found.verdict is Verdict.INCONCLUSIVE and (busy := runner.busy(average, cores)):
        found.facts["hint"] = busy
    found.facts |= {
        "runner": {
            "class": runner.runner_class(),
            "processor": runner.processor(),
            "load": round(average, 1),
            "processors": cores,
        },
        "samples_file": samples.name,
    }
    return found


def _setup(context: Context, sides: _Sides, line: Line) -> check.Setup:
    given, service = context.arguments, context.service
    probes: dict[str, Probe] = {name: resources.of_process(pid) for name, pid in sides.pids.items() if pid}
    arms = [arm for arm in (sides.candidate, sides.live) if arm is not None]
    unseen = [arm.name for arm in arms if arm.name not in probes]
    local: list[list[str]] = [[] for _ in range(given.workers)]
    live = sides.live
    asked = replace(live, headers={**live.headers, **sides.check_headers}) if live else None
    return check.Setup(
        candidate=sides.candidate,
        live=live,
        locustfile=context.root / service.locustfile if service.locustfile else None,
        max_rps=sides.max_rps,
        release_header=service.release_header,
        environ={**sides.environ, **_requests(service, sides.check_headers)},
        workers=[*local, *(shlex.split(command) for command in given.worker_command)],
        probes=probes,
        doubt_warns=sides.doubt_warns,
        unmeasured=f"the process behind {' and '.join(unseen)} cannot be seen from here" if unseen else "",
        live_down=live_release.asked(asked, service) if asked else lambda: "",
        say=line.say,
        on_progress=line.show,
    )


def _requests(service: Service, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that tells the package's own users what to send."""
    asked = [asdict(request) for request in service.load_requests()]
    return {"KICKOFF_LOAD": json.dumps({"requests": asked, "headers": dict(headers)})}


def _baseline(outcome: check.Outcome, context: Context, catalogue: Catalogue, setup: check.Setup) -> None:
    """Judge a run by its stored baseline, or add it to that baseline, as the arguments ask."""
    compare, update = context.arguments.baseline, context.arguments.update_baseline
    if compare is None and update is None:
        return
    folder = compare or update
    key = baselines.Key(context.environment, outcome.scenario.name, runner.runner_class())
    known = baselines.load(key, folder)
    first = outcome.runs[0]
    figures = aggregates.by_endpoint(sample for sample in first.samples if sample.arm == CANDIDATE)
    measured = baselines.measured(figures, evidence.now(), first.seconds)
    # With --baseline the old baseline judges too, and a doubt about noise must not keep a run out.
    own = evidence.combine(rule.verdict for rule in outcome.rules)
    if compare is not None:
        outcome.rules += (
            [baselines.missing(key, str(key.path(folder)))]
            if known is None
            else baselines.judge(known, measured, catalogue.comparison)
        )
    if update is None:
        return
    if own is not Verdict.PASS or first.saturated:
        setup.say(f"baseline not updated: {first.saturated or f'the run is {own}'}")
        return
    commit = _commit(setup.candidate.release)
    path = baselines.save(baselines.add(known, key, commit, runner.processor(), measured), folder)
    setup.say(f"baseline updated: {path}; review and commit it")


def _commit(release: str) -> str:
    """Return the commit that was measured: the release's, or the one checked out here.

    Raises:
        KickoffError: Neither is known.
    """
    if release:
        return release.partition("-")[0]
    done = git.run(Path.cwd(), "rev-parse", "--short", "HEAD", check=False)
    if done.returncode:
        raise KickoffError(
            "a baseline names the commit it was measured on, and this folder has none",
            hint="give --release ID of the service that answers",
        )
    return done.stdout.strip()


def _headline(scenario: Scenario, setup: check.Setup) -> str:
    against = f" interleaved with {setup.live.url}" if setup.live else ""
    users = "1 user" if scenario.users == 1 else f"{scenario.users} users"
    return f"{scenario.name}: {users} for {scenario.duration:g} s on {setup.candidate.url}{against}"


def show_scenarios(catalogue: Catalogue) -> None:
    """Print the scenarios as a table."""
    lines = [f"{'scenario':16}{'users':>6}{'seconds':>9}{'requests/s':>12}{'errors':>8}{'p95':>9}  what"]
    for scenario in catalogue.scenarios.values():
        target = f"{scenario.target_rps:g}" if scenario.target_rps else "think time"
        lines.append(
            f"{scenario.name:16}{scenario.users:>6}{scenario.duration:>9g}{target:>12}"
            f"{scenario.max_error_rate:>8.0%}{scenario.max_response_time:>6g} ms  {scenario.description}"
        )
    sys.stdout.write("\n".join([*lines, ""]))


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


CHECK = Performance()
