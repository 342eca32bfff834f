"""A session: one environment of a project, opened for release commands and for checks."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kickoff import github, logs
from kickoff.environment import Environment, load
from kickoff.environment.loader import setting
from kickoff.environment.schema import CLASS_KEY
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence
from kickoff.paths import state_base, state_root, user
from kickoff.release import recorded, targets
from kickoff.release.folder import hide_recorded, workers_of
from kickoff.release.model import Colour
from kickoff.release.progress import UNCHANGED
from kickoff.release.routers import Router, open_router
from kickoff.release.stores import Observer, StateStore, open_store
from kickoff.release.stores.lease import Owner, TakenBack, birth_of_this_process
from kickoff.release.targets import Endpoint, Target
from kickoff.service import Service, name_of
from kickoff.service import load as load_service

if TYPE_CHECKING:
    from kickoff.release.serving import Answers

_LOG_LINES = 2000
"""Last lines of a log in which its errors are looked for."""
_SETTLES_SECONDS = 1.0
"""How long a log that goes on growing is waited for."""


@dataclass(frozen=True, slots=True)
class Session:
    """Everything a command needs of one environment."""

    service: Service
    environment: Environment
    store: StateStore
    target: Target
    stack_hash: str

    @property
    def proxy(self) -> Router:
        """The proxy's control side."""
        # What an earlier version recorded has no such key.
        quorum = int(self.environment.values.get("EDGE_QUORUM", "0"))
        return open_router(self.store.root, self.target.proxies(), quorum)

    def owner(self, *, working: bool) -> Owner:
        """Return this process as an owner of the lock; ``working`` ties the lock to its life."""
        pid = os.getpid() if working else 0
        return Owner(
            who=github.context().run_url or f"{user()}@{socket.gethostname()}",
            run=os.environ.get("KICKOFF_RUN_ID") or github.context().run_url or f"shell-{os.getppid()}",
            pid=pid,
            born=birth_of_this_process() if pid else 0.0,
        )

    def colour_of(self, which: str) -> Colour | None:
        """Return the colour that is ``live`` or the open attempt's ``candidate``."""
        if which == "live":
            return self.store.state().live
        attempt = self.store.open_attempt()
        return Colour(attempt.colour) if attempt and attempt.colour else None

    def expected_release(self, which: str) -> str:
        """Return the release id that ``live`` or ``candidate`` must answer with; empty when there is none."""
        return self.store.state().release_of(self.colour_of(which))

    @contextmanager
    def reach(self, which: str) -> Iterator[Endpoint]:
        """Yield the address of ``candidate`` (private), ``live`` (public) or ``live-direct`` (private).

        Raises:
            KickoffError: Nothing is there to reach.
        """
        if not self.expected_release(which.removesuffix("-direct")):
            raise KickoffError(f"there is no {which} release in {self.environment.name}")
        endpoint = "live" if which == "live" else str(self.colour_of(which.removesuffix("-direct")))
        with self.target.reach(endpoint) as found:
            yield found

    def not_serving(self) -> str:
        """Return why users are not served as recorded, asked at this moment; empty when they are.

        Without a live release nothing is asked, and that is the answer.
        """
        state, attempt = self.store.state(), self.store.open_attempt()
        if state.live is None:
            return "no release is live"
        asked = state.release_of(state.live)
        releases, weights = {asked}, self.proxy.weights()
        if attempt is not None and attempt.shifting:
            releases.add(attempt.release)
            asked = asked if state.live in weights else attempt.release
        elif weights != {state.live: 100}:
            return "the route is lost"
        if problem := self.proxy.shown().problem:
            return problem
        with self.target.reach("live") as endpoint:
            return self._ask(endpoint, releases, asked).problem

    def answers(self, colour: Colour) -> "Answers":
        """Return what one colour answers through its private address at this moment."""
        release = self.store.state().release_of(colour)
        with self.target.reach(str(colour)) as endpoint:
            return self._ask(endpoint, {release}, release)

    def _ask(self, endpoint: Endpoint, releases: set[str], asked: str) -> "Answers":
        from kickoff.release import serving  # noqa: PLC0415 - with the HTTP client, which takes its time

        return serving.ask(endpoint, self.service_of(asked), releases, self.check_headers())

    def service_of(self, release: str) -> Service:
        """Return the service as ``release`` described it; as today's files do where none is recorded.

        What a release is asked, and how the proxy asks it, follows from its own description: that of a
        candidate may name paths that the live release does not have.
        """
        found = None
        with suppress(KickoffError):  # a damaged record must not stand in the way of its replacement
            found = recorded.described(self.store.release_folder(release)) if release else None
        return self.service if found is None or found.text == self.service.text else found

    def workers(self, colour: Colour | None) -> dict[str, Any]:
        """Return the workers of the release that ``colour`` holds, by name, as its folder describes them."""
        release = self.store.state().release_of(colour)
        return workers_of(self.store.release_folder(release)) if release else {}

    def idle_workers(self, colour: Colour | None) -> list[str]:
        """Return the names of those workers of ``colour`` that should run with it and do not."""
        wanted = self.workers(colour)
        found = self.target.workers(colour) if wanted and colour else {}
        return [name for name in wanted if name not in found or not found[name].running]

    def unwell(self) -> str:
        """Return why users are not served as recorded, or else which workers of live are down; or nothing."""
        if problem := self.not_serving():
            return problem
        return ", ".join(f"worker {name} is down" for name in self.idle_workers(self.store.state().live))

    def check_headers(self) -> dict[str, str]:
        """Return the headers checks must send, with the environment's values; unset ones are left out."""
        values = self.environment.values
        return {name: values[key] for name, key in self.service.check_headers.items() if values.get(key)}

    def unsent_headers(self, reason: str) -> str:
        """Return which headers the checks left out, where ``reason`` tells of a 401 or 403; or nothing."""
        if not re.search(r"\b40[13]\b", reason):
            return ""
        unset = {n: k for n, k in self.service.check_headers.items() if not self.environment.values.get(k)}
        return "; ".join(
            f"checks do not send {name}: {key} has no value in {self.environment.name}"
            for name, key in unset.items()
        )

    def logs(self, process: str, lines: int = 20) -> list[str]:
        """Return the last log lines of ``candidate``, ``live``, a worker of it, or a process.

        They are masked where they are shown.
        Without an open attempt ``candidate`` is the idle colour: its log is kept until the next one starts.
        """
        if process in ("candidate", "live"):
            colour = self.colour_of(process)
            if colour is None and process == "candidate":
                colour = self.store.state().idle
            if colour is None:
                return []
            process = str(colour)
        live = self.store.state().live
        if live is not None and process in self.workers(live):
            process = targets.worker_of(live, process)
        return self.target.logs(process, lines)

    def record_of_log(self, process: str, *, settled: bool = False) -> list[str]:
        """Return what of a process's log is worth keeping: errors and last lines, no health checks.

        With ``settled`` after a moment in which nothing was added: who just failed may still be writing why.
        """
        lines = self.logs(process, _LOG_LINES)
        deadline = time.monotonic() + _SETTLES_SECONDS
        while settled and time.monotonic() < deadline:
            time.sleep(0.1)
            before, lines = lines, self.logs(process, _LOG_LINES)
            if lines == before:
                break
        return logs.keep(lines, (self.service.ready_path, self.service.live_path))

    def unchanged(self, attempt: str) -> bool:
        """Return whether ``stage`` ended this attempt because its release was live and healthy already."""
        return self.store.attempt(attempt).finished == UNCHANGED

    def require_own(self, attempt: str) -> None:
        """Refuse to go on with an attempt that another run has taken over and ended.

        Raises:
            TakenBack: One has.
        """
        current = self.store.attempt(attempt)
        if current.finished and current.taken_by:
            raise TakenBack(current.taken_by, current.taken_at, current.release)

    def record_check(self, attempt: str, evidence: Evidence, problem: str = "") -> None:
        """Journal a check's verdict for ``attempt``, and why it did not pass, and renew its lease.

        Raises:
            KickoffError: The attempt no longer holds the lock, or the check was for another release.
        """
        current = self.store.attempt(attempt)
        if evidence.release != current.release:
            raise KickoffError(
                f"{evidence.stage} is about release {evidence.release or 'unknown'}, "
                f"but attempt {attempt} ships {current.release}"
            )
        lease = self.store.join(attempt, self.owner(working=False), self.environment.seconds("LOCK_TTL"))
        with self.store.transact(lease) as transaction:
            transaction.note(
                event="check", attempt=attempt, check=evidence.stage, verdict=str(evidence.verdict),
                **({"problem": problem} if problem else {}),
            )  # fmt: skip


