"""The performance check: run scenarios, judge them, and leave evidence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kickoff.evidence import RuleResult, Verdict
from kickoff.performance import comparison, gate, live_release, load, rules
from kickoff.performance.fleet import Progress
from kickoff.performance.live_release import not_compared
from kickoff.performance.load import Arm, Interrupted, LoadResult
from kickoff.performance.metrics import Metric, Pairs, pair_up
from kickoff.performance.resources import Probe
from kickoff.performance.samples import Sample
from kickoff.performance.scenarios import Catalogue, ComparisonSettings, Scenario, Step


@dataclass(frozen=True, slots=True)
class Setup:
    """The sides of a load test, and how they are reached.

    Attributes:
        candidate: The side that is judged.
        live: The side it is compared with; ``None`` when nothing is live.
        live_down: Asks live, and returns why it does not answer; empty when it does.
        locustfile: The user classes; ``None`` for those of the package.
        max_rps: Upper bound of requests a second, both sides together; 0 for none.
        release_header: Response header that names the release; empty for none.
        environ: Additional environment variables of the load generator.
        workers: The load generators, as :func:`kickoff.performance.load.run` takes them.
        probes: Read what each side of the service uses.
        doubt_warns: Whether a comparison that cannot tell warns instead of stopping the release.
        unmeasured: Why that cannot be read for some side; empty when it can.
        say: Receives one-line messages about what happens next.
        on_progress: Receives the progress of the current run.
    """

    candidate: Arm
    live: Arm | None
    locustfile: Path | None
    max_rps: float = 0.0
    release_header: str = "X-Release"
    environ: Mapping[str, str] = field(default_factory=dict)
    workers: Sequence[Sequence[str]] = ((),)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    doubt_warns: bool = False
    unmeasured: str = ""
    live_down: Callable[[], str] = lambda: ""
    say: Callable[[str], None] = lambda _: None
    on_progress: Callable[[Progress], None] = lambda _: None


@dataclass(slots=True)
class Outcome:
    """The results of one scenario; ``live_down`` holds the fact about a live release that was down."""

    scenario: Scenario
    rules: list[RuleResult]
    runs: list[LoadResult]
    metrics: list[Metric]
    partial: bool = False
    live_down: dict[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> list[Sample]:
        """All samples of all runs."""
        return [sample for run in self.runs for sample in run.samples]


def run(scenario: Scenario, setup: Setup, catalogue: Catalogue) -> Outcome:
    """Run one scenario and judge it; an interruption yields a partial outcome instead of an exception.

    Raises:
        KickoffError: The load generator could not work.
    """
    outcome = Outcome(scenario, [], [], [])
    try:
        _run(outcome, setup, catalogue)
    except Interrupted as stopped:
        outcome.runs.append(stopped.result)
        outcome.partial = True
        if len(outcome.runs) == 1:
            outcome.rules = rules.evaluate(stopped.result, catalogue.objectives)
        else:
            reason = "the run was interrupted during the comparison"
            outcome.rules.append(
                not_compared(scenario.name, Verdict.INCONCLUSIVE, "unfinished", "finished", reason)
            )
    return outcome


def _run(outcome: Outcome, setup: Setup, catalogue: Catalogue) -> None:
    scenario, settings = outcome.scenario, catalogue.comparison
    down = setup.live_down() if setup.live else ""
    if setup.live is None or down:
        _alone(outcome, setup, catalogue, down)
        return
    arms = [setup.candidate, setup.live]
    rate = pace(scenario, settings, setup.max_rps, len(arms))
    first = _load(scenario, arms, rate, setup)
    outcome.runs.append(first)
    outcome.rules = rules.evaluate(first, catalogue.objectives)
    failed = [rule for rule in outcome.rules if rule.verdict is Verdict.FAIL]
    down, slow = live_release.lost(first), False
    # Errors are the candidate's own, whatever live does; its pace is not: the same users wait for live.
    if outcome.rules[0] not in failed and (down or _only_slow(failed)):
        _alone(outcome, setup, catalogue, down)
        failed = [rule for rule in outcome.rules if rule.verdict is Verdict.FAIL]
        if down:
            return
        slow = live_release.slower(first)
    if failed:
        # A candidate that fails by itself needs no comparison.
        reason = "the candidate already breaks an absolute rule"
        outcome.rules.append(
            not_compared(scenario.name, Verdict.NOT_APPLICABLE, "not compared", "none", reason)
        )
        return

    def measure(seconds: float) -> list[Pairs]:
        again = _load(_steady(scenario, seconds), arms, rate, setup)
        outcome.runs.append(again)
        if why := live_release.lost(again):
            raise live_release.Lost(why)
        return pair_up(again.samples)

    try:
        metrics = gate.decide(pair_up(first.samples), first.seconds, measure, settings, setup.say)
    except live_release.Lost as why:
        _give_up(outcome, setup.live, str(why))
        return
    if slow:
        metrics = [live_release.without_doubt(metric) for metric in metrics]
    if setup.doubt_warns:
        metrics = [live_release.as_warning(metric) for metric in metrics]
    outcome.metrics = metrics
    outcome.rules += [comparison.to_rule(metric, settings) for metric in metrics]
    if not metrics:
        reason = "no request was answered by both sides"
        outcome.rules.append(not_compared(scenario.name, Verdict.INCONCLUSIVE, "no pair", "≥ 1 pair", reason))


def _alone(outcome: Outcome, setup: Setup, catalogue: Catalogue, down: str) -> None:
    """Judge the candidate by absolute rules, on a run that it shares with nobody."""
    if setup.live:
        why = f"live is down, {down}" if down else "users who also wait for live cannot keep their pace"
        setup.say(f"the candidate alone: {why}")
    rate = pace(outcome.scenario, catalogue.comparison, setup.max_rps, 1)
    run = _load(outcome.scenario, [setup.candidate], rate, setup)
    outcome.runs.append(run)
    outcome.rules = rules.evaluate(run, catalogue.objectives)
    if down:
        _give_up(outcome, setup.live, down)


def _give_up(outcome: Outcome, live: Arm | None, why: str) -> None:
    outcome.live_down = live_release.fact(live.release if live else "", outcome.runs, why)
    outcome.rules.append(live_release.not_applicable(outcome.scenario.name, why))


def _only_slow(failed: Sequence[RuleResult]) -> bool:
    return bool(failed) and all(rule.id == rules.THROUGHPUT for rule in failed)


def pace(scenario: Scenario, settings: ComparisonSettings, max_rps: float, arms: int) -> float:
    """Return the requests a second for each side: the target, more for a comparison, never above the cap."""
    if scenario.target_rps == 0:
        return 0.0
    rate = scenario.target_rps if arms == 1 else max(scenario.target_rps, settings.pairs_per_second)
    return min(rate, max_rps / arms) if max_rps else rate


def _load(scenario: Scenario, arms: Sequence[Arm], rate: float, setup: Setup) -> LoadResult:
    return load.run(
        scenario,
        arms,
        locustfile=setup.locustfile,
        rate=rate,
        release_header=setup.release_header,
        environ=setup.environ,
        workers=setup.workers,
        probes=setup.probes,
        on_progress=setup.on_progress,
    )


def _steady(scenario: Scenario, duration: float) -> Scenario:
    return replace(scenario, duration=max(duration, 1.0), shape=(Step(1.0, 1.0),))
