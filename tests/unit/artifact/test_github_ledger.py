"""Proofs on GitHub: which runs count, which artefacts are read, and what is refused; on a stand-in for gh."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kickoff import gh
from kickoff.artifact.github_ledger import GitHubLedger
from kickoff.environments import DEFAULT, DeclaredEnvironment
from kickoff.errors import KickoffError
from tests.unit.artifact.test_ledger import COMMIT, DIGEST, STATEMENT
from tests.unit.gh_stand_in import GitHub

[STAGING] = [one for one in DEFAULT if one.name == "staging"]
ROOT = Path(__file__).resolve().parents[3]
HERE = "repos/o/r/actions"
RUNS = f"GET {HERE}/workflows/cd.yml/runs?branch=main&per_page=100"
ARTIFACTS = f"GET {HERE}/artifacts?name=proof-staging-{COMMIT}&per_page=100&page=1"
TIP = "d" * 40
BRANCH, TAGS = "GET repos/o/r/branches/main", "GET repos/o/r/git/matching-refs/tags/main"


def comparison(commit: str) -> str:
    return f"GET repos/o/r/compare/{TIP}...{commit}?per_page=1"


RUN: dict[str, Any] = {
    "id": 7,
    "path": ".github/workflows/cd.yml",
    "event": "push",
    "head_branch": "main",
    "head_sha": COMMIT,
    "display_title": "A commit",
    "status": "completed",
    "conclusion": "success",
    "run_started_at": "2026-01-02T03:04:05Z",
    "html_url": "https://github.example/o/r/actions/runs/7",
    "actor": {"login": "somebody"},
    "triggering_actor": {"login": "somebody"},
    "repository": {"full_name": "o/r", "private": True},
    "head_repository": {"full_name": "o/r"},
}
PUBLIC = RUN | {"repository": {"full_name": "o/r", "private": False}}
IN_PROGRESS = RUN | {"status": "in_progress", "conclusion": None}
DISPATCH = IN_PROGRESS | {"event": "workflow_dispatch", "head_sha": "f" * 40}


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    made = GitHub(tmp_path / "gh")
    made.use(monkeypatch)
    made.answer(RUNS, {"workflow_runs": []})
    made.answer(ARTIFACTS, {"artifacts": []})
    made.answer(BRANCH, {"commit": {"sha": TIP}})
    made.answer(TAGS, [])
    made.answer(comparison(COMMIT), {"status": "behind"})
    return made


def written(statement: object) -> str:
    """Return the statement as its file has it."""
    return json.dumps(statement, indent=1)


def attestation(statement: object = STATEMENT, **certificate: str) -> list[dict[str, Any]]:
    """Return what ``gh`` says of an attestation that it verified."""
    signer = {"sourceRepositoryRef": "refs/heads/main", "runInvocationURI": f"{RUN['html_url']}/attempts/1"}
    signature = {"certificate": signer | certificate}
    return [{"verificationResult": {"statement": {"predicate": statement}, "signature": signature}}]


def attest(github: GitHub, answer: object) -> None:
    """Let ``gh attestation verify`` answer for the statement."""
    github.answer(f"VERIFY {hashlib.sha256(written(STATEMENT).encode()).hexdigest()}", answer)


def offer(
    github: GitHub,
    *,
    run: dict[str, Any] = RUN,
    identity: int = 1,
    statement: object = STATEMENT,
    **more: Any,
) -> None:
    """Let a run have kept a statement."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("proof.staging.json", written(statement))
    data = stream.getvalue()
    artifact = {
        "id": identity,
        "name": f"proof-staging-{COMMIT}",
        "expired": False,
        "created_at": f"2026-01-02T03:04:0{identity}Z",
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "workflow_run": {"id": run["id"]},
    }
    listed = github.answers[ARTIFACTS]["artifacts"]
    github.answer(ARTIFACTS, {"artifacts": [*listed, artifact | more]})
    github.answer(f"GET {HERE}/runs/{run['id']}", run)
    github.answer(f"GET {HERE}/artifacts/{identity}/zip", {"base64": base64.b64encode(data).decode()})


def ledger(*, attested: bool = False) -> GitHubLedger:
    return GitHubLedger("o/r", "main", STAGING, ["v1.2.3"], attested=attested)


def test_the_proof_of_a_run_that_ended_well_is_found(github: GitHub) -> None:
    assert ledger().find(COMMIT) is None
    offer(github)
    proof = ledger().find(COMMIT)
    assert proof is not None
    assert (proof.digest, proof.source) == (DIGEST, RUN["html_url"])


