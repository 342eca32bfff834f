"""Proofs in a folder: kept, found, refused when damaged; and runs in progress, which end with their process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kickoff.artifact.ledger import FolderLedger
from kickoff.errors import KickoffError

COMMIT, DIGEST = "a" * 40, f"sha256:{'1' * 64}"
STATEMENT: dict[str, Any] = {
    "version": 1,
    "environment": "staging",
    "digest": DIGEST,
    "repository": "",
    "commit": COMMIT,
    "release": "aaaaaaa-12345678",
    "changed": True,
    "promoted": {"attempt": "7-aa", "at": "2026-01-02T03:04:04.000+00:00", "verdict": "pass"},
    "proved": "2026-01-02T03:04:05.000+00:00",
    "stages": {"stage": [], "smoke-live": []},
}


@pytest.fixture
def ledger(tmp_path: Path) -> FolderLedger:
    return FolderLedger(tmp_path / "state" / "demo" / "proofs" / "staging", "staging")


def test_what_is_kept_is_found_by_its_commit(ledger: FolderLedger) -> None:
    assert ledger.find(COMMIT) is None
    path = ledger.keep(STATEMENT)
    proof = ledger.find(COMMIT)
    assert proof is not None
    assert (proof.digest, proof.release, proof.source) == (DIGEST, "aaaaaaa-12345678", str(path))
    assert ledger.find("b" * 40) is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert ledger.folder.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in ledger.folder.iterdir()] == [f"{COMMIT}.json"]


def test_an_image_is_found_with_its_repository(ledger: FolderLedger) -> None:
    ledger.keep(STATEMENT | {"repository": "127.0.0.1:5000/football"})
    found = ledger.find(COMMIT)
    assert found is not None
    assert found.repository == "127.0.0.1:5000/football"


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def damage(text: str) -> str:
        document = json.loads(text)
        change(document)
        return json.dumps(document)

    return damage


DAMAGES: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no object": lambda text: "[]",
    "the statement alone": lambda text: json.dumps(json.loads(text)["statement"]),
    "another digest": rewritten(lambda d: d["statement"].update(digest=f"sha256:{'2' * 64}")),
    "another hash": rewritten(lambda d: d.update(sha256="0" * 64)),
    "a further field": rewritten(lambda d: d["statement"].update(more=1)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_proof_is_refused(name: str, ledger: FolderLedger) -> None:
    path = ledger.keep(STATEMENT)
    path.write_text(DAMAGES[name](path.read_text()))
    with pytest.raises(KickoffError, match="cannot be trusted: it is damaged") as error:
        ledger.find(COMMIT)
    assert error.value.code == 1
    assert error.value.at == str(path)


def test_a_proof_that_is_no_text_is_refused(ledger: FolderLedger) -> None:
    ledger.keep(STATEMENT).write_bytes(b"\xff\xfe")
    with pytest.raises(KickoffError, match="it is no text"):
        ledger.find(COMMIT)


def test_a_proof_of_another_commit_under_this_name_is_refused(ledger: FolderLedger) -> None:
    path = ledger.keep(STATEMENT)
    path.rename(path.with_name(f"{'b' * 40}.json"))
    with pytest.raises(KickoffError, match="its commit is"):
        ledger.find("b" * 40)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"environment": "development"}, "its environment is 'development'"),
        ({"version": 2}, "version 1"),
        ({"digest": "sha256:1"}, "no digest"),
        ({"digest": 5}, "a field is no text"),
        ({"repository": "Not/A:repository"}, "no image repository"),
        ({"stages": {"stage": []}}, "no stages that passed"),
        ({"stages": []}, "no stages that passed"),
    ],
)
def test_only_a_whole_statement_is_kept(change: dict[str, Any], reason: str, ledger: FolderLedger) -> None:
    with pytest.raises(KickoffError, match=reason):
        ledger.keep(STATEMENT | change)
    assert not ledger.folder.exists()


@pytest.mark.parametrize("commit", ["", "a" * 39, "A" * 40, "../" + "a" * 37])
def test_nothing_but_a_commit_names_a_proof(commit: str, ledger: FolderLedger) -> None:
    for ask in (ledger.find, ledger.running):
        with pytest.raises(KickoffError, match="no commit"):
            ask(commit)


def test_a_run_is_in_progress_while_it_claims(ledger: FolderLedger) -> None:
    assert ledger.running(COMMIT) == []
    with ledger.claim(COMMIT, "somebody", "staging run 7"):
        [run] = ledger.running(COMMIT)
        assert (run.who, run.place) == ("somebody", "staging run 7")
        assert ledger.running("b" * 40) == []
        with ledger.claim(COMMIT, "somebody else", "staging run 8"):
            assert len(ledger.running(COMMIT)) == 2
        assert len(ledger.running(COMMIT)) == 1
    assert ledger.running(COMMIT) == []
    assert list(ledger.folder.iterdir()) == []


def test_nobody_waits_for_a_run_that_was_killed(ledger: FolderLedger) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom kickoff.artifact.ledger import FolderLedger\n"
        f"with FolderLedger(Path({str(ledger.folder)!r}), 'staging').claim({COMMIT!r}, 'x', 'y'):\n"
        "    print('claimed', flush=True)\n    time.sleep(60)\n"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        assert len(ledger.running(COMMIT)) == 1
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert ledger.running(COMMIT) == []
    assert list(ledger.folder.iterdir()) == [], "what it left is removed"


def test_the_newest_proof_is_the_one_that_was_made_last(ledger: FolderLedger) -> None:
    assert ledger.newest() is None
    ledger.keep(STATEMENT)
    ledger.keep(STATEMENT | {"commit": "b" * 40, "proved": "2026-01-02T03:04:04.000+00:00"})
    found = ledger.newest()
    assert found is not None and found.commit == COMMIT
    ledger.keep(STATEMENT | {"commit": "b" * 40, "proved": "2026-01-02T03:04:06.000+00:00"})
    found = ledger.newest()
    assert found is not None and found.commit == "b" * 40
    assert ledger.find(COMMIT) is not None


def test_a_damaged_proof_may_be_the_newest_and_is_not_passed_over(ledger: FolderLedger) -> None:
    ledger.keep(STATEMENT)
    (ledger.folder / f"{'b' * 40}.json").write_text("{", encoding="utf-8")
    with pytest.raises(KickoffError, match="cannot be trusted") as error:
        ledger.newest()
    assert error.value.code == 1
