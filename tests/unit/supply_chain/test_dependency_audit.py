"""The dependency audit: what a database knows, what is accepted, and what silence means."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kickoff import service
from kickoff.cli import main
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, Verdict
from kickoff.evidence.rules import WARNING
from kickoff.process_group import Stop
from kickoff.supply_chain import pip
from tests.repository import Repository
from tests.unit.supply_chain.conftest import Database, osv

TODAY = datetime.now(UTC).date()
ENVIRONMENT = "PUBLIC_PORT=8100\nDEPLOY_TARGET=local\n"
CLOSED = "http://127.0.0.1:1/v1/query"


def audit(root: Path, *more: str, code: int = 0) -> Evidence:
    """Run the verb and return the evidence of the audit."""
    assert main.main(["audit", "--evidence=evidence", *more]) == code
    path = root / "evidence" / "dependency-audit.json"
    return Evidence.from_document(json.loads(path.read_text("utf-8")), str(path))


def accept(repository: Repository, **entry: object) -> None:
    text = (repository.root / "kickoff.yml").read_text("utf-8")
    repository.write("kickoff.yml", f"{text}supply_chain:\n  vulnerabilities:\n  - {json.dumps(entry)}\n")
    repository.commit()


def environments(repository: Repository, **texts: str) -> None:
    for name, text in texts.items():
        repository.write(f"configs/environments/{name}.env", ENVIRONMENT + text)
    repository.commit()


def test_packages_of_which_nothing_is_known_pass(repository: Repository, database: Database) -> None:
    found = audit(repository.root)
    assert (found.verdict, found.summary) == (Verdict.PASS, "no known vulnerability")
    assert [(one.rule, one.measured, one.samples) for one in found.rules] == [
        ("locked.txt", "2 packages, 0 vulnerabilities", 2)
    ]
    asked = sorted((one["package"]["name"], one["version"]) for one in database.asked)
    assert asked == [("alpha", "1.0"), ("beta", "2.0")], "each locked version is asked for, and nothing else"
    assert found.inputs["database"] == f"{database.url}/v1/query", "who was asked is on record"


def test_a_known_vulnerability_stops_with_its_fix(repository: Repository, database: Database) -> None:
    database.known["beta"] = [
        osv("GHSA-1", "beta", aliases=("CVE-2026-1",), fixed="2.0.1"),
        osv("PYSEC-2", "beta"),
    ]
    found = audit(repository.root, code=1)
    assert found.verdict is Verdict.FAIL
    failed = {one.rule: one.reason for one in found.rules if one.verdict is Verdict.FAIL}
    assert failed == {
        "beta 2.0: CVE-2026-1": "fixed in 2.0.1",
        "beta 2.0: PYSEC-2": "no fixed version is known",
    }
    assert found.summary == "2 known vulnerabilities: beta 2.0: PYSEC-2, beta 2.0: CVE-2026-1"


@pytest.mark.parametrize("identity", ["GHSA-1", "CVE-2026-1", "cve-2026-1"])
def test_what_is_accepted_under_any_of_its_names_passes_and_is_said(
    identity: str, repository: Repository, database: Database
) -> None:
    database.known["beta"] = [osv("GHSA-1", "beta", aliases=("CVE-2026-1",))]
    accept(repository, id=identity, reason="only when parsing XML, which is not done", expires=str(TODAY))
    found = audit(repository.root)
    assert (found.verdict, found.summary) == (
        Verdict.PASS,
        "no known vulnerability that is not accepted (1 are)",
    )
    [_, entry] = found.rules
    assert entry.verdict is Verdict.NOT_APPLICABLE
    assert entry.reason == f"accepted until {TODAY}: only when parsing XML, which is not done"


def test_an_acceptance_ends_with_its_day_and_covers_no_other(
    repository: Repository, database: Database
) -> None:
    database.known["beta"] = [osv("GHSA-1", "beta"), osv("GHSA-2", "beta")]
    yesterday = TODAY - timedelta(days=1)
    accept(repository, id="GHSA-1", reason="a fix is on its way", expires=str(yesterday))
    found = audit(repository.root, code=1)
    assert [one.reason for one in found.rules if one.verdict is Verdict.FAIL] == [
        f"no fixed version is known; it was accepted until {yesterday}",
        "no fixed version is known",
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{id: GHSA-1, reason: because of it, expires: soon}", "expires: soon is not a day"),
        ("{id: GHSA-1, reason: because of it}", "'expires' is a required property"),
        ("{id: GHSA-1, expires: 2026-12-31}", "'reason' is a required property"),
        ("{id: GHSA-1, reason: '', expires: 2026-12-31}", "too short"),
    ],
)
def test_an_acceptance_needs_a_reason_and_a_day(entry: str, message: str) -> None:
    head = "name: shop\nrun: [serve, '{port}']\nhealth: /health\nsupply_chain:\n  vulnerabilities:\n"
    with pytest.raises(KickoffError, match=message) as caught:
        service.parse(f"{head}  - {entry}\n", "kickoff.yml")
    assert caught.value.at == "kickoff.yml:6"


def test_a_day_without_quotes_is_one() -> None:
    head = "name: shop\nrun: [serve, '{port}']\nhealth: /health\nsupply_chain:\n  vulnerabilities:\n"
    for day in ("2026-12-31", "'2026-12-31'"):
        found = service.parse(
            f"{head}  - {{id: A-1, reason: because of it, expires: {day}}}\n", "kickoff.yml"
        )
        assert str(found.accepted.vulnerabilities[0].until) == "2026-12-31"


UNANSWERED = {
    "nobody listens": None,
    "an error of the server": (503, b"{}"),
    "not JSON": (200, b"<html>sign in to the network</html>"),
    "JSON of another kind": (200, b'{"message": "who are you?"}'),
}


@pytest.mark.parametrize("broken", UNANSWERED.values(), ids=UNANSWERED.keys())
@pytest.mark.parametrize(
    ("goes_to", "verdict", "code"),
    [
        ("production", Verdict.INCONCLUSIVE, 3),
        ("development", Verdict.NOT_APPLICABLE, 0),
        ("", Verdict.NOT_APPLICABLE, 0),
    ],
)
def test_silence_blocks_production_and_warns_in_development(  # noqa: PLR0917
    broken: tuple[int, bytes] | None,
    goes_to: str,
    verdict: Verdict,
    code: int,
    repository: Repository,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environments(repository, development="", production="ENVIRONMENT_CLASS=production\n")
    database.broken = broken
    if broken is None:
        monkeypatch.setenv("KICKOFF_OSV_URL", CLOSED)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    found = audit(repository.root, f"--deployments={json.dumps([goes_to] if goes_to else [])}", code=code)
    assert found.verdict is verdict
    [rule] = found.rules
    assert (rule.id, rule.samples) == ("audit.answer", 0), "no package counts as audited"
    assert rule.finding == ("" if code else WARNING)
    said = capsys.readouterr().out
    assert f"::{'error' if code else 'warning'} title=Dependency audit::locked.txt was not audited" in said


def test_the_strictest_environment_decides(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KICKOFF_OSV_URL", CLOSED)
    environments(repository, development="", production="ENVIRONMENT_CLASS=production\n")
    found = audit(repository.root, '--deployments=["development", "production"]', code=3)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_production_may_go_on_in_silence_for_a_reason_that_is_recorded(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KICKOFF_OSV_URL", CLOSED)
    text = "ENVIRONMENT_CLASS=production\nDEPENDENCY_AUDIT=warn\n"
    environments(repository, production=text)
    assert main.main(["env", "validate", "--env=production", "--evidence=evidence"]) == 2, (
        "a reason is demanded"
    )
    environments(repository, production=f"{text}DEPENDENCY_AUDIT_REASON=the site has no network\n")
    assert main.main(["env", "validate", "--env=production", "--evidence=evidence"]) == 0
    found = audit(repository.root, '--deployments=["production"]')
    assert found.rules[0].reason.endswith("; a warning by DEPENDENCY_AUDIT=warn (the site has no network)")


def test_silence_about_one_package_hides_no_vulnerability_of_another(
    repository: Repository, database: Database
) -> None:
    entry = osv("GHSA-1", "alpha")
    unread = osv("GHSA-2", "beta")
    del unread["affected"]  # pip-audit leaves such an entry out
    database.known |= {"alpha": [entry], "beta": [unread]}
    found = audit(repository.root, code=1)
    assert [one.rule for one in found.rules if one.verdict is Verdict.FAIL] == ["alpha 1.0: GHSA-1"]
    database.known.pop("alpha")
    environments(repository, production="ENVIRONMENT_CLASS=production\n")
    found = audit(repository.root, '--deployments=["production"]', code=3)
    assert "could not read an entry" in found.summary


@pytest.mark.parametrize("line", ["gamma>=1\n", "-e .\n", "gamma @ file:///etc/gamma\n"])
def test_what_is_not_locked_is_not_taken_for_audited(
    line: str, repository: Repository, database: Database
) -> None:
    environments(repository, production="ENVIRONMENT_CLASS=production\n")
    repository.write("locked.txt", line)
    repository.commit()
    found = audit(repository.root, '--deployments=["production"]', code=3)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_the_lock_of_the_commit_counts_and_not_the_one_that_lies_about(
    repository: Repository, database: Database
) -> None:
    database.known["beta"] = [osv("GHSA-1", "beta")]
    repository.write("locked.txt", "")
    assert audit(repository.root, code=1).verdict is Verdict.FAIL


def test_a_project_without_a_lock_is_told_and_not_passed(repository: Repository, database: Database) -> None:
    repository.write("kickoff.yml", "name: shop\nrun: [serve, '{port}']\nhealth: /health\n")
    repository.commit()
    found = audit(repository.root)
    assert found.verdict is Verdict.NOT_APPLICABLE
    assert found.summary == "nothing to audit: the commit has no lock file that is known"
    repository.write("go.sum", "")
    repository.commit()
    assert (
        "go.sum needs a command under supply_chain.audit of kickoff.yml: govulncheck"
        in audit(repository.root).summary
    )


@pytest.mark.parametrize(
    ("status", "verdict", "code"),
    [
        (0, Verdict.PASS, 0),
        (1, Verdict.FAIL, 1),
        (2, Verdict.INCONCLUSIVE, 3),
        (127, Verdict.INCONCLUSIVE, 3),
    ],
)
def test_a_command_of_the_project_audits_another_language(
    status: int, verdict: Verdict, code: int, repository: Repository
) -> None:
    environments(repository, production="ENVIRONMENT_CLASS=production\n")
    head = "name: shop\nrun: [serve, '{port}']\nhealth: /health\nsupply_chain:\n  audit:\n"
    repository.write("kickoff.yml", f"{head}  - {{name: go, run: [sh, -c, 'exit {status}']}}\n")
    repository.commit()
    assert audit(repository.root, '--deployments=["production"]', code=code).verdict is verdict


# npm's own answers come from a registry on the loopback.
PACKAGE = {
    "name": "shop",
    "version": "1.0.0",
    "dependencies": {"alpha": "1.0.0"},
    "devDependencies": {"beta": "1.0.0"},
}
NPM_LOCK = {
    "name": "shop",
    "version": "1.0.0",
    "lockfileVersion": 3,
    "packages": {
        "": PACKAGE,
        "node_modules/alpha": {"version": "1.0.0"},
        "node_modules/beta": {"version": "1.0.0", "dev": True},
    },
}


def npm_project(repository: Repository, registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is missing")
    text = "name: shop\nrun: [serve, '{port}']\nhealth: /health\nenvironment: [NPM_CONFIG_REGISTRY, NPM_CONFIG_FETCH_RETRIES]\n"
    repository.write("kickoff.yml", text)
    repository.write("package.json", json.dumps(PACKAGE))
    repository.write("package-lock.json", json.dumps(NPM_LOCK))
    environments(repository, production="ENVIRONMENT_CLASS=production\n")
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{registry}/")
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
    monkeypatch.setenv("HOME", str(repository.root.parent))


def advisory(package: str) -> list[dict[str, Any]]:
    """As https://github.com/npm/cli asks for it in bulk."""
    return [
        {
            "id": 1,
            "url": f"https://github.com/advisories/GHSA-{package}",
            "title": "bad",
            "severity": "high",
            "vulnerable_versions": "<2.0.0",
        }
    ]


