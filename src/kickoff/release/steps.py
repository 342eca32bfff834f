"""The steps a release is made of: each journalled before and after, fenced, and safe to repeat."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from kickoff.checks import smoke
from kickoff.checks.http import open_client
from kickoff.checks.smoke import wait_live, wait_ready
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import RuleResult, Verdict, now
from kickoff.release import assembly, rollback_targets
from kickoff.release.folder import describe
from kickoff.release.model import Colour, Release, State
from kickoff.release.route import HEALTH_SECONDS, Route
from kickoff.release.session import Session
from kickoff.release.stores.files import Store

VERIFICATIONS = 10
MOST_SILENT = 3
# The candidate's own address never belonged to another release, so waiting would not change its name.
WRONG_ANSWERS = 10


class Rejected(KickoffError):
    """A candidate that must not go on; carries the rules and the log that say why."""

    def __init__(
        self,
        message: str,
        *,
        rules: list[RuleResult] | None = None,
        log_tail: list[str] | None = None,
        code: ExitCode = ExitCode.REJECTED,
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.rules = rules or []
        self.log_tail = log_tail or []


@dataclass(slots=True)
class Steps:
    """What the segments of an attempt have in common.

    Attributes:
        session: The environment.
        root: The project whose configuration is read.
        timeline: Events of this command, for the evidence.
    """

    session: Session
    root: Path
    timeline: list[dict[str, Any]] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """The environment's state."""
        return self.session.store

    def _fetch(self, attempt: str, artifact: Path, digest: str, commit: str) -> tuple[Path, Release]:
        """Assemble under a temporary name, then name the folder by the facts."""
        with self._step(attempt, "fetch"):
            folder = self.store.release_folder(f".new-{attempt}")
            release = assembly.assemble(
                self.session, self.root, folder, artifact=artifact, digest=digest, commit=commit
            )
            final = self.store.release_folder(release.id)
            with self.store.fenced(attempt):
                # What runs is running from the folder it has; any other one may have been edited by hand.
                if release.id in {slot.release for slot in self.store.state().slots.values()}:
                    shutil.rmtree(folder)
                else:
                    shutil.rmtree(final, ignore_errors=True)
                    folder.rename(final)
        return final, release

    def _plan(
        self, attempt: str, release: str, colour: Colour, state: State, *, warm_start: bool = False
    ) -> None:
        with self.store.fenced(attempt):
            self.store.journal.append(
                event="planned",
                attempt=attempt,
                release=release,
                colour=str(colour),
                previous=state.release_of(state.live),
                warm_start=warm_start,
            )

    def _hook(self, folder: Path) -> None:
        """Run the pre-deploy hook, then make sure that the live release still does what it did before.

        Migrations only expand: the live release has to work with the new schema, now and after a rollback.
        """
        passed_before = self._live_checks(Verdict.PASS)
        self.session.target.run_hook(
            folder, self.session.service.pre_deploy, self.session.environment.seconds("HOOK_TIMEOUT")
        )
        if not passed_before:
            return  # live is down, or nothing is live: there is nothing that the hook could have broken
        # A check that failed once is asked again: one lost answer is not a broken schema.
        if passed_before.keys() & self._live_checks(Verdict.FAIL).keys():
            broken = [rule for name, rule in self._live_checks(Verdict.FAIL).items() if name in passed_before]
            if broken:
                raise Rejected(
                    f"the pre-deploy hook broke the live release: {broken[0].reason}",
                    rules=broken,
                    log_tail=self.session.logs("live"),
                    hint="undo what the hook did by hand, now: users are served by a release that it broke",
                )

    def _live_checks(self, verdict: Verdict) -> dict[str, RuleResult]:
        """Return the smoke checks of the live release that end with ``verdict``, by name.

        A release that does not answer the first of them in time is asked no more.
        """
        live = self.session.expected_release("live")
        if not live:
            return {}
        with self.session.reach("live-direct") as endpoint:
            headers = {**endpoint.headers, **self.session.check_headers()}
            rules = smoke.run(
                endpoint.url, headers, self.session.service, live, seconds=HEALTH_SECONDS, patient=False
            )
        return {rule.rule: rule for rule in rules if rule.verdict is verdict}

    def _start(self, attempt: str, folder: Path, colour: Colour) -> None:
        """Start the candidate in ``colour``; the release that was kept warm there gives way, drained."""
        state = self.store.state()
        if state.warm is colour and colour in state.slots:
            # No longer a fallback: nothing new reaches it, and what it still serves may finish.
            self._route(attempt, {state.live: 100} if state.live else {}, state.with_slot(colour, None))
            self._drain(attempt, colour, state)
        with self._step(attempt, "start", colour=str(colour)):
            with self.store.fenced(attempt):
                self.session.target.stop(colour)
                slot = self.session.target.start(colour, folder)
                state = self.store.state().with_slot(colour, slot)
                self.store.save(state)
            self._route(attempt, {state.live: 100} if state.live else {}, state)

    def _revive(self, attempt: str, state: State) -> str:
        """Bring up what is recorded as live and give it all traffic; return why it does not serve, if so."""
        colour = state.live
        if colour is None:
            return "no release is live"
        release = state.release_of(colour)
        try:
            with self._step(attempt, "revive", colour=str(colour)):
                state = self._running(attempt, colour, state)
                if state.warm is not None and not self.session.target.state(state.warm).running:
                    with self.store.fenced(attempt):
                        # A supervisor that has just come up may be about to start it; going back to it
                        # starts it from disk.
                        self.session.target.stop(state.warm)
                        state = state.with_slot(state.warm, None)
                        self.store.save(state)
                self._route(attempt, {colour: 100}, state)
                self._wait_ready(release, colour)
                self._verify_soon(release)
        except KickoffError as error:
            if error.code is ExitCode.LOCK_HELD:
                raise
            return str(error)
        return ""

    def _running(self, attempt: str, colour: Colour, state: State) -> State:
        """Start the release that ``colour`` holds unless it runs; return the state with where it listens."""
        if self.session.target.state(colour).running:
            return state
        folder = self.store.release_folder(state.release_of(colour))
        if not describe(folder):
            raise KickoffError(f"{folder.name} is not kept here any more", code=ExitCode.UNREACHABLE)
        self.session.target.install(folder)
        with self.store.fenced(attempt):
            state = state.with_slot(colour, self.session.target.start(colour, folder))
            self.store.save(state)
        return state

    def _ready(self, attempt: str, release: str, colour: Colour) -> None:
        with self._step(attempt, "ready"):
            self._wait_ready(release, colour)

    def _not_ready(self, release: str, colour: Colour) -> str:
        """Return why what runs in ``colour`` does not get ready; empty when it does."""
        try:
            self._wait_ready(release, colour)
        except Rejected as error:
            return str(error)
        return ""

    def _wait_ready(self, release: str, colour: Colour) -> None:
        with self.session.target.reach(str(colour)) as endpoint:
            pids: set[int] = set()

            def dead() -> str:
                process = self.session.target.state(colour)
                if process.running:
                    pids.add(process.pid)
                if (process.running and len(pids) > 1) or not (
                    process.running or "STARTING" in process.detail
                ):
                    return f"the process ended ({process.detail})"
                return ""

            rule = "candidate gets ready"
            found = wait_ready(
                endpoint.url,
                {**endpoint.headers, **self.session.check_headers()},
                self.session.service.ready_path,
                self.session.service.release_header,
                release,
                self.session.environment.seconds("READY_TIMEOUT"),
                dead,
                most_wrong=WRONG_ANSWERS,
            )
            hint = self.session.unsent_headers(found.reason)
            if found.ok:
                # Where the proxy finds it ill it would serve nobody, so it is asked before any traffic moves.
                rule, hint = "the proxy finds the candidate healthy", "the proxy asks health.live with no key"
                found = wait_live(
                    endpoint.url, endpoint.headers, self.session.service.live_path, HEALTH_SECONDS, dead
                )
            if not found.ok:
                raise Rejected(
                    f"{release} on {colour} did not get ready: {found.reason}",
                    rules=[
                        RuleResult("stage.ready", rule, Verdict.FAIL, "not ready", "ready", 1, found.reason)
                    ],
                    log_tail=self.session.logs(str(colour)),
                    hint=hint,
                )

    def _shift(self, attempt: str, weights: dict[Colour, int], state: State) -> None:
        shares = {str(colour): weight for colour, weight in weights.items()}
        with self._step(attempt, "shift", weights=shares):
            self._route(attempt, weights, self.store.state(), fallback=state.live)

    def _route(
        self, attempt: str, weights: dict[Colour, int], state: State, *, fallback: Colour | None = None
    ) -> None:
        """Write the route inside the fence; the fallback is the running colour users could return to."""
        spare = fallback if fallback in state.slots else state.warm
        if spare in weights or spare not in state.slots:
            spare = None
        route = Route(
            servers={
                colour: self.session.target.server(colour, slot) for colour, slot in state.slots.items()
            },
            weights=weights,
            fallback=spare if weights else None,
            sticky=self.session.environment.boolean("STICKY_SESSIONS"),
            live_path=self.session.service.live_path,
            entry_points=self.session.target.entry_points,
        )
        with self.store.fenced(attempt):
            self.session.proxy.apply(route)

    def _verify(self, release: str) -> None:
        """Ask the public address as users do; every answer must name ``release``, or be one if none can."""
        header, path = self.session.service.release_header, self.session.service.live_path

        def named(answer: httpx.Response) -> str:
            if header:
                return str(answer.headers.get(header, f"{answer.status_code} without {header}"))
            return release if answer.status_code < 400 else str(answer.status_code)

        answers: list[str] = []
        silent = 0
        with (
            self.session.target.reach("live") as endpoint,
            open_client(endpoint.url, self.session.check_headers(), seconds=5) as client,
        ):
            # Who hangs is not asked ten times: users wait meanwhile.
            while len(answers) < VERIFICATIONS and silent < MOST_SILENT:
                try:
                    answers.append(named(client.get(path)))
                except httpx.HTTPError as error:
                    answers.append(type(error).__name__)
                    silent += 1
        wrong = [answer for answer in answers if answer != release]
        if wrong:
            rule = RuleResult(
                "release.public-address",
                "the public address answers with the release",
                Verdict.FAIL,
                f"{len(wrong)} of {len(answers)} wrong",
                "0 wrong",
                len(answers),
                f"expected {release}, got {wrong[0]}",
            )
            raise Rejected(f"the public address answers {wrong[0]}, not {release}", rules=[rule])

    def _verify_soon(self, release: str) -> None:
        """Verify until the health check of the proxy has had the time to see that the release is back."""
        deadline = time.monotonic() + 2 * HEALTH_SECONDS
        while True:
            try:
                return self._verify(release)
            except Rejected:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.2)

    def _drain(self, attempt: str, colour: Colour, state: State) -> float:
        """Wait until ``colour`` serves nothing any more, at most ``DRAIN_TIMEOUT``; return the seconds."""
        slot = state.slots.get(colour)
        if slot is None:
            return 0.0
        began = time.monotonic()
        deadline = began + self.session.environment.seconds("DRAIN_TIMEOUT")
        with self._step(attempt, "drain", colour=str(colour)):
            while self.session.target.connections(colour, slot) > 0 and time.monotonic() < deadline:
                if self._idle(colour):
                    break
                time.sleep(0.1)
        return time.monotonic() - began

    def _idle(self, colour: Colour) -> bool:
        """Whether the service's own gauge says that nothing but this question is in flight."""
        gauge = self.session.service.in_flight
        if gauge is None or self.session.environment.values.get("API_WORKERS", "1") != "1":
            return False
        with self.session.target.reach(str(colour)) as endpoint:
            headers = {**endpoint.headers, **self.session.check_headers()}
            try:
                with open_client(endpoint.url, headers, seconds=2) as client:
                    answer = client.get(gauge.path)
            except httpx.HTTPError:
                return False
        values = [
            float(line.split()[-1]) for line in answer.text.splitlines() if line.startswith(gauge.metric)
        ]
        return bool(values) and sum(values) <= 1

    def _record(
        self, attempt: str, action: str, release: str, colour: Colour, before: State, **details: str
    ) -> None:
        """Make the candidate the recorded live release and keep the old one warm.

        Args:
            attempt: The attempt.
            action: ``release`` or ``rollback``.
            release: The release.
            colour: Where it runs.
            before: The state to which the attempt would have gone back.
            details: What the history shall say besides.
        """
        old = before.live if before.live is not colour else before.warm
        with self._step(attempt, "record"):
            slots = dict(self.store.state().slots)
            # What fails most requests is nothing to fall back to, and nothing to keep running.
            spent = old if old in slots and self.session.answers(old).down else None
            with self.store.fenced(attempt):
                if spent is not None:
                    self.session.target.stop(spent)
                    del slots[spent]
                self.store.save(State(live=colour, warm=old if old in slots else None, slots=slots))
                last = next(self.store.history.newest_first(), None)
                if last is None or last.data.get("attempt") != attempt:
                    self.store.history.append(
                        action,
                        "live",
                        release,
                        before.release_of(before.live),
                        attempt=attempt,
                        by=self._who(),
                        **details,
                        **self._origin(release),
                        **self._bypass(attempt),
                    )
            self._route(attempt, {colour: 100}, self.store.state())
            self._prune(attempt)
        self._finish(attempt, "released" if action == "release" else "rolled back")

    def _prune(self, attempt: str, spare: str = "") -> None:
        """Remove the folders of all releases but those that run and ``KEEP_RELEASES`` that were live.

        A refused candidate is not kept: its evidence and its log stay, and it pushes no good release out.
        What cannot be removed is told and tried again by the next command: it must not cost a release that
        serves.

        Args:
            attempt: The attempt.
            spare: A release that is kept once more: its container still stands.
        """
        running = {slot.release for slot in self.store.state().slots.values()}
        wanted = rollback_targets.worth_keeping(self.store.history.newest_first())
        most = self.session.environment.integer("KEEP_RELEASES")
        others = (release for release in wanted if release not in running)
        kept = running.union(islice(others, most), {spare})
        with self.store.fenced(attempt):
            for folder in (self.store.root / "releases").iterdir():
                if folder.name in kept:
                    continue
                try:
                    self.session.target.discard(folder)
                    shutil.rmtree(folder)
                except (KickoffError, OSError) as error:
                    event = f"{folder.name} could not be removed: {error}"
                    self.timeline.append({"at": now(), "event": event, "step": "record"})

    # --- small things -------------------------------------------------------------------------------

    @contextmanager
    def _step(self, attempt: str, name: str, **data: Any) -> Iterator[None]:  # noqa: ANN401
        """Journal a step's intent, run it, journal its end or its failure."""
        with self.store.fenced(attempt):
            self.store.journal.append(event="intent", attempt=attempt, step=name, **data)
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            self.timeline.append({"at": now(), "event": f"{name} failed", "step": name})
            if not (isinstance(error, KickoffError) and error.code is ExitCode.LOCK_HELD):
                # An interruption is no verdict, and no reason to forget that the step never ended.
                how: dict[str, Any] = {} if isinstance(error, Exception) else {"interrupted": True}
                how["reason"] = str(error) or type(error).__name__
                with self.store.exclusive():
                    self.store.journal.append(event="failed", attempt=attempt, step=name, **how)
            raise
        seconds = round(time.monotonic() - began, 3)
        self.timeline.append({"at": now(), "event": name, "step": name, "seconds": seconds, **data})
        with self.store.fenced(attempt):
            self.store.journal.append(event="done", attempt=attempt, step=name, seconds=seconds)

    def _finish(self, attempt: str, outcome: str) -> None:
        with self.store.fenced(attempt):
            self.store.journal.append(event="finished", attempt=attempt, outcome=outcome)
        self.store.release_lock(attempt)

    def _renew(self, attempt: str) -> None:
        self.store.renew(attempt, self.session.owner(working=True), self._ttl)

    @property
    def _ttl(self) -> float:
        return self.session.environment.seconds("LOCK_TTL")

    def _origin(self, release: str) -> dict[str, str]:
        """Return where a release comes from, for the history: it outlives the release's folder."""
        known = describe(self.store.release_folder(release)) if release else {}
        return {key: known[key] for key in ("commit", "committed") if known.get(key)}

    def _bypass(self, attempt: str) -> dict[str, str]:
        """Return why the attempt ships what was never proved, for the history."""
        reason = self.store.attempt(attempt).unproven_reason
        return {"unproven_reason": reason} if reason else {}

    def _who(self) -> str:
        return self.session.owner(working=False).who
