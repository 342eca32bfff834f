"""GitHub asked without ``gh``: the same answers and refusals, and a token that goes nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kickoff import gh
from tests.servers import running
from tests.unit.gh_stand_in import GitHub


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """GitHub, on a machine without gh."""
    made = GitHub(tmp_path / "gh")
    monkeypatch.setenv("PATH", str(tmp_path / "gh"))
    monkeypatch.setenv("GH_TOKEN", "t")
    monkeypatch.setenv("NO_PROXY", "*")
    with made.api() as root:
        monkeypatch.setenv("GITHUB_API_URL", root)
        yield made


def test_answers_are_those_of_gh(github: GitHub) -> None:
    github.answer("GET repos/o/r", {"id": 1})
    github.answer("POST repos/o/r/issues", {"number": 3})
    github.answer("DELETE repos/o/r/x", "")
    github.answer("GET repos/o/r/pages?per_page=100&page=1", {"all": [{"n": n} for n in range(100)]})
    github.answer("GET repos/o/r/pages?per_page=100&page=2", {"all": [{"n": 100}]})
    assert gh.api("GET", "repos/o/r", hint="") == {"id": 1}
    assert gh.api("POST", "repos/o/r/issues", {"title": "x"}, hint="") == {"number": 3}
    assert gh.api("DELETE", "repos/o/r/x", hint="") is None
    assert [one["n"] for one in gh.listed("repos/o/r/pages", "all", hint="")] == list(range(101))
    assert ("POST", "repos/o/r/issues", {"title": "x"}) in github.calls()


@pytest.mark.parametrize(
    ("refusal", "status", "said"),
    [
        ({"status": 404, "message": "Not Found"}, 404, "Not Found (HTTP 404)"),
        (
            {"status": 422, "message": "Invalid", "errors": [{"message": "no plan"}, "no seat"]},
            422,
            "Invalid no plan no seat (HTTP 422)",
        ),
        ({"status": 502, "message": None}, 502, "it does not say why (HTTP 502)"),
    ],
)
def test_a_refusal_says_what_github_says(refusal: object, status: int, said: str, github: GitHub) -> None:
    github.answer("GET repos/o/r", refusal)
    with pytest.raises(gh.GitHubError, match="did not take GET repos/o/r") as caught:
        gh.api("GET", "repos/o/r", hint="do this")
    assert (caught.value.status, caught.value.answer, caught.value.hint) == (status, said, "do this")


def test_a_github_that_is_away_is_no_answer(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:1")
    with pytest.raises(gh.GitHubError) as caught:
        gh.api("GET", "repos/o/r", hint="")
    assert (caught.value.status, caught.value.passing) == (0, True)
    assert github.calls() == []


def test_without_a_token_gh_is_what_is_missing(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GH_TOKEN")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(gh.GitHubError) as caught:
        gh.api("GET", "repos/o/r", hint="")
    assert caught.value.answer == "gh is not installed"
    assert "GH_TOKEN" in caught.value.hint
    assert github.calls() == []


@pytest.mark.usefixtures("github")
def test_a_redirect_to_another_host_takes_no_token_along(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str | None] = []

    class Blob(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"zip")

        def log_message(self, *_: object) -> None:
            pass

    class Api(Blob):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{blob}/artifact.zip")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with _served(Blob) as blob, _served(Api) as api:
        monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{api}")
        assert gh.download("repos/o/r/actions/artifacts/1/zip", hint="") == b"zip"
    assert heard == ["Bearer t", None]


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield server.server_port
