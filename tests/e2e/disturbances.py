"""What may happen around a release; each is undone when its context ends."""

import errno
import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import psutil
import yaml

from kickoff import judging
from kickoff.artifact import demanded, ledger
from kickoff.environments import DeclaredEnvironment
from kickoff.evidence import now
from kickoff.release import traffic
from kickoff.release.route import Route, render
from kickoff.release.routers import traefik
from kickoff.release.stores import lines
from kickoff.release.targets.local import target
from kickoff.release.targets.local.supervision import Supervisor
from kickoff.service import CONFIG, Service
from tests import certificates
from tests.e2e.scene import Scene
from tests.servers import running

DEAD_PROXY = "http://127.0.0.1:9"


@contextmanager
def candidate_port_taken(_scene: Scene) -> Iterator[None]:
    """Let another program get the port that the candidate was to listen on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the output clean."""

    with (
        running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as other,
        patch.object(target, "free_port", lambda: other.server_address[1]),
    ):
        yield


@contextmanager
def candidate_stopped(scene: Scene) -> Iterator[None]:
    """Stop the candidate once it was found ready."""
    scene.once_staged(lambda: scene.target.supervisor._call("supervisor.stopProcess", str(scene.candidate)))
    yield


@contextmanager
def schema_restored(scene: Scene) -> Iterator[None]:
    """Take the migration back by hand afterwards."""
    yield
    _schema(scene).unlink()


@contextmanager
def environment_key_missing(scene: Scene) -> Iterator[None]:
    """Lose a key that the engine needs, and that has no default."""
    path = scene.project.root / "configs" / "environments" / "development.env"
    with _edited(path, lambda text: "".join(x for x in text.splitlines(True) if "PUBLIC_PORT" not in x)):
        yield


@contextmanager
def environment_key_misspelt(scene: Scene) -> Iterator[None]:
    """Write a key that nobody knows: what it was meant to set keeps its default."""
    path = scene.project.root / "configs" / "environments" / "development.env"
    with _edited(path, lambda text: f"{text}BAKE_TIEM=1s\n"):
        yield


@contextmanager
def artefact_changed(scene: Scene) -> Iterator[None]:
    """Change the artefact on its way."""
    scene.artefact.chmod(0o600)
    scene.artefact.write_bytes(scene.artefact.read_bytes() + b"x")
    yield


@contextmanager
def artefact_gone(scene: Scene) -> Iterator[None]:
    """Lose the artefact on its way."""
    scene.artefact.unlink()
    yield


@contextmanager
def check_required(scene: Scene) -> Iterator[None]:
    """Require a check that nobody runs."""
    old, new = "required_checks: []", "required_checks: [smoke-candidate]"
    with _edited(scene.project.root / CONFIG, lambda text: text.replace(old, new)):
        yield


@contextmanager
def rules_lowered_once_staged(scene: Scene) -> Iterator[None]:
    """Let the environment's file ask for no bake between the two commands."""
    path = scene.project.root / "configs" / "environments" / "development.env"
    with ExitStack() as stack:
        lowered = _edited(path, lambda text: text.replace("BAKE_TIME=1s", "BAKE_TIME=0s"))
        scene.once_staged(lambda: stack.enter_context(lowered))
        yield