# A pull request can make a run upload whatever it likes under this name.
@pytest.mark.parametrize(
    "change",
    [
        {"conclusion": "failure"},
        {"conclusion": None, "status": "in_progress"},
        {"path": ".github/workflows/ci.yml"},
        {"path": ".github/workflows/cd.yml.yml"},
        {"event": "issue_comment", "path": ".github/workflows/commands.yml"},
        {"event": "issue_comment"},
        {"event": "pull_request"},
        {"event": "pull_request_target"},
        {"head_branch": "topic"},
        {"head_repository": {"full_name": "stranger/r"}},
        {"head_repository": None},
        {"repository": {"full_name": "stranger/r"}},
    ],
    ids=str,
)
def test_the_proof_of_any_other_run_does_not_count(change: dict[str, Any], github: GitHub) -> None:
    offer(github, run=RUN | change)
    assert ledger().find(COMMIT) is None
    offer(github, run=RUN | {"id": 8}, identity=2)
    assert ledger().find(COMMIT) is not None, "a good one beside it does"


@pytest.mark.parametrize("status", ["ahead", "diverged"])
def test_a_run_on_a_tag_that_is_called_like_the_branch_does_not_count(status: str, github: GitHub) -> None:
    # Of such a run GitHub says head_branch main, too.
    offer(github, run=RUN | {"head_sha": "e" * 40, "event": "workflow_dispatch"})
    github.answer(comparison("e" * 40), {"status": status})
    assert ledger().find(COMMIT) is None
    offer(github, run=RUN | {"id": 8}, identity=2)
    found = ledger().find(COMMIT)
    assert found is not None, "a good one beside it does"


def test_while_there_is_such_a_tag_no_run_counts(github: GitHub) -> None:
    offer(github)
    github.answer(TAGS, [{"ref": "refs/tags/main-2"}])
    assert ledger().find(COMMIT) is not None
    github.answer(TAGS, [{"ref": "refs/tags/main-2"}, {"ref": "refs/tags/main"}])
    with pytest.raises(KickoffError, match="a tag is called main") as error:
        ledger().find(COMMIT)
    assert error.value.code == 1
    assert error.value.hint.endswith("git push origin :refs/tags/main")


def test_a_commit_that_is_gone_is_on_no_branch_and_a_silent_github_is_no_answer(github: GitHub) -> None:
    offer(github)
    del github.answers[comparison(COMMIT)]
    github.keep()
    assert ledger().find(COMMIT) is None
    github.refuse(comparison(COMMIT), 502, "no")
    with pytest.raises(gh.GitHubError):
        ledger().find(COMMIT)


def test_a_branch_with_a_slash_is_asked_for_by_its_name(github: GitHub) -> None:
    offer(github, run=RUN | {"head_branch": "release/1"})
    github.answer("GET repos/o/r/branches/release%2F1", {"commit": {"sha": TIP}})
    github.answer("GET repos/o/r/git/matching-refs/tags/release/1", [])
    assert GitHubLedger("o/r", "release/1", STAGING).find(COMMIT) is not None


def test_the_environment_that_proves_may_take_another_branch_or_tags(github: GitHub) -> None:
    develop = DeclaredEnvironment("staging", branch="develop")
    candidates = DeclaredEnvironment("staging", tag="rc-*")

    def found(source: DeclaredEnvironment, **run: Any) -> bool:
        github.answer(ARTIFACTS, {"artifacts": []})
        offer(github, run=RUN | run)
        return GitHubLedger("o/r", "main", source).find(COMMIT) is not None

    github.answer("GET repos/o/r/branches/develop", {"commit": {"sha": TIP}})
    github.answer("GET repos/o/r/git/matching-refs/tags/develop", [])
    assert found(develop, head_branch="develop")
    assert found(develop, event="workflow_dispatch"), "a dispatch on the default branch counts, too"
    assert not found(develop), "its pushes ship nothing there"
    assert not found(develop, head_branch="topic", event="workflow_dispatch")
    assert found(candidates, head_branch="rc-1")
    assert not found(candidates, head_branch="rc-1", event="workflow_dispatch")
    assert not found(candidates, head_branch="v1")
    github.answer(comparison(COMMIT), {"status": "diverged"})
    assert not found(candidates, head_branch="rc-1"), "what the tag names must be on the default branch"


