"""``kickoff notify`` beside real servers: what arrives, what is tried again, and what never fails a release."""

import json
import socketserver
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kickoff import bootstrap
from kickoff.cli import main
from kickoff.cli.run import notify
from tests.certificates import made
from tests.servers import running

# Apprise looks for a module that Python is about to lose, and does without.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
TOKEN = "s3cret-part-of-the-address"
OUTCOME = {
    "verdict": "rejected",
    "environment": "staging",
    "headline": "✗ REJECTED  things 3f2c1ab → staging",
    "why": "GET / (expected 200); 500",
    "cause": "boom @everyone <!channel>",
}
DESCRIPTION = "name: things\nrun: x\nhealth: /h\nnotify: [{secret: TEAM_CHAT}]\n"


class Web(ThreadingHTTPServer):
    """Takes what is posted, after it has answered some requests otherwise."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, bytes]] = []
        self.first: list[int] = []
        self.asked = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        status = self.server.first.pop(0) if self.server.first else 200
        if status == 200:
            self.server.taken.append((self.path, body))
        answer = b"ok"  # what Slack says
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


class Mail(socketserver.ThreadingTCPServer):
    """Takes one mail after the other, as a relay in the same network does."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.taken: list[str] = []


class _Session(socketserver.StreamRequestHandler):
    server: Mail

    def handle(self) -> None:
        self._say("220 relay")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                text = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                self.server.taken.append("".join(text))
            self._say("221 bye" if verb == "QUIT" else "250 relay")
            if verb == "QUIT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def web() -> Iterator[Web]:
    with running(Web()) as server:
        yield server


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The same behind TLS, as chats are."""
    server, certificate = Web(), made(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with running(server):
        yield server


@pytest.fixture
def mail() -> Iterator[Mail]:
    with running(Mail()) as server:
        yield server


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose last run was refused."""
    (tmp_path / "kickoff.yml").write_text(DESCRIPTION, encoding="utf-8")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "outcome.json").write_text(json.dumps(OUTCOME), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(notify, "_PAUSE", 0.0)
    return tmp_path / "report"


def tell(address: str | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """Run the verb as a step of a workflow would; return all it printed. It never fails."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("TEAM_CHAT", raising=False)
    if address is not None:
        monkeypatch.setenv("TEAM_CHAT", address)
    capfd.readouterr()
    assert main.main(["notify", "--report", "report"]) == 0
    printed = "".join(capfd.readouterr())
    assert TOKEN not in printed
    return printed


@pytest.mark.usefixtures("report")
def test_a_webhook_gets_title_and_text(
    web: Web, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    web.first = [503, 502]
    assert "told: TEAM_CHAT" in tell(f"json://127.0.0.1:{web.port}/{TOKEN}", monkeypatch, capfd)
    [(path, body)] = web.taken
    assert path == f"/{TOKEN}"
    sent = json.loads(body)
    assert sent["title"] == OUTCOME["headline"].replace("  ", " ")
    assert "why: GET / (expected 200); 500" in sent["message"]
    assert web.asked == 3, "what is not taken is tried again"


CHATS = {
    "slack": f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{TOKEN.replace('-', '')}",
    "discord": f"https://discord.com/api/webhooks/417429632418316298/{TOKEN}",
    "teams": "workflow://127.0.0.1:{port}/abcdef0123/" + TOKEN.replace("-", ""),
}


@pytest.mark.usefixtures("report")
@pytest.mark.parametrize("chat", CHATS)
def test_a_chat_gets_the_message_and_nobody_is_woken_by_a_log(
    chat: str, secure: Web, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    here = f"https://127.0.0.1:{secure.port}"
    monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", here)
    monkeypatch.setattr("apprise.plugins.discord.NotifyDiscord.notify_url", here)
    assert "told: TEAM_CHAT" in tell(CHATS[chat].replace("{port}", str(secure.port)), monkeypatch, capfd)
    sent = json.dumps([json.loads(body) for _, body in secure.taken], ensure_ascii=False)
    assert "REJECTED" in sent
    assert "expected 200" in sent
    assert "@everyone" not in sent
    assert "<!channel>" not in sent


@pytest.mark.usefixtures("report")
def test_a_relay_gets_a_mail(
    mail: Mail, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    address = (
        f"mailto://localhost:{mail.server_address[1]}?from=ci@example.com&to=team@example.com&mode=insecure"
    )
    assert "told: TEAM_CHAT" in tell(address, monkeypatch, capfd)
    [text] = mail.taken
    assert "To: team@example.com" in text
    assert "Subject:" in text


@pytest.mark.usefixtures("report")
@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "TEAM_CHAT is not set"),
        ("", "TEAM_CHAT is not set"),
        (TOKEN, "no address that Apprise knows"),
        (f"json://127.0.0.1:1/{TOKEN}", "not told: TEAM_CHAT: A Connection error"),
    ],
)
def test_who_cannot_be_told_makes_no_release_bad(
    address: str | None, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    printed = tell(address, monkeypatch, capfd)
    assert said in printed
    assert ("::warning" in printed) == bool(address)


@pytest.mark.usefixtures("report")
def test_a_service_that_refuses_is_asked_three_times(
    web: Web, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    web.first = [500] * 9
    assert "not told: TEAM_CHAT" in tell(f"json://127.0.0.1:{web.port}/{TOKEN}", monkeypatch, capfd)
    assert (web.asked, web.taken) == (3, [])


@pytest.mark.usefixtures("report")
def test_a_package_index_that_is_away_makes_no_release_bad(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def away(purpose: str, program: str) -> None:
        raise SystemExit(2)

    monkeypatch.setattr(bootstrap, "has", lambda purpose: purpose != "notify")
    monkeypatch.setattr(bootstrap, "ensure", away)
    assert "Apprise cannot be installed" in tell("json://127.0.0.1:1/", monkeypatch, capfd)


def test_a_run_that_changed_nothing_is_told_nobody(
    report: Path, web: Web, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    unchanged = OUTCOME | {"verdict": "unchanged"}
    (report / "outcome.json").write_text(json.dumps(unchanged), encoding="utf-8")
    assert "nobody is to be told" in tell(f"json://127.0.0.1:{web.port}/", monkeypatch, capfd)
    assert web.asked == 0


def test_without_a_report_there_is_nothing_to_tell(report: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (report / "outcome.json").unlink()
    assert main.main(["notify", "--report", "report"]) == 2
    assert "there is no report" in capfd.readouterr().err
