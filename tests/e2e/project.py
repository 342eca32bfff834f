"""A project of its own around the fixture service, shipped by the real engine in a temporary folder."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self
from unittest.mock import patch

import httpx
import psutil

from kickoff.artifact import bundle
from kickoff.evidence import Evidence
from kickoff.release.engine import Engine
from kickoff.release.model import Colour
from kickoff.release.session import Session, open_session
from kickoff.release.stores.files import Store
from kickoff.release.targets.local import usage
from kickoff.release.targets.local.target import LocalTarget
from kickoff.release.targets.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASE = REPOSITORY / "src" / "kickoff"
KEY = "open-sesame-open-sesame"
"""A key for those who refer to ``API_KEY`` in an environment file."""
UNSHIPPED = shutil.ignore_patterns("__pycache__")
Request = tuple[str, str, object]
"""Method, path and JSON body (``None`` for none)."""


class Project:
    """A git repository with the fixture service, and a state folder beside it.

    Args:
        folder: Temporary folder that holds both.
    """

    bundle: ClassVar[tuple[str, ...]] = ("fixture",)
    requests: ClassVar[tuple[Request, ...]] = (
        ("POST", "/echo?user", {"text": "x"}),
        ("GET", "/?user", None),
        ("GET", "/?user", None),
        ("GET", "/?user", None),
    )

    slow_seconds: ClassVar[float] = 0.2

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.state = folder / "state"
        self.port = free_port()
        self._fill()
        self._git("init", "--quiet", "--initial-branch=main")

    def _fill(self) -> None:
        shutil.copytree(Path(__file__).parent / "service", self.root, ignore=UNSHIPPED)
        schema = REPOSITORY / "configs" / "environments" / "schema.json"
        shutil.copyfile(schema, self.root / "configs" / "environments" / "schema.json")

    @property
    def environ(self) -> dict[str, str]:
        """The environment commands run in: this project's state and port, nothing of the machine's."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        return kept | {
            "KICKOFF_STATE_ROOT": str(self.state),
            "KICKOFF_PORT": str(self.port),
            "KICKOFF_EVIDENCE_DIR": str(self.root.parent / "evidence"),
            "KICKOFF_RUN_ID": "rehearsal",
            "API_KEY": KEY,
        }

    @property
    def address(self) -> str:
        """The public address."""
        return f"http://127.0.0.1:{self.port}"

    def commit(self, **faults: object) -> str:
        """Commit the service with these faults; return the commit."""
        (self.root / "fixture" / "faults.json").write_text(json.dumps(faults) + "\n", encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", f"faults: {faults or 'none'}")
        return self.head()

    def head(self) -> str:
        """The last commit."""
        return self._git("rev-parse", "HEAD").strip()

    def build(self, commit: str) -> str:
        """Build the bundle of ``commit``; return its digest."""
        return bundle.build(self.root, commit, self.bundle, self.root.parent / "artifacts").digest

    def set(self, **values: str) -> None:
        """Give keys of the development environment these values, in place of those they have."""
        path = self.root / "configs" / "environments" / "development.env"
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.partition("=")[0] not in values]
        given = [f"{key}={text}" for key, text in values.items()]
        path.write_text("\n".join([*kept, *given, ""]), encoding="utf-8")

    def command(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a verb as a user would."""
        name, *rest = arguments
        return subprocess.run(
            [sys.executable, str(RELEASE), name, "--env", "development", *rest],
            cwd=self.root,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def killed(self, when: str, number: int, *arguments: str, by: signal.Signals = signal.SIGKILL) -> int:
        """Run a command that gets a signal ``before`` or ``after`` its journal record ``number``; its code."""
        name, *rest = arguments
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.e2e.killed",
                when,
                str(number),
                by.name,
                name,
                "--env",
                "development",
                *rest,
            ],
            cwd=self.root,
            env=self.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"},
            capture_output=True,
            timeout=120,
            check=False,
        ).returncode

    def stage(self, commit: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Stage ``commit`` through the command line."""
        return self.command("stage", *self.stage_arguments(commit), **environ)

    def stage_arguments(self, commit: str) -> list[str]:
        """The arguments that stage ``commit``."""
        return [
            f"--artifact-digest={self.build(commit)}",
            f"--artifact-directory={self.root.parent / 'artifacts'}",
            f"--commit={commit}",
        ]

    def ship(self, **faults: object) -> Evidence:
        """Stage and, when that succeeds, promote a commit with these faults; return the last evidence."""
        commit = self.commit(**faults)
        engine = self.engine()
        digest = self.build(commit)
        staged = engine.stage(digest, self.root.parent / "artifacts", commit, wait=0, force=False)
        if staged.verdict != "pass" or not staged.facts["changed"]:
            return staged
        promoted = self.engine().promote(staged.attempt)
        assert promoted is not None
        return promoted

    def engine(self) -> Engine:
        """Open the engine in this process."""
        return Engine(self.session(), self.root)

    def session(self) -> Session:
        """Open the environment in this process."""
        return open_session("development", self.root)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this process run commands as a shell in the project's folder would."""
        with patch.dict(os.environ, self.environ, clear=True), chdir(self.root):
            yield

    def sicken(self, release: str, how: str) -> None:
        """Let a release of the fixture service fall ill while it runs (``service/fixture/sickness.py``)."""
        self._write_data("sick", f"{release} {how}")

    def read_data(self, name: str) -> str:
        """The content of a file that the fixture service wrote into its data folder; empty without one."""
        path = self.store.root / "data" / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @contextmanager
    def limiting(self) -> Iterator[Callable[[Colour], object]]:
        """Yield what limits the processors of a colour; here a control group that says so of all processes."""
        (self.state / "cpu.max").write_text("10000 100000\n", encoding="utf-8")
        with patch.object(usage, "CGROUPS", self.state):
            yield lambda _colour: None

    def stop_colour(self, colour: Colour) -> None:
        """Stop a colour behind the engine's back, for good."""
        self._supervisor("stop", colour)

    def start_colour(self, colour: Colour) -> None:
        """Start such a colour again."""
        self._supervisor("start", colour)

    @property
    def store(self) -> Store:
        """The environment's state."""
        store = self.session().store
        assert isinstance(store, Store)
        return store

    def records(self) -> list[dict[str, Any]]:
        """The journal, oldest first."""
        return self.store.journal.read()

    @property
    def live(self) -> str:
        """The release recorded as live; empty when there is none."""
        return self.session().expected_release("live")

    def serving(self) -> str:
        """The release that answers on the public address."""
        return httpx.get(self.address + "/", timeout=5, trust_env=False).headers["X-Release"]

    def services_running(self) -> list[int]:
        """Ids of all processes that a release of this project started, by itself or through another."""
        return [
            process.pid
            for process in psutil.process_iter(["cwd", "status"])
            if (process.info["cwd"] or "").startswith(f"{self.state}/")
            and "/releases/" in process.info["cwd"]
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def left_behind(self) -> Sequence[object]:
        """What runs and belongs to no colour."""
        family: set[int] = set()
        for colour in Colour:
            process = self.session().target.state(colour)
            if process.running:
                family |= {
                    process.pid,
                    *(c.pid for c in psutil.Process(process.pid).children(recursive=True)),
                }
        return sorted(set(self.services_running()) - family)

    def kill_everything(self) -> None:
        """Kill the supervisor, the proxy and both colours, as a power cut does."""
        target = self.session().target
        assert isinstance(target, LocalTarget)
        pids = [int((self.store.root / "supervisord.pid").read_text(encoding="utf-8"))]
        pids += [int(target.supervisor.info(name).get("pid", 0)) for name in ("traefik", *map(str, Colour))]
        processes = [psutil.Process(pid) for pid in pids if pid]
        processes += [child for process in processes for child in process.children(recursive=True)]
        for process in processes:  # the supervisor first: it would start the others again
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)

    def assert_settled(self, release: str) -> None:
        """One healthy release live, nothing else running but a warm one, the lock free, no attempt open."""
        session = self.session()
        state = session.store.state()
        assert state.release_of(state.live) == release
        assert session.proxy.weights() == {state.live: 100}
        assert not session.store.lease().held
        assert session.store.open_attempt() is None
        expected = {colour for colour in (state.live, state.warm) if colour}
        running = {colour for colour in Colour if session.target.state(colour).running}
        assert running == expected
        assert len(self.services_running()) == len(expected)
        assert self.serving() == release

    def evidence(self, stage: str) -> dict[str, Any]:
        """The document a command left behind."""
        path = Path(self.environ["KICKOFF_EVIDENCE_DIR"]) / f"{stage}.development.json"
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document

    def close(self) -> None:
        """Stop everything this project started."""
        if self.state.exists():
            self.session().target.shut_down()

    def _write_data(self, name: str, text: str) -> None:
        (self.store.root / "data" / name).write_text(text, encoding="utf-8")

    def _supervisor(self, verb: str, colour: Colour) -> None:
        target = self.session().target
        assert isinstance(target, LocalTarget)
        target.supervisor._call(f"supervisor.{verb}Process", str(colour))

    def _git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Rehearsal", "-c", "user.email=rehearsal@example.invalid"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout


class Load:
    """A steady load on an address, in a thread of its own; counts every answer.

    Args:
        address: Where to send.
        rate: Requests per second, all on kept-alive connections.
        requests: Sent in turn; those of the fixture service by default.
        slow_seconds: How long every fiftieth request takes; 0 for no such requests.
    """

    def __init__(
        self,
        address: str,
        rate: float,
        requests: Sequence[Request] = Project.requests,
        slow_seconds: float = 1,
    ) -> None:
        self.address = address
        self.rate = rate
        self.sequence = requests
        self.slow_seconds = slow_seconds
        self.codes: Counter[int] = Counter()
        self.releases: Counter[str] = Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    @property
    def requests(self) -> int:
        """Requests that ended, one way or another."""
        return sum(self.codes.values()) + len(self.failures)

    @property
    def failed(self) -> list[str]:
        """What went wrong, one text per failed request."""
        return self.failures + [
            f"HTTP {code}" for code, n in self.codes.items() if code >= 400 for _ in range(n)
        ]

    def __enter__(self) -> Self:
        """Begin; return once a request has ended, or when none does for a while."""
        self._thread.start()
        deadline = time.monotonic() + 3
        while not self.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    async def _run(self) -> None:
        started = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        async with httpx.AsyncClient(base_url=self.address, timeout=20, trust_env=False) as client:
            sent = 0
            while not self._stop.is_set():
                task = asyncio.create_task(self._one(client, sent))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                sent += 1
                await asyncio.sleep(max(0.0, started + sent / self.rate - time.monotonic()))
            await asyncio.gather(*tasks)

    async def _one(self, client: httpx.AsyncClient, number: int) -> None:
        try:
            if self.slow_seconds and number % 50 == 7:
                answer = await client.get("/slow", params={"seconds": self.slow_seconds})
            else:
                method, path, body = self.sequence[number % len(self.sequence)]
                answer = await client.request(method, path, json=body)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        self.codes[answer.status_code] += 1
        self.releases[answer.headers.get("X-Release", "")] += 1