def test_a_proof_by_a_tag_is_signed_on_that_tag(github: GitHub) -> None:
    source = DeclaredEnvironment("staging", tag="rc-*")
    offer(github, run=PUBLIC | {"head_branch": "rc-1"})
    attest(github, attestation(sourceRepositoryRef="refs/tags/rc-1"))
    assert GitHubLedger("o/r", "main", source).find(COMMIT) is not None
    attest(github, attestation(sourceRepositoryRef="refs/heads/main"))
    with pytest.raises(KickoffError, match="its attestation is of another run, ref or content"):
        GitHubLedger("o/r", "main", source).find(COMMIT)


def test_a_run_by_a_tag_of_the_commit_is_waited_for(github: GitHub) -> None:
    source = DeclaredEnvironment("staging", tag="rc-*")
    tagged = IN_PROGRESS | {"head_branch": "rc-1"}
    github.answer(RUNS.replace("branch=main", "branch=rc-1"), {"workflow_runs": [tagged]})
    assert len(GitHubLedger("o/r", "main", source, ["v1", "rc-1"]).running(COMMIT)) == 1


def test_what_strangers_keep_under_the_name_hides_nothing(github: GitHub) -> None:
    offer(github)
    [genuine] = github.answers[ARTIFACTS]["artifacts"]
    foreign = {"id": 9, "head_branch": "main", "repository_id": 1, "head_repository_id": 2}
    noise = genuine | {"workflow_run": foreign, "created_at": "2027-01-01T00:00:00Z"}
    for page in (1, 2, 3):
        github.answer(ARTIFACTS.replace("&page=1", f"&page={page}"), {"artifacts": [noise] * 100})
    github.answer(ARTIFACTS.replace("&page=1", "&page=4"), {"artifacts": [noise, genuine]})
    assert ledger().find(COMMIT) is not None
    runs = [path for _, path, _ in github.calls() if "/runs/" in path]
    assert runs == [f"{HERE}/runs/7"], "nobody asks for the runs of strangers"


# --- attestations ---------------------------------------------------------------------------------------


def test_a_public_repository_s_proof_counts_when_its_run_has_signed_it(github: GitHub) -> None:
    offer(github, run=PUBLIC)
    attest(github, attestation())
    assert ledger().find(COMMIT) is not None
    [(_, _, asked)] = [call for call in github.calls() if call[0] == "VERIFY"]
    assert asked == {
        "--repo": "o/r",
        "--format": "json",
        "--signer-workflow": "o/r/.github/workflows/cd.yml",
        "--predicate-type": "urn:kickoff:deployment-proof:v1",
    }


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "message": "Not Found"},
        {"refusal": "Error: no attestations found for subject: sha256:00"},
        {"refusal": "✗ Sigstore verification failed\n\nError: verifying with issuer sigstore.dev"},
        [],
        attestation(STATEMENT | {"digest": f"sha256:{'2' * 64}"}),
        attestation(sourceRepositoryRef="refs/tags/main"),
        attestation(sourceRepositoryRef="refs/heads/topic"),
        attestation(runInvocationURI="https://github.example/o/r/actions/runs/70/attempts/1"),
        attestation(runInvocationURI="https://github.example/o/r/actions/runs/8/attempts/1"),
    ],
    ids=lambda answer: json.dumps(answer)[-80:],
)
def test_a_proof_that_nobody_or_another_signed_is_refused(answer: object, github: GitHub) -> None:
    offer(github, run=PUBLIC)
    attest(github, answer)
    with pytest.raises(KickoffError, match=r"cannot be trusted: it(s attestation| has no good)") as error:
        ledger().find(COMMIT)
    assert (error.value.code, error.value.at) == (1, RUN["html_url"])


@pytest.mark.parametrize(
    ("refusal", "passing"),
    [
        ("dial tcp: lookup api.github.example: no such host", True),
        ("Error: HTTP 503: Service Unavailable", True),
        ("Error: HTTP 403: Resource not accessible by integration", False),
        ('unknown command "attestation" for "gh"', False),
    ],
)
def test_an_attestation_that_cannot_be_asked_for_is_doubt(
    refusal: str, github: GitHub, *, passing: bool
) -> None:
    offer(github, run=PUBLIC)
    attest(github, {"refusal": refusal})
    with pytest.raises(gh.GitHubError) as error:
        ledger().find(COMMIT)
    assert (error.value.code, error.value.passing) == (4, passing)


