import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from kickoff.probing.http import CheckResult, open_client, perform
from kickoff.service import HttpCheck
from tests import certificates
from tests.unit.checks.web import Answer, Server


def ask(url: str, check: HttpCheck, expected: str = "", header: str = "X-Release") -> CheckResult:
    with open_client(url, {"Host": "shop.example"}, seconds=2) as client:
        return perform(client, check, header=header, expected_release=expected, marker="unit")


def test_a_good_answer_passes_and_names_the_release(server: Server) -> None:
    result = ask(server.url, HttpCheck("h", "/health?x=1", expect={"status": "ok"}), "new-1")
    assert (result.ok, result.status, result.release, result.error) == (True, 200, "new-1", "")
    assert result.milliseconds > 0
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.body) == ("GET", "/health?x=1", b"")
    assert seen.headers["X-Kickoff-Check"] == "unit"
    assert seen.headers["Host"] == "shop.example"
    assert "X-Release" not in seen.headers and "X-Kickoff-Release" not in seen.headers


def test_the_body_is_sent_as_json(server: Server) -> None:
    server.answer = lambda _: Answer(status=201)
    assert ask(server.url, HttpCheck("p", "/", "POST", {"a": [1]}, 201)).ok
    assert json.loads(server.seen[0].body) == {"a": [1]}
    assert server.seen[0].headers["Content-Type"] == "application/json"


def test_a_wrong_status_shows_the_body_cut(server: Server) -> None:
    server.answer = lambda _: Answer(status=500, body=b"x" * 500)
    result = ask(server.url, HttpCheck("h", "/"))
    assert not result.ok
    assert result.error == f"expected status 200, found 500: {'x' * 200}…"


def test_a_wrong_release_names_both(server: Server) -> None:
    result = ask(server.url, HttpCheck("h", "/"), "old-1")
    assert (result.ok, result.release) == (False, "new-1")
    assert result.error == "expected X-Release old-1, found new-1"


def test_a_missing_release_is_wrong(server: Server) -> None:
    server.answer = lambda _: Answer(release="")
    assert ask(server.url, HttpCheck("h", "/"), "old-1").error == "expected X-Release old-1, found none"


def test_without_header_name_the_release_is_not_judged(server: Server) -> None:
    result = ask(server.url, HttpCheck("h", "/"), "old-1", header="")
    assert (result.ok, result.release) == (True, "")


@pytest.mark.parametrize(
    ("body", "expect", "error"),
    [
        ({"a": {"b": [{"c": 1}]}}, {"a.b.0.c": 1}, ""),
        ({"a.b": 1}, {"a.b": 1}, ""),
        ({"a": None}, {"a": None}, ""),
        ({"a": {"y": 1, "x": 2}}, {"a": {"x": 2, "y": 1}}, ""),
        ({"a": 1}, {"a": True}, "expected a = true, found 1"),
        ({"a": 1}, {"b": None}, "expected b = null, found no such key"),
        ({"a": [1]}, {"a.1": 1}, "expected a.1 = 1, found no such key"),
        ("text", {"a.b": 1}, "expected a.b = 1, found no such key"),
    ],
)
def test_expectations_by_dotted_key(server: Server, body: object, expect: dict[str, Any], error: str) -> None:
    server.answer = lambda _: Answer(body=json.dumps(body).encode())
    result = ask(server.url, HttpCheck("h", "/", expect=expect))
    assert result.ok is (error == "")
    assert result.error.startswith(error)


def test_an_answer_that_is_not_json_says_so(server: Server) -> None:
    server.answer = lambda _: Answer(body=b"<html>")
    assert ask(server.url, HttpCheck("h", "/", expect={"a": 1})).error == "expected JSON, found <html>"


def test_contains(server: Server) -> None:
    assert ask(server.url, HttpCheck("h", "/", contains="status")).ok
    error = ask(server.url, HttpCheck("h", "/", contains="missing")).error
    assert error == 'expected the text \'missing\', found {"status": "ok"}'


def test_an_unknown_character_set_is_read_all_the_same(server: Server) -> None:
    server.answer = lambda _: Answer(headers={"Content-Type": "text/plain; charset=klingon"})
    assert ask(server.url, HttpCheck("h", "/", contains="status")).ok


def test_an_endless_answer_is_read_up_to_a_limit(server: Server) -> None:
    server.answer = lambda _: Answer(body=b"y" * (3 << 20))
    assert ask(server.url, HttpCheck("h", "/", contains="yyy")).ok


def test_nobody_listening_is_a_result_with_a_reason(closed_url: str) -> None:
    result = ask(closed_url, HttpCheck("h", "/"), "new-1")
    assert (result.ok, result.status, result.release) == (False, 0, "")
    assert result.error.startswith("no answer: ") and "refused" in result.error


def test_silence_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with open_client(url, {}, seconds=0.1) as client:
            result = perform(client, HttpCheck("h", "/"), header="", expected_release="", marker="unit")
    assert result.error == "no answer: timed out (ReadTimeout)"


def test_what_is_not_http_is_a_result() -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def answer() -> None:
            connection, _ = odd.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        result = ask(f"http://127.0.0.1:{odd.getsockname()[1]}", HttpCheck("h", "/"))
        thread.join()
    assert (result.ok, result.status) == (False, 0)
    assert result.error.startswith("no answer: ")


def test_no_cookie_pins_a_client_to_a_release(server: Server) -> None:
    server.answer = lambda _: Answer(headers={"Set-Cookie": "colour=blue; Path=/"})
    with open_client(server.url, {}) as client:
        for _ in range(2):
            assert perform(client, HttpCheck("h", "/"), header="", expected_release="", marker="m").ok
    assert len(server.seen) == 2
    assert all("Cookie" not in seen.headers for seen in server.seen)


def test_the_proxy_of_the_process_is_ignored(
    server: Server, closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", closed_url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert ask(server.url, HttpCheck("h", "/")).ok


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_certificate_that_nobody_vouches_for_is_refused(scheme: str, tmp_path: Path) -> None:
    # A client that was opened for an address without TLS trusts nobody.
    with (
        certificates.serving(certificates.made(tmp_path, "127.0.0.1")) as port,
        open_client(f"{scheme}://127.0.0.1", {}, seconds=2) as client,
    ):
        check = HttpCheck("h", f"https://127.0.0.1:{port}/")
        result = perform(client, check, header="", expected_release="", marker="unit")
    assert (result.ok, result.status) == (False, 0)
    assert "CERTIFICATE_VERIFY_FAILED" in result.error