def test_a_lock_of_npm_is_audited_by_npm(
    repository: Repository, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_project(repository, database.url, monkeypatch)
    found = audit(repository.root)
    assert (found.verdict, found.rules[0].rule) == (Verdict.PASS, "package-lock.json")
    database.known |= {"alpha": advisory("alpha"), "beta": advisory("beta")}
    found = audit(repository.root, code=1)
    failed = [one.rule for one in found.rules if one.verdict is Verdict.FAIL]
    assert failed == ["alpha 1.0.0: GHSA-alpha"], "what is for development is not shipped"


def test_an_npmrc_of_the_change_sends_nobody_to_another_registry(
    repository: Repository, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_project(repository, database.url, monkeypatch)
    database.known["alpha"] = advisory("alpha")
    repository.write(".npmrc", "registry=http://127.0.0.1:1/\naudit=false\n")
    repository.commit()
    assert audit(repository.root, code=1).verdict is Verdict.FAIL


def test_a_registry_that_does_not_answer_is_doubt(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_project(repository, "http://127.0.0.1:1", monkeypatch)
    found = audit(repository.root, '--deployments=["production"]', code=3)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "package-lock.json was not audited: npm audit told no findings" in found.summary


def test_a_lock_without_npm_is_an_error(
    repository: Repository,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    npm_project(repository, database.url, monkeypatch)
    tools = repository.root.parent / "bin"
    tools.mkdir()
    for name in ("git",):
        (tools / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tools))
    assert main.main(["audit", "--evidence=evidence"]) == 2
    assert "npm is not on the PATH" in capsys.readouterr().err
    assert os.environ["PATH"] == str(tools)


@pytest.mark.parametrize("outside", ["locked.txt", "folder"])
def test_a_link_of_a_change_reads_no_file_of_this_machine(
    outside: str, tmp_path: Path, database: Database
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    (elsewhere / "locked.txt").write_text("a-secret-of-this-machine", encoding="utf-8")
    lock = {"folder": "folder/locked.txt"}.get(outside, outside)
    (project / outside).symlink_to({"folder": elsewhere}.get(outside, elsewhere / "locked.txt"))
    with pytest.raises(KickoffError, match="leads out of the commit") as caught:
        pip.audit(project, lock, os.environ, Stop())
    assert "a-secret" not in repr((caught.value, caught.value.causes))
    assert database.asked == []


def test_a_lock_that_is_not_committed_is_an_error(tmp_path: Path, database: Database) -> None:
    with pytest.raises(KickoffError, match="the commit does not hold"):
        pip.audit(tmp_path, "locked.txt", os.environ, Stop())