@contextmanager
def public_port_taken(scene: Scene) -> Iterator[None]:
    """Let another program have the public port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", scene.project.port))
        other.listen()
        yield


@contextmanager
def traefik_down(scene: Scene) -> Iterator[None]:
    """Stop Traefik before the release."""
    scene.target.supervisor.remove("traefik")
    yield


@contextmanager
def traefik_down_in_the_bake(scene: Scene) -> Iterator[None]:
    """Stop Traefik for good while the candidate bakes; nobody waits long for it from then on."""
    hurried = patch.object(traefik, "APPLY_SECONDS", 0.5)

    def stop() -> None:
        scene.target.supervisor.remove("traefik")
        hurried.start()

    scene.at("intent", "bake", stop)
    try:
        yield
    finally:
        hurried.stop()


def prometheus(
    *, state: str = "firing", labels: str = "veto", late: bool = True, answers: str = "always"
) -> Callable[[Scene], AbstractContextManager[None]]:
    """Give the environment a Prometheus with one rule, whose alert becomes true when the traffic has moved.

    Args:
        state: Of the alert.
        labels: Its label ``release``; the rule that could speak for the service has ``veto`` always.
        late: Whether the alert becomes true after the traffic moved; otherwise it was so before.
        answers: ``always``, ``never``, or ``before`` the traffic moves.
    """

    @contextmanager
    def around(scene: Scene) -> Iterator[None]:
        true: list[dict[str, Any]] = []
        answering = threading.Event()
        if answers != "never":
            answering.set()
        if answers == "before":
            scene.at("done", "shift", answering.clear)

        def rules() -> dict[str, Any]:
            named = [("OrdersLost", "veto", true if labels == "veto" else [])]
            named += [("DiskFull", labels, true)] if labels != "veto" else []
            found = [
                {
                    "name": name,
                    "labels": {"release": label},
                    "lastError": "",
                    "alerts": [one | {"labels": {"alertname": name, "release": label}} for one in alerts],
                }
                for name, label, alerts in named
            ]
            return {"status": "success", "data": {"groups": [{"rules": found}]}}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(rules()).encode()
                self.send_response(200 if answering.is_set() else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the output clean."""

        def become_true() -> None:
            notes = {"summary": "3 orders were lost", "runbook_url": "https://runbooks.example/orders-lost"}
            true.append({"state": state, "activeAt": now(), "value": "3e+00", "annotations": notes})

        with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
            scene.project.set(ALERTS_URL=f"http://127.0.0.1:{server.server_address[1]}")
            if late:
                scene.at("done", "shift", become_true)
            else:
                become_true()
            yield

    return around


def behind_tls(*, name: str = "localhost", days: int = 30) -> Callable[[Scene], AbstractContextManager[None]]:
    """Let users come in by a name, through something before the proxy that ends TLS.

    Args:
        name: The certificate is made out to this one; users ask for ``localhost``.
        days: Validity of the certificate from now; negative for one that has ended.
    """

    @contextmanager
    def around(scene: Scene) -> Iterator[None]:
        certificate = certificates.made(scene.project.root.parent, name, days=days)
        with certificates.serving(certificate) as port, certificates.trusting(certificate):
            scene.project.set(PUBLIC_HOST=f"localhost:{port}")
            yield

    return around


@contextmanager
def route_rejected(scene: Scene) -> Iterator[None]:
    """Put a key that Traefik does not know into the route to the candidate: it keeps the one it had."""
    hurried = patch.object(traefik, "APPLY_SECONDS", 2.0)
    garbled: list[Route] = []

    def garble(route: Route) -> str:
        document = render(route)
        if scene.candidate in route.weights:
            document["http"]["services"]["split"]["weighted"]["unknown"] = True
            if not garbled:
                hurried.start()
            garbled.append(route)
        return yaml.safe_dump(document)

    try:
        with patch.object(traefik, "to_yaml", garble):
            yield
    finally:
        hurried.stop()
    assert garbled, "no route to the candidate was written"


@contextmanager
def metrics_down(scene: Scene) -> Iterator[None]:
    """Refuse connections to Traefik's metrics."""
    (admin,) = scene.project.session().target.proxies()
    real = httpx.Client.get

    def get(client: httpx.Client, url: str, **options: Any) -> httpx.Response:
        if url == "/metrics" and str(client.base_url).rstrip("/") == admin:
            raise httpx.ConnectError("connection refused")
        return real(client, url, **options)

    with patch.object(httpx.Client, "get", get):
        yield


@contextmanager
def disk_nearly_full(scene: Scene) -> Iterator[None]:
    """Leave a little room on the disk."""
    _resize(scene.project.state, spare=32 << 20)
    yield
    _resize(scene.project.state, spare=1 << 30)


@contextmanager
def disk_full(scene: Scene) -> Iterator[None]:
    """Leave no room on the disk once the release is being unpacked."""
    scene.at("intent", "fetch", lambda: _resize(scene.project.state, spare=0))
    yield
    _resize(scene.project.state, spare=1 << 30)


