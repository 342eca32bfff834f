"""Admission: what an environment that demands a proof takes, wherever the engine asks for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from kickoff import judging, service
from kickoff.artifact import admission, source
from kickoff.artifact.github_ledger import GitHubLedger
from kickoff.artifact.ledger import FolderLedger
from kickoff.artifact.promotion import Decision, Standing
from kickoff.environments import DEFAULT
from kickoff.errors import KickoffError
from tests.repository import Repository
from tests.unit.artifact.test_ledger import COMMIT, DIGEST, STATEMENT

DEMO = replace(service.load(Path(__file__).resolve().parents[3]), name="demo", environments=DEFAULT)
OTHER = f"sha256:{'2' * 64}"
NOWHERE = ("GITHUB_ACTIONS", "ACT", "RUNNER_ENVIRONMENT", "GITHUB_EVENT_PATH", "KICKOFF_HANDED_OVER")


@pytest.fixture
def proofs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderLedger:
    """The folder of proofs of a machine that lasts."""
    for name in NOWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KICKOFF_STATE_ROOT", str(tmp_path / "state"))
    return FolderLedger(tmp_path / "state" / "demo" / "proofs" / "staging", "staging")


def ask(
    root: Path, environment: str = "production", *, digest: str = DIGEST, reason: str = ""
) -> Decision | None:
    return admission.require_proof(root, DEMO, environment, commit=COMMIT, digest=digest, reason=reason)


def test_an_environment_that_demands_nothing_takes_anything(tmp_path: Path, proofs: FolderLedger) -> None:
    assert ask(tmp_path, "development") is None
    said = ask(tmp_path, "staging", reason="a drill")
    assert said is not None
    assert admission.record(said) == {"event": "unproven", "reason": "a drill", "doubts": []}


def test_what_was_proved_is_let_in(tmp_path: Path, proofs: FolderLedger) -> None:
    proofs.keep(STATEMENT)
    leave = ask(tmp_path, reason="not needed")
    assert leave is not None
    assert (leave.standing, leave.reason) == (Standing.PROVEN, "")
    assert admission.record(leave) == {"event": "proved", "by": "aaaaaaa-12345678 in staging"}


def test_what_nobody_proved_is_refused_with_the_command_that_proves_it(
    tmp_path: Path, proofs: FolderLedger
) -> None:
    with pytest.raises(KickoffError, match="staging never proved aaaaaaa") as error:
        ask(tmp_path)
    assert error.value.code == 1
    assert error.value.hint == f"prove it: kickoff release --env staging --commit {COMMIT}"


def test_another_artefact_of_the_same_commit_is_refused(tmp_path: Path, proofs: FolderLedger) -> None:
    proofs.keep(STATEMENT)
    with pytest.raises(KickoffError, match="another artefact than staging proved") as error:
        ask(tmp_path, digest=OTHER)
    assert error.value.code == 1
    assert error.value.hint.startswith("prove it: ")


def test_a_damaged_proof_is_refused(tmp_path: Path, proofs: FolderLedger) -> None:
    path = proofs.keep(STATEMENT)
    path.write_text(path.read_text().replace(DIGEST, OTHER))
    with pytest.raises(KickoffError, match="its hash does not match"):
        ask(tmp_path, digest=OTHER)


def test_a_run_that_is_still_at_it_is_not_waited_for(tmp_path: Path, proofs: FolderLedger) -> None:
    with (
        proofs.claim(COMMIT, "somebody", "staging run 7"),
        pytest.raises(KickoffError, match=r"staging is still at aaaaaaa$") as error,
    ):
        ask(tmp_path)
    assert error.value.code == 3
    assert "staging run 7 by somebody" in error.value.causes[0]


def test_a_reason_lets_in_what_is_in_doubt_and_both_are_recorded(
    tmp_path: Path, proofs: FolderLedger
) -> None:
    proofs.keep(STATEMENT)
    leave = ask(tmp_path, digest=OTHER, reason="staging burns")
    assert leave is not None
    record = admission.record(leave)
    assert (record["event"], record["reason"]) == ("unproven", "staging burns")
    assert "another artefact" in record["doubts"][0]


def test_on_github_it_asks_there_and_on_a_host_it_reads_what_was_carried(
    tmp_path: Path, proofs: FolderLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[type]:
        return [type(one) for one in admission.ledgers(tmp_path, DEMO, "production", COMMIT)]

    monkeypatch.setattr(source, "tags", lambda *_: [])
    assert found() == [FolderLedger]
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    assert found() == [FolderLedger, GitHubLedger]
    monkeypatch.setenv("RUNNER_ENVIRONMENT", "github-hosted")
    assert found() == [GitHubLedger]
    monkeypatch.setenv("KICKOFF_ATTESTATIONS", "yes")
    with pytest.raises(KickoffError, match="KICKOFF_ATTESTATIONS is 'yes'"):
        found()
    monkeypatch.setenv("ACT", "true")
    assert found() == [FolderLedger], "under act nothing is GitHub's"
    monkeypatch.delenv("ACT")
    monkeypatch.delenv("RUNNER_ENVIRONMENT")
    monkeypatch.setenv("KICKOFF_HANDED_OVER", "1")
    Repository(tmp_path / "handed")
    assert [type(one) for one in admission.ledgers(tmp_path / "handed", DEMO, "production", COMMIT)] == [
        FolderLedger,
        FolderLedger,
    ]


@pytest.mark.parametrize("below", ["", "services/demo"])
def test_a_runner_carries_its_proof_to_the_host_which_reads_it_again(
    tmp_path: Path, proofs: FolderLedger, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    handed = tmp_path / "handed"
    handed.mkdir()
    project = Repository(handed / "project").root / below
    project.mkdir(parents=True, exist_ok=True)

    def carry(environment: str = "production") -> list[Path]:
        folder = handed / admission.CARRIED
        return admission.carry(tmp_path, DEMO, environment, COMMIT, folder, reason="")

    assert carry() == [], "the host refuses what it has no proof of"
    proofs.keep(STATEMENT)
    assert carry("staging") == []
    [file] = carry()
    monkeypatch.setenv("KICKOFF_STATE_ROOT", str(tmp_path / "state of the host"))
    with pytest.raises(KickoffError, match="never proved"):
        ask(project)
    monkeypatch.setenv("KICKOFF_HANDED_OVER", "1")
    leave = ask(project)
    assert leave is not None and leave.standing is Standing.PROVEN
    with pytest.raises(KickoffError, match="another artefact"):
        ask(project, digest=OTHER)
    file.write_text("{}")
    with pytest.raises(KickoffError, match="cannot be trusted"):
        ask(project)


DEMANDING = """name: demo
run: python -m demo
health: /ready
required_checks: [smoke-candidate]
smoke:
  - {name: root, path: /}
  - {name: orders, path: /orders, contains: open}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    """A project with a commit, whose description is then weakened in the working tree alone."""
    made = Repository(tmp_path / "shop")
    made.write("kickoff.yml", DEMANDING)
    made.write("configs/environments/staging.env", "PUBLIC_PORT=8100\nBAKE_TIME=30s\n")
    made.write("configs/environments/production.env", "PUBLIC_PORT=8200\n")
    return made