def test_a_private_repository_is_asked_for_one_only_where_it_says_so(github: GitHub) -> None:
    offer(github)
    assert ledger().find(COMMIT) is not None
    with pytest.raises(KickoffError, match="no good attestation"):
        ledger(attested=True).find(COMMIT)
    attest(github, attestation())
    assert ledger(attested=True).find(COMMIT) is not None


def test_a_run_that_does_not_say_whose_it_is_counts_as_public(github: GitHub) -> None:
    offer(github, run=RUN | {"repository": {"full_name": "o/r"}})
    with pytest.raises(KickoffError, match="no good attestation"):
        ledger().find(COMMIT)


def test_the_path_of_a_run_may_name_its_ref(github: GitHub) -> None:
    offer(github, run=RUN | {"path": ".github/workflows/cd.yml@refs/heads/main"})
    assert ledger().find(COMMIT) is not None


def test_what_expired_or_has_another_name_is_not_read(github: GitHub) -> None:
    offer(github, expired=True)
    offer(github, identity=2, name=f"proof-staging-{COMMIT}2")
    assert ledger().find(COMMIT) is None
    assert not [path for _, path, _ in github.calls() if path.endswith("/zip")]


def test_the_newest_proof_counts(github: GitHub) -> None:
    newer = f"sha256:{'3' * 64}"
    offer(github, identity=2, run=RUN | {"id": 8}, statement=STATEMENT | {"digest": newer})
    offer(github, identity=1)
    proof = ledger().find(COMMIT)
    assert proof is not None
    assert proof.digest == newer


@pytest.mark.parametrize(
    ("more", "statement", "reason"),
    [
        ({"digest": f"sha256:{'0' * 64}"}, STATEMENT, "artefact is damaged"),
        ({}, STATEMENT | {"commit": "b" * 40}, "its commit is"),
        ({}, STATEMENT | {"environment": "development"}, "its environment is"),
        ({}, [], "no statement"),
    ],
)
def test_a_proof_that_cannot_be_trusted_is_refused(
    more: dict[str, Any], statement: object, reason: str, github: GitHub
) -> None:
    offer(github, statement=statement, **more)
    with pytest.raises(KickoffError, match=reason) as error:
        ledger().find(COMMIT)
    assert error.value.code == 1
    assert error.value.at == RUN["html_url"]


def test_an_artefact_that_is_no_archive_is_refused(github: GitHub) -> None:
    offer(github, digest=None)
    github.answer(f"GET {HERE}/artifacts/1/zip", {"base64": base64.b64encode(b"no zip").decode()})
    with pytest.raises(KickoffError, match=r"does not hold proof\.staging\.json"):
        ledger().find(COMMIT)


@pytest.mark.parametrize(
    ("run", "counts"),
    [
        (IN_PROGRESS, True),
        (IN_PROGRESS | {"status": "queued"}, True),
        (IN_PROGRESS | {"status": "waiting"}, True),
        (RUN, False),
        (IN_PROGRESS | {"head_sha": "b" * 40}, False),
        (IN_PROGRESS | {"head_branch": "v1.2.3"}, False),
        (DISPATCH | {"display_title": f"{COMMIT} → staging"}, True),
        (DISPATCH | {"display_title": "aaaaaaa → staging"}, True),
        (DISPATCH | {"display_title": "aaaaaaa-12345678 → staging"}, True),
        (DISPATCH | {"display_title": "v1.2.3 → staging"}, True),
        (DISPATCH | {"display_title": "main → staging", "head_sha": COMMIT}, True),
        (DISPATCH | {"display_title": "main → staging"}, False),
        (DISPATCH | {"display_title": "v1.2.4 → staging"}, False),
        (DISPATCH | {"display_title": "aaaaaab → staging"}, False),
        (DISPATCH | {"display_title": f"{COMMIT} → production"}, False),
        (DISPATCH | {"display_title": "A commit", "head_sha": COMMIT}, False),
    ],
)
def test_only_a_staging_run_of_this_commit_is_waited_for(
    run: dict[str, Any], *, counts: bool, github: GitHub
) -> None:
    github.answer(RUNS, {"workflow_runs": [run]})
    found = ledger().running(COMMIT)
    assert [one.place for one in found] == ([RUN["html_url"]] if counts else [])
    assert all("somebody" in str(one) and "03:04:05" in str(one) for one in found)