@contextmanager
def no_room_for_the_journal(scene: Scene) -> Iterator[None]:
    """Refuse every further journal record, from the start of the candidate on, as a full disk does."""

    def refuse(_descriptor: int, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    full = patch.object(lines, "write_fully", refuse)
    scene.at("intent", "start", full.start)
    try:
        yield
    finally:
        full.stop()


@contextmanager
def clock_jumps(scene: Scene) -> Iterator[None]:
    """Set the clock back a day when traffic moves, and two days ahead in the bake."""
    clock, booted, offset = time.time, psutil.boot_time(), [0.0]

    def jump(seconds: float) -> None:
        offset[0] += seconds

    scene.at("intent", "shift", lambda: jump(-86_400))
    scene.at("intent", "bake", lambda: jump(2 * 86_400))
    with (
        patch.object(time, "time", lambda: clock() + offset[0]),
        patch("psutil._psplatform.boot_time", lambda: booted + offset[0]),
    ):
        yield


@contextmanager
def another_deploy(scene: Scene) -> Iterator[None]:
    """Let another run stage a release of its own."""
    arguments = scene.project.stage_arguments(scene.project.commit(delay_ms=1))
    staged = scene.project.command("stage", *arguments, KICKOFF_RUN_ID="another")
    assert staged.returncode == 0, staged.stderr
    yield
    # Whether or not it could be overtaken: what is left of it must not outlive the rehearsal.
    aborted = scene.project.command("abort", KICKOFF_RUN_ID="another")
    assert aborted.returncode == 0, aborted.stderr


@contextmanager
def dead_lock_holder(scene: Scene) -> Iterator[None]:
    """Let another run die with the lock and half a candidate in its hands."""
    arguments = scene.project.stage_arguments(scene.project.commit())
    killed = scene.project.killed("after", 12, "stage", *arguments)
    assert killed < 0, f"the other run ended with {killed}"
    yield


@contextmanager
def overtaken_before_the_shift(scene: Scene) -> Iterator[None]:
    """Let another process abort the attempt while this one stands between deciding and moving traffic."""

    overtaken: list[str] = []

    def paused(**route: Any) -> Route:
        # The route is decided, and the fence is not held yet: it is when a journal record is observed.
        if not overtaken and scene.candidate in route["weights"]:
            aborted = scene.project.command("abort")
            assert aborted.returncode == 0, aborted.stderr
            overtaken.append(aborted.stderr)
        return Route(**route)

    with patch.object(traffic, "Route", paused):
        yield
    assert overtaken, "the release never came to the point where it is overtaken"


@contextmanager
def journal_torn(scene: Scene) -> Iterator[None]:
    """End the journal in the middle of a line."""
    with scene.project.store.journal.path.open("a", encoding="utf-8") as stream:
        stream.write('{"at":"2026-01-01T00:00:00.000+00:00","event":"inte')
    yield


@contextmanager
def journal_damaged(scene: Scene) -> Iterator[None]:
    """Overwrite a line in the middle of the journal."""
    with _edited(scene.project.store.journal.path, lambda text: _with_line(text, 1, "{")):
        yield


@contextmanager
def history_tampered(scene: Scene) -> Iterator[None]:
    """Change who made the first release."""

    def tampered(text: str) -> str:
        entry = json.loads(text.splitlines()[0])
        entry["data"]["by"] = "somebody else"
        return _with_line(text, 0, json.dumps(entry))

    with _edited(scene.project.store.history.path, tampered):
        yield


@contextmanager
def secret_planted(_scene: Scene) -> Iterator[None]:
    """Give the release a secret."""
    with patch.dict(os.environ, API_KEY=secrets.token_urlsafe(24)):
        yield


@contextmanager
def within_a_workflow(_scene: Scene) -> Iterator[None]:
    """Let a runner read what is printed."""
    with patch.dict(os.environ, GITHUB_ACTIONS="true"):
        yield


@contextmanager
def slow_live(scene: Scene) -> Iterator[None]:
    """Let the live release answer two of five requests in 150 ms."""
    _ship(scene, tail_share=0.4, tail_ms=150)
    yield


@contextmanager
def live_fails(scene: Scene) -> Iterator[None]:
    """Let the live release answer 500 to everything."""
    with _sick(scene, "fails"):
        yield


@contextmanager
def live_errs(scene: Scene) -> Iterator[None]:
    """Let the live release answer 500 to everything but its liveness path, at once."""
    with _sick(scene, "errs"):
        yield


@contextmanager
def live_errs_in_the_canary(scene: Scene) -> Iterator[None]:
    """Let it do so once a share of the users meets the candidate."""
    live = scene.live
    scene.at("intent", "shift", lambda: scene.project.sicken(live, "errs"))
    yield
    scene.project.sicken(live, "")


@contextmanager
def live_hangs(scene: Scene) -> Iterator[None]:
    """Let the live release take connections and never answer."""
    with _sick(scene, "hangs"):
        yield


@contextmanager
def live_stopped(scene: Scene) -> Iterator[None]:
    """Stop the live release for good once a candidate is ready; start it again where it is kept warm."""
    colour = scene.project.store.state().live
    assert colour is not None
    scene.once_staged(lambda: scene.project.stop_colour(colour))
    yield
    if scene.project.store.state().warm is colour:
        scene.project.start_colour(colour)


@contextmanager
def client_errors_expected(scene: Scene) -> Iterator[None]:
    """Name 429 as an answer that users may get."""
    new = "required_checks: []\nexpected_client_errors: [429]"
    with _edited(scene.project.root / CONFIG, lambda text: text.replace("required_checks: []", new)):
        yield


@contextmanager
def candidate_limited(scene: Scene) -> Iterator[None]:
    """Let the candidate use less than a processor."""
    with scene.project.limiting() as limit:
        scene.once_staged(lambda: limit(scene.candidate))
        yield


@contextmanager
def newer_schema_live(scene: Scene) -> Iterator[None]:
    """Ship two releases of a newer schema on top of the live one."""
    scene.values["older"] = scene.project.live
    for _ in range(2):
        _ship(scene, schema=2)
    yield
    _schema(scene).unlink()


@contextmanager
def older_release_broken(scene: Scene) -> Iterator[None]:
    """Ship two releases, and break the one before them on disk."""
    scene.values["older"] = scene.project.live
    for _ in range(2):
        _ship(scene)
    folder = scene.project.store.root / "releases" / scene.values["older"]
    (folder / "bundle" / "fixture" / "faults.json").write_text('{"crash_at_start": true}')
    yield
    shutil.rmtree(folder)


@contextmanager
def another_temporary_folder(scene: Scene) -> Iterator[None]:
    """Run the command with a folder for temporary files that the release before did not have."""
    folder = scene.project.root.parent / "tmp"
    folder.mkdir(exist_ok=True)
    before = scene.target.supervisor.process()
    with patch.dict(os.environ, TMPDIR=str(folder)):
        yield
    assert scene.target.supervisor.process() == before, "another supervisor was started"


@contextmanager
def socket_removed(scene: Scene) -> Iterator[None]:
    """Take the supervisor's socket away while it runs; a removed one could not be put back."""
    with _moved(scene.project.store.root / "supervisor.sock"):
        yield


@contextmanager
def state_folder_gone(scene: Scene) -> Iterator[None]:
    """Take the state folder away while everything runs."""
    with _moved(scene.project.store.root):
        yield


@contextmanager
def dead_http_proxy(_scene: Scene) -> Iterator[None]:
    """Name a proxy that nobody runs for all requests."""
    with patch.dict(os.environ, http_proxy=DEAD_PROXY, https_proxy=DEAD_PROXY):
        yield


@contextmanager
def socks_proxy(_scene: Scene) -> Iterator[None]:
    """Name a kind of proxy that needs a library which is not installed."""
    with patch.dict(os.environ, ALL_PROXY=DEAD_PROXY.replace("http", "socks5h")):
        yield


@contextmanager
def colon_in_the_state_folder(scene: Scene) -> Iterator[None]:
    """Name a folder that could stand in no path list."""
    root = Path(f"{scene.project.state}:2")
    with patch.dict(os.environ, KICKOFF_STATE_ROOT=str(root)):
        yield
    Supervisor(root / "fixture" / "development").shut_down()  # where the engine went there all the same


@contextmanager
def port_that_is_none(_scene: Scene) -> Iterator[None]:
    """Give a word for the port."""
    with patch.dict(os.environ, KICKOFF_PORT="abc"):
        yield


@contextmanager
def _moved(path: Path) -> Iterator[None]:
    """Take a file or a folder away, and put it back in the place of what came there meanwhile."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        aside.rename(path)


@contextmanager
def _edited(path: Path, edit: Callable[[str], str]) -> Iterator[None]:
    """Change a file, and put it back afterwards; what was appended meanwhile stays."""
    before = path.read_text(encoding="utf-8")
    after = edit(before)
    assert after != before, f"{path.name} holds nothing to change"
    path.write_text(after, encoding="utf-8")
    try:
        yield
    finally:
        now = path.read_text(encoding="utf-8")
        path.write_text(before + now.removeprefix(after), encoding="utf-8")


@contextmanager
def _sick(scene: Scene, how: str) -> Iterator[None]:
    """Let the live release be ill meanwhile; afterwards the proxy has to notice that it is well again."""
    scene.project.sicken(scene.live, how)
    yield
    scene.project.sicken("nobody", "")
    deadline = time.monotonic() + 20
    while httpx.get(scene.project.address, timeout=10, trust_env=False).status_code >= 500:
        assert time.monotonic() < deadline, "the live release did not get well again"
        time.sleep(0.1)


def _ship(scene: Scene, **faults: object) -> None:
    shipped = scene.project.ship(**faults)
    assert shipped.verdict == "pass", shipped.summary
    scene.live = scene.project.live


def _with_line(text: str, index: int, line: str) -> str:
    lines = text.splitlines()
    lines[index] = line
    return "\n".join(lines) + "\n"


def _schema(scene: Scene) -> Path:
    return scene.project.store.root / "data" / "schema.json"


def _resize(folder: Path, *, spare: int) -> None:
    """Give the disk mounted at ``folder`` room for ``spare`` bytes beside what it holds."""
    size = shutil.disk_usage(folder).used + spare
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


# --- where only what another environment proved may be shipped ------------------------------------------


@contextmanager
def proof_missing(_scene: Scene) -> Iterator[None]:
    """Demand a proof from staging, which has none."""
    with _demanded():
        yield


@contextmanager
def proof_missing_with_a_reason(scene: Scene) -> Iterator[None]:
    """Demand a proof; see afterwards that the reason to do without stands in the history."""
    with _demanded():
        yield
        data = scene.project.store.history.entries()[-1].data
        assert data["unproven_reason"] == "staging burns", data


@contextmanager
def proof_at_hand(scene: Scene) -> Iterator[None]:
    """Demand a proof, and have it."""
    with _demanded(), _proof(scene):
        yield


@contextmanager
def proof_of_another_artefact(scene: Scene) -> Iterator[None]:
    """Demand a proof, and have one of the commit as it was packed before."""
    with _demanded(), _proof(scene, digest=f"sha256:{'2' * 64}"):
        yield


@contextmanager
def proof_damaged(scene: Scene) -> Iterator[None]:
    """Demand a proof, and have one that says another time than it was written with."""
    with _demanded(), _proof(scene) as path:
        path.write_text(
            path.read_text(encoding="utf-8").replace("2026-01-02", "2026-01-03"), encoding="utf-8"
        )
        yield


@contextmanager
def proof_without_promotion(scene: Scene) -> Iterator[None]:
    """Demand a proof, and have one of a release that was found live: nobody promoted it."""
    with _demanded(), _proof(scene) as path:
        document = json.loads(path.read_text(encoding="utf-8"))
        document["statement"] |= {"changed": False, "promoted": None}
        document["sha256"] = ledger._hash(document["statement"])
        path.write_text(json.dumps(document), encoding="utf-8")
        yield


@contextmanager
def proof_by_less(scene: Scene) -> Iterator[None]:
    """Demand a proof, and have one that files made which were not committed."""
    used = judging.record({"BAKE_TIME": "1s"})
    asked = patch.object(demanded, "rules", lambda *_: {"BAKE_TIME": "60s"})
    with _demanded(), asked, _proof(scene, judged_by=used):
        yield


@contextmanager
def proof_demanded_late(scene: Scene) -> Iterator[None]:
    """Demand a proof once the candidate is staged."""
    with ExitStack() as stack:
        scene.once_staged(lambda: stack.enter_context(_demanded()))
        yield


def _demanded() -> AbstractContextManager[object]:
    def declared(_service: Service, name: str) -> DeclaredEnvironment:
        return DeclaredEnvironment(name, after="staging" if name == "development" else "")

    return patch.object(Service, "declared", declared)


@contextmanager
def _proof(scene: Scene, **more: object) -> Iterator[Path]:
    """Keep staging's proof of what is about to be shipped."""
    proofs = ledger.FolderLedger(scene.project.state / "fixture" / "proofs" / "staging", "staging")
    statement = {
        "version": 1,
        "environment": "staging",
        "commit": scene.project.head(),
        "digest": f"sha256:{scene.artefact.stem}",
        "release": "aaaaaaa-12345678",
        "proved": "2026-01-02T03:04:05.000+00:00",
        "promoted": {"attempt": "7-aa", "at": "2026-01-02T03:04:04.000+00:00", "verdict": "pass"},
        "stages": {"stage": [], "smoke-live": []},
    }
    path = proofs.keep(statement | more)
    yield path
    path.unlink()