def proved_by(shop: Repository, commit: str) -> dict[str, object]:
    """Return a proof that staging made by the rules of the working tree."""
    rules = judging.record(judging.of_project(shop.root, "staging"))
    return STATEMENT | {"commit": commit, "judged_by": rules}


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("kickoff.yml", DEMANDING.replace("[smoke-candidate]", "[]"),
         "check smoke-candidate was none instead of demanded"),
        ("kickoff.yml", DEMANDING.replace("path: /orders", "path: /"),
         "smoke orders was GET /: 200 instead of GET /orders: 200"),
        ("configs/environments/staging.env", "PUBLIC_PORT=8100\nBAKE_TIME=1s\n",
         "BAKE_TIME was 1s instead of 30s"),
    ],
)  # fmt: skip
def test_a_proof_by_less_than_the_commit_demands_is_refused(
    shop: Repository, proofs: FolderLedger, path: str, text: str, told: str
) -> None:
    commit = shop.commit()
    shop.write(path, text)
    proofs.keep(proved_by(shop, commit))

    def stage(reason: str = "") -> Decision | None:
        return admission.require_proof(
            shop.root, DEMO, "production", commit=commit, digest=DIGEST, reason=reason
        )

    with pytest.raises(KickoffError, match="by other rules than the commit demands") as error:
        stage()
    assert told in str(error.value)
    assert error.value.code == 1
    assert error.value.hint == f"prove it: kickoff release --env staging --commit {commit}"
    assert "were not committed" in error.value.causes[-1]
    leave = stage("staging burns")
    assert leave is not None
    assert (leave.standing, leave.proof) == (Standing.BYPASSED, None)
    assert told in leave.doubts[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("README.md", "nothing that judges"),
        ("configs/environments/staging.env", "PUBLIC_PORT=8100\nBAKE_TIME=60s\nLOCK_TTL=1h\n"),
    ],
)
def test_a_proof_by_all_that_the_commit_demands_or_more_counts(
    shop: Repository, proofs: FolderLedger, path: str, text: str
) -> None:
    commit = shop.commit()
    shop.write(path, text)
    proofs.keep(proved_by(shop, commit))
    leave = admission.require_proof(shop.root, DEMO, "production", commit=commit, digest=DIGEST, reason="")
    assert leave is not None
    assert leave.standing is Standing.PROVEN


def test_an_older_commit_may_be_proved_by_the_rules_of_what_is_checked_out(
    shop: Repository, proofs: FolderLedger
) -> None:
    older = shop.commit()
    shop.write("kickoff.yml", DEMANDING.replace("path: /orders", "path: /"))
    shop.commit("The orders are elsewhere")
    proofs.keep(proved_by(shop, older))
    leave = admission.require_proof(shop.root, DEMO, "production", commit=older, digest=DIGEST, reason="")
    assert leave is not None
    assert leave.standing is Standing.PROVEN


def test_rules_of_commits_that_are_not_here_cannot_be_compared(
    shop: Repository, proofs: FolderLedger
) -> None:
    proofs.keep(proved_by(shop, COMMIT))
    with pytest.raises(KickoffError):
        admission.require_proof(shop.root, DEMO, "production", commit=COMMIT, digest=DIGEST, reason="")