@pytest.mark.parametrize("ask", [GitHubLedger.running, GitHubLedger.find])
def test_what_cannot_be_asked_is_no_proof(ask: Callable[..., object], github: GitHub) -> None:
    for status, passing in ((403, False), (404, False), (429, True), (502, True)):
        github.refuse(RUNS, status, "no")
        github.refuse(ARTIFACTS, status, "no")
        with pytest.raises(gh.GitHubError) as error:
            ask(ledger(), COMMIT)
        assert (error.value.code, error.value.status, error.value.passing) == (4, status, passing)
        assert "actions: read" in error.value.hint


def test_a_machine_without_gh_or_without_a_token_says_so(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GH_TOKEN")
    with pytest.raises(gh.GitHubError) as error:
        ledger().find(COMMIT)
    assert (error.value.status, error.value.passing) == (401, False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(gh.GitHubError, match="did not take") as error:
        ledger().find(COMMIT)
    assert error.value.causes == ("gh is not installed",)
    assert not error.value.passing


def require(
    github: GitHub, folder: Path, *arguments: str, environment: str = "github-hosted", **more: str
) -> "subprocess.CompletedProcess[str]":
    """Run the script as `pre-deployment-checks` does on GitHub."""
    event = folder / "event.json"
    event.write_text('{"repository": {"default_branch": "main"}}', encoding="utf-8")
    return subprocess.run(
        [
            sys.executable,
            str(ROOT / "src" / "kickoff"),
            "proof",
            "find",
            "--env=production",
            f"--commit={COMMIT}",
            *arguments,
        ],
        cwd=ROOT,
        env=github.environ
        | {
            "HOME": str(folder),
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_OUTPUT": str(folder / "outputs"),
            "GITHUB_REPOSITORY": "o/r",
            "KICKOFF_EVIDENCE_DIR": str(folder / "evidence"),
            "RUNNER_ENVIRONMENT": environment,
        }
        | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_script_asks_github_there(github: GitHub, tmp_path: Path) -> None:
    offer(github, statement=STATEMENT | {"repository": "ghcr.io/o/r"})
    done = require(github, tmp_path)
    assert done.returncode == 0, done.stderr
    outputs = (tmp_path / "outputs").read_text()
    assert DIGEST in outputs
    assert "ghcr.io/o/r" in outputs
    assert {method for method, _, _ in github.calls()} == {"GET"}, "it only reads"


def test_the_script_ends_with_4_when_github_cannot_be_asked(github: GitHub, tmp_path: Path) -> None:
    github.refuse(RUNS, 403, "Resource not accessible by integration")
    done = require(github, tmp_path)
    assert done.returncode == 4
    assert "Resource not accessible by integration (HTTP 403)" in done.stderr
    evidence = json.loads((tmp_path / "evidence" / "promotion.json").read_text())
    assert (evidence["verdict"], evidence["facts"]["exit_code"]) == ("fail", 4)
    done = require(github, tmp_path, "--unproven-reason=GitHub has no artefacts today")
    assert done.returncode == 0
    assert "overruled: GitHub did not take" in done.stderr
    assert "::warning::aaaaaaa goes to production unproven: GitHub has no artefacts today" in done.stdout


def test_a_lasting_runner_finds_its_own_proof_without_asking_github(github: GitHub, tmp_path: Path) -> None:
    from kickoff.artifact.ledger import FolderLedger

    FolderLedger(tmp_path / "state" / "football" / "proofs" / "staging", "staging").keep(STATEMENT)
    more = {"KICKOFF_STATE_ROOT": str(tmp_path / "state")}
    done = require(github, tmp_path, environment="self-hosted", **more)
    assert done.returncode == 0, done.stderr
    assert github.calls() == []
    # A runner of GitHub's has no folder that lasts: what lies there proves nothing.
    github.refuse(ARTIFACTS, 403, "no")
    assert require(github, tmp_path, **more).returncode == 4


def test_a_project_has_a_workflow_and_proofs_of_its_own(github: GitHub) -> None:
    path, shipped = ".github/workflows/cd-api.yml", "e" * 40

    def about(sha: str) -> str:
        return COMMIT if sha == shipped else sha

    made = GitHubLedger("o/r", "main", STAGING, service="api", label="api", commit_of=about)
    runs, artifacts = (
        one.replace("cd.yml", "cd-api.yml").replace("=proof-", "=proof-api-") for one in (RUNS, ARTIFACTS)
    )
    run = RUN | {"path": path, "head_sha": shipped}
    github.answer(runs, {"workflow_runs": [run | {"status": "in_progress", "conclusion": None}]})
    assert len(made.running(COMMIT)) == 1, "it runs on a later commit, which changed nothing here"
    github.answer(comparison(shipped), {"status": "behind"})
    offer(github, run=run, statement=STATEMENT | {"service": "api"}, name=f"proof-api-staging-{COMMIT}")
    github.answer(artifacts, github.answers[ARTIFACTS])
    found = made.find(COMMIT)
    assert found is not None and found.statement["service"] == "api"
    github.answer(f"GET {HERE}/runs/{run['id']}", run | {"path": ".github/workflows/cd.yml"})
    assert made.find(COMMIT) is None, "a run of another workflow proves nothing here"


ENDED = f"GET {HERE}/workflows/cd.yml/runs?status=success&per_page=100"
PROMOTED = f"GET {HERE}/workflows/promote.yml/runs?status=success&per_page=100"
BACK = f"GET {HERE}/workflows/rollback.yml/runs?status=success&per_page=100"
LATER = "2026-01-02T04:00:00Z"


def kept_by(github: GitHub, identity: int, *names: str) -> None:
    github.answer(
        f"GET {HERE}/runs/{identity}/artifacts?per_page=100&page=1",
        {"artifacts": [{"name": name} for name in names]},
    )


def test_the_newest_proof_is_that_of_the_newest_run_that_left_one(github: GitHub) -> None:
    offer(github)
    other = RUN | {"id": 8, "run_started_at": LATER}
    elsewhere = {"event": "workflow_dispatch", "display_title": "main → production"}
    github.answer(ENDED, {"workflow_runs": [RUN, other, other | elsewhere | {"id": 9}]})
    kept_by(github, 7, "report", f"proof-staging-{COMMIT}")
    kept_by(github, 8, "report", "proof-staging-", f"proof-production-{COMMIT}")
    found = ledger().newest()
    assert found is not None and (found.commit, found.digest) == (COMMIT, DIGEST)
    asked = [path for _, path, _ in github.calls() if path.endswith("artifacts?per_page=100&page=1")]
    assert [path.split("/")[5] for path in asked] == ["8", "7"], (
        "newest first, and none of another environment"
    )


def test_where_nothing_ended_well_nothing_is_proved(github: GitHub) -> None:
    assert ledger().newest() is None, "there is no such workflow yet"
    github.answer(ENDED, {"workflow_runs": [RUN | {"head_branch": "topic"}]})
    assert ledger().newest() is None
    github.refuse(ENDED, 403, "Resource not accessible by integration")
    with pytest.raises(KickoffError, match="GitHub did not take") as error:
        ledger().newest()
    assert error.value.code == 4


@pytest.mark.parametrize("title", ["Roll back staging", "Roll back production"])
@pytest.mark.parametrize("when", [LATER, "2026-01-02T03:00:00Z"], ids=["later", "before"])
def test_what_was_rolled_back_from_since_is_not_promoted_unasked(
    github: GitHub, title: str, when: str
) -> None:
    offer(github)
    github.answer(ENDED, {"workflow_runs": [RUN]})
    kept_by(github, 7, f"proof-staging-{COMMIT}")
    back = RUN | {
        "id": 8,
        "display_title": title,
        "run_started_at": when,
        "html_url": "https://github.example/8",
    }
    github.answer(BACK, {"workflow_runs": [back]})
    if (title, when) != ("Roll back staging", LATER):
        assert ledger().newest() is not None
        return
    with pytest.raises(KickoffError, match="staging was rolled back after it had proved aaaaaaa") as error:
        ledger().newest()
    assert error.value.code == 1
    assert error.value.causes == ("https://github.example/8 by somebody",)
    assert "name the commit" in error.value.hint
    assert ledger().find(COMMIT) is not None, "a person may name it"


def test_a_promotion_proves_where_one_can_end_and_nowhere_else(github: GitHub) -> None:
    by_click = {"path": ".github/workflows/promote.yml", "event": "workflow_dispatch"}
    run = RUN | by_click | {"display_title": "proved → staging"}
    offer(github, run=run)
    assert ledger().find(COMMIT) is None, "nothing comes before staging"
    trial = GitHubLedger("o/r", "main", DeclaredEnvironment("staging", after="development"))
    assert trial.find(COMMIT) is not None
    github.answer(PROMOTED, {"workflow_runs": [run]})
    kept_by(github, 7, f"proof-staging-{COMMIT}")
    found = trial.newest()
    assert found is not None and found.commit == COMMIT