def open_recorded(name: str, root: Path, observer: Observer | None = None) -> Session:
    """Open environment ``name`` by what its target recorded, for commands that an emergency needs.

    Where the target recorded nothing yet, this is :func:`open_session`.

    Args:
        name: The environment.
        root: The project's folder; only the service's name is read there, if it can be.
        observer: Sees each journal record after it is durable.

    Raises:
        KickoffError: Nothing is recorded, and today's configuration is invalid (exit 2).
    """
    folder = _state_folder(name, root)
    if folder is None:
        return open_session(name, root, observer)
    store = open_store(folder, observer)
    found = _recorded(store)
    if found is None:
        return open_session(name, root, observer)
    environment, service = found
    hide_recorded(folder / "releases")
    kind, place = targets.kind_of(environment.text(targets.KEY)), targets.Place(root, name, folder)
    return Session(service, environment, store, kind.target(place, environment), "")


def _state_folder(name: str, root: Path) -> Path | None:
    """Return the state folder of an environment; ``None`` when there is none.

    With a service description that cannot be read, it is the only one there is for such an environment.
    """
    try:
        folder = state_root(name_of(root), name)
    except KickoffError:
        found = list(state_base().glob(f"*/{name}"))
        if len(found) != 1:
            raise
        folder = found[0]
    return folder if folder.is_dir() else None


def _recorded(store: StateStore) -> tuple[Environment, Service] | None:
    """Return what the open attempt's release, the live one, or else the newest, recorded."""
    names = []
    for look in (_attempted, _live):
        with suppress(KickoffError):  # a damaged record is for the command to report, not for the way to it
            names.append(look(store))
    folders = [store.release_folder(release) for release in names if release]
    folders += sorted(
        store.release_folder("").iterdir(), key=lambda found: found.stat().st_mtime, reverse=True
    )
    return next((found for one in folders if (found := recorded.read(one)) is not None), None)


def _attempted(store: StateStore) -> str:
    attempt = store.open_attempt()
    return attempt.release if attempt else ""


def _live(store: StateStore) -> str:
    state = store.state()
    return state.release_of(state.live)


def open_session(
    name: str, root: Path, observer: Observer | None = None, *, prepare: bool = False
) -> Session:
    """Open environment ``name`` of the project at ``root``.

    Args:
        name: The environment.
        root: The project's folder.
        observer: Sees each journal record after it is durable.
        prepare: Whether a host may be given what its stack needs, as before a first release.

    Raises:
        KickoffError: The configuration is invalid, or names a target that cannot be used here (exit 2).
    """
    service = load_service(root)
    folder = state_root(service.name, name)
    hide_recorded(folder / "releases")
    chosen = setting(name, targets.KEY, root)
    kind, place = targets.kind_of(chosen), targets.Place(root, name, folder)
    kind.make_ready(place, prepare)
    from kickoff import stack  # noqa: PLC0415 - what was recorded needs no stack

    environ = stack.sources(name, root) | {"KICKOFF_DATA_DIR": str(folder / "data")}
    environment = load(name, root, environ=environ)
    if github.context().hosted and setting(name, CLASS_KEY, root) != "development":
        raise KickoffError(
            f"{name} would vanish with this GitHub-hosted runner: target {chosen} needs a lasting host",
            at=f"configs/environments/{name}.env",
            hint="set DEPLOY_HOST to a host of yours, or run the job on a self-hosted runner there",
        )
    store = open_store(folder, observer)
    target = kind.target(place, environment)
    return Session(service, environment, store, target, targets.description_hash(root, name))
