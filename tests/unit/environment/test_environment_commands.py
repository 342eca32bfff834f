"""The commands as a person or a workflow uses them."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import dotenv
import pytest

from kickoff.cli.environment import FORMATS
from kickoff.environment import export, reference
from kickoff.environment import schema as schemas
from tests.unit.environment.support import GIVEN, ROOT, Loader, Project

KEY = GIVEN
VALUES = 6 * len(schemas.read(ROOT).keys)


def test_validate_all_passes_on_the_committed_files(loader: Loader) -> None:
    for arguments in ([], ["--all"]):
        outcome = loader("validate", *arguments)
        assert outcome.code == 0
        assert outcome.err == ""
        for name in ("development", "staging", "uat", "preprod", "production", "dr"):
            assert f"✓ {name} " in outcome.out
        assert "needs the secrets DATABASE_URL, API_KEY" in outcome.out
        assert "not looked up" in outcome.out


def test_validate_with_secrets_says_nothing_of_missing_ones(loader: Loader) -> None:
    outcome = loader("validate", "--with-secrets", environ=KEY)
    assert outcome.code == 0
    assert "API_KEY" not in outcome.out


def test_validate_does_not_read_secrets_by_itself(loader: Loader) -> None:
    assert loader("validate", environ={"API_KEY": "x", "DATABASE_URL": "nonsense"}).code == 0


def test_formats_of_findings(project: Project, loader: Loader, tmp_path: Path) -> None:
    line = project.replace("production", "LOG_LEVEL", "LOG_LEVEL=trace, 50%")
    text = loader("validate", "--env", "production")
    assert text.out == (
        f"configs/environments/production.env:{line}:11: allowed-values:"
        ' LOG_LEVEL is "trace, 50%", which is not allowed\n'
        "    fix: write one of debug, info, warning, error, critical\n"
    )
    assert text.err.startswith("error: 1 problem in 1 file\n")
    document = json.loads(loader("validate", "--env", "production", "--format", "json").out)
    assert document["findings"][0]["column"] == 11
    summary = tmp_path / "summary.md"
    github = loader("validate", "--format", "github", environ={"GITHUB_STEP_SUMMARY": str(summary)})
    assert github.out.startswith(
        f"::error file=configs/environments/production.env,line={line},col=11,title=allowed-values::"
    )
    assert "50%25" in github.out.splitlines()[0]
    assert "| allowed-values |" in summary.read_text("utf-8")
    markdown = loader("validate", "--format", "markdown")
    assert f"| `configs/environments/production.env:{line}:11` | allowed-values |" in markdown.out
    assert {github.code, markdown.code} == {2}


def test_more_findings_than_github_shows_are_not_lost(project: Project, loader: Loader) -> None:
    with project.path("production.env").open("a", encoding="utf-8") as file:
        file.writelines(f"SURPRISE_{number}=1\n" for number in range(34))
    outcome = loader("validate", "--env", "production", "--format", "github")
    assert outcome.out.count("::error ") == 10
    assert outcome.out.count("unknown-key") == 34


def test_a_workflow_on_github_shows_findings_its_own_way(
    project: Project, loader: Loader, tmp_path: Path
) -> None:
    line = project.replace("production", "LOG_LEVEL", "LOG_LEVEL=loud")
    summary = tmp_path / "summary.md"
    workflow = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    outcome = loader("validate", environ=workflow)
    assert outcome.code == 2
    assert f"::error file=configs/environments/production.env,line={line},col=11," in outcome.out
    assert f"| `configs/environments/production.env:{line}:11` |" in summary.read_text("utf-8")
    summary.unlink()
    # act prints workflow commands as they are, and chosen formats stay chosen.
    assert "::error" not in loader("validate", environ={**workflow, "ACT": "true"}).out
    assert "::error" not in loader("validate", "--format", "text", environ=workflow).out
    assert not summary.exists()


def test_validate_keeps_evidence(project: Project, loader: Loader) -> None:
    assert loader("validate", "--evidence", "kept").code == 0
    path = project.root / "kept" / "validate.json"
    good = json.loads(path.read_text("utf-8"))
    assert (good["verdict"], good["rules"][0]["samples"]) == ("pass", VALUES)
    project.replace("production", "LOG_LEVEL", "LOG_LEVEL=loud")
    assert loader("validate", "--env", "production", "--evidence", "kept").code == 2
    bad = json.loads((project.root / "kept" / "validate.production.json").read_text("utf-8"))
    assert bad["verdict"] == "fail"
    assert bad["facts"]["findings"][0]["rule"] == "allowed-values"


def test_valid_files_in_machine_formats(loader: Loader) -> None:
    assert json.loads(loader("validate", "--format", "json").out) == {"findings": []}
    assert loader("validate", "--format", "markdown").out == f"**{VALUES} values keep every rule.**\n"


def test_load_shows_values_and_hides_secrets(loader: Loader) -> None:
    outcome = loader("load", "--env", "staging", environ=KEY)
    assert outcome.code == 0
    shown = dict(line.split(None, 1) for line in outcome.out.splitlines()[2:])
    assert shown["CACHE_TTL"] == "5m"
    assert shown["API_KEY"] == "(secret, from API_KEY)"
    assert shown["DATABASE_URL"] == "(secret, from DATABASE_URL)"
    assert shown["REDIS_URL"] == "(empty)"
    document = json.loads(loader("load", "--env", "staging", "--format", "json", environ=KEY).out)
    assert document["values"]["API_KEY"] == "(secret)"
    assert document["hash"] == loader("hash", "--env", "staging", environ=KEY).out.strip()


def test_load_without_the_secret_says_what_to_do(loader: Loader) -> None:
    given = {"DATABASE_URL": GIVEN["DATABASE_URL"]}
    outcome = loader("load", "--env", "staging", "--with-secrets", environ=given)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "missing-secret: the secret API_KEY is not set" in outcome.err
    assert "hint: export API_KEY=…, or set API_KEY_FILE" in outcome.err


def test_what_is_not_set_is_told_and_left_out(loader: Loader, tmp_path: Path) -> None:
    given = {"DATABASE_URL": GIVEN["DATABASE_URL"]}
    shown = loader("load", "--env", "staging", environ=given)
    assert shown.code == 0
    assert "not set: API_KEY" in shown.out.splitlines()[0]
    assert "(secret, not set)" in shown.out
    document = json.loads(loader("load", "--env", "staging", "--json", environ=given).out)
    assert (document["not_set"], document["hash"]) == (["API_KEY"], "")
    exported = loader("export", "--env", "staging", environ=given)
    assert (exported.code, "API_KEY=" in exported.out) == (0, False)
    assert "left out: API_KEY" in exported.err
    assert loader("export", "--env", "staging", "--quiet", environ=given).err == ""
    assert loader("load", "--env", "staging", environ={**given, "API_KEY": "short"}).code == 2


def test_export_to_standard_output_is_only_data(loader: Loader, tmp_path: Path) -> None:
    outcome = loader("export", "--env", "development", environ={"KICKOFF_DATA_DIR": "/srv/it's here"})
    assert (outcome.code, outcome.err) == (0, "")
    (tmp_path / "x").write_text(outcome.out, "utf-8")
    found = dotenv.dotenv_values(tmp_path / "x")
    assert found["DATABASE_URL"] == "sqlite+aiosqlite:////srv/it's here/app.db"
    assert found["APP_ENV"] == "development"


@pytest.mark.parametrize("style", ["dotenv", "compose", "shell", "github-env", "json"])
def test_export_to_a_file_is_private_and_complete(style: str, loader: Loader, tmp_path: Path) -> None:
    target = tmp_path / ".env.staging"
    target.write_text("old", "utf-8")
    target.chmod(0o644)
    outcome = loader("export", "--env", "staging", "--format", style, "--output", str(target), environ=KEY)
    assert (outcome.code, outcome.out) == (0, "")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert KEY["API_KEY"] in target.read_text("utf-8")
    assert [path.name for path in tmp_path.glob(".env*")] == [".env.staging"]


def test_export_that_fails_leaves_the_old_file(loader: Loader, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("old", "utf-8")
    demanding = ("export", "--env", "staging", "--with-secrets", "--output", str(target))
    assert loader(*demanding).code == 2
    assert target.read_text("utf-8") == "old"


def test_export_by_audience(loader: Loader) -> None:
    parts = {
        audience: set(
            json.loads(
                loader("export", "--env", "development", "--format", "json", "--audience", audience).out
            )
        )
        for audience in ("all", "service", "pipeline")
    }
    assert parts["service"] | parts["pipeline"] == parts["all"]
    assert parts["service"] & parts["pipeline"] == set()
    assert "API_KEY" in parts["service"]
    assert "PUBLIC_PORT" in parts["pipeline"]


@pytest.mark.parametrize(
    "target",
    [
        "configs/environments/staging.env",
        "configs",
        "none/x",
        "configs/../configs/environments/x",
        "/dev/null",
    ],
)
def test_export_refuses_a_bad_target(target: str, loader: Loader, project: Project) -> None:
    before = project.path("staging.env").read_text("utf-8")
    outcome = loader("export", "--env", "development", "--output", target)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "hint: " in outcome.err
    assert project.path("staging.env").read_text("utf-8") == before


@pytest.mark.parametrize("name", ["nope", "../../etc/passwd", "", "PRODUCTION", "production.env", "a b"])
def test_unknown_environment(name: str, loader: Loader) -> None:
    for command in ("validate", "load", "export", "hash", "secrets"):
        outcome = loader(command, "--env", name)
        if command == "validate" and not name:
            continue  # argparse passes the empty name on, and nothing was named
        assert outcome.code == 2
        assert "there is no environment" in outcome.err
        assert "development, dr, preprod, production, staging, uat" in outcome.err


def test_diff_shows_each_key_once_with_its_class(loader: Loader, project: Project) -> None:
    rows = json.loads(loader("diff", "staging", "production", "--format", "json").out)["differences"]
    by_key = {row["key"]: row for row in rows}
    assert len(by_key) == len(rows)
    assert by_key["CACHE_TTL"] == {"key": "CACHE_TTL", "left": "5m", "right": "1h", "across": "may-differ"}
    assert "ERROR_RATE_THRESHOLD" not in by_key
    assert "API_KEY" not in by_key
    text = loader("diff", "development", "production")
    assert text.code == 0
    assert "API_KEY" in text.out
    project.replace("staging", "ERROR_RATE_THRESHOLD", "ERROR_RATE_THRESHOLD=5%")
    broken = loader("diff", "staging", "production")
    assert broken.code == 2
    assert "must-be-same" in broken.err
    assert "do not differ" in loader("diff", "staging", "staging").out


def test_the_same_value_in_another_unit_is_no_difference(loader: Loader, project: Project) -> None:
    project.replace("staging", "RESPONSE_TIME_THRESHOLD", "RESPONSE_TIME_THRESHOLD=1s")
    assert loader("validate").code == 0
    assert "RESPONSE_TIME_THRESHOLD" not in loader("diff", "staging", "production").out


@pytest.mark.parametrize(
    ("env", "line", "rule"),
    [
        ("staging", "ERROR_RATE_THRESHOLD=2%", "must-be-same"),
        ("staging", "PUBLIC_PORT=8200", "must-differ"),
        ("dr", "API_WORKERS=2", "must-mirror"),
        ("dr", "OTEL_EXPORTER_OTLP_ENDPOINT=http://a.example", "must-mirror"),
    ],
)
def test_classes_across_environments(
    env: str, line: str, rule: str, project: Project, loader: Loader
) -> None:
    key = line.partition("=")[0]
    number = project.replace(env, key, line)
    outcome = loader("validate", "--all")
    assert outcome.code == 2
    assert f"configs/environments/{env}.env:{number}:{len(key) + 2}: {rule}: {key}" in outcome.out
    assert outcome.out.count("fix:") == 1
    assert loader("validate", "--env", env).code == 0


@pytest.mark.parametrize("line", ["DEPLOY_HOST=ssh://deploy@dr.example", "CERTIFICATE_INVALID=block"])
def test_what_is_an_environments_own_may_differ_from_what_it_mirrors(
    line: str, project: Project, loader: Loader
) -> None:
    project.replace("dr", line.partition("=")[0], line)
    assert loader("validate", "--all").code == 0


def test_a_file_no_command_would_read_is_reported(project: Project, loader: Loader) -> None:
    project.path("Prod_EU.env").write_text("", "utf-8")
    outcome = loader("validate")
    assert outcome.code == 2
    assert "Prod_EU.env:1:1: file-name" in outcome.out


def test_explain(loader: Loader) -> None:
    outcome = loader("explain", "DEBUG")
    assert outcome.code == 0
    assert "production-debug" in outcome.out
    assert re.search(r"development +true +default of class development\n", outcome.out)
    assert re.search(r"production +false +default of the service\n", outcome.out)
    ours = loader("explain", "BAKE_TIME").out
    assert re.search(r"uat +30s +configs/environments/uat.env:\d+\n", ours)
    assert re.search(r"dr +60s +default of the pipeline\n", ours)
    assert re.search(r"uat +uat +the file's name\n", loader("explain", "APP_ENV").out)
    unknown = loader("explain", "DEBUGG")
    assert unknown.code == 2
    assert "did you mean DEBUG?" in unknown.err


def test_template_is_valid_as_it_stands(project: Project, loader: Loader) -> None:
    outcome = loader("template", "--env", "qa", "--output", "configs/environments/qa.env")
    assert outcome.code == 0
    assert loader("validate", "--all").code == 0
    assert loader("load", "--env", "qa", environ=KEY).code == 0
    again = loader("template", "--env", "qa", "--output", "configs/environments/qa.env")
    assert again.code == 2
    assert "exists already" in again.err
    assert loader("template", "--env", "Not a name").code == 2


def test_secrets_names_states_only(loader: Loader, tmp_path: Path) -> None:
    held = tmp_path / "key"
    held.write_text(KEY["API_KEY"], "utf-8")

    def states(**environ: str) -> dict[str, str]:
        database = {"DATABASE_URL": GIVEN["DATABASE_URL"]}
        outcome = loader("secrets", "--env", "production", "--format", "json", environ=database | environ)
        rows = json.loads(outcome.out)
        assert outcome.code == (0 if rows[2]["state"].startswith("set") else 2)
        assert [row["required"] for row in rows] == [True, False, True, False]
        return {row["name"]: row["state"] for row in rows}

    unset = {"REDIS_URL": "not set", "API_KEY": "not set", "API_KEY_NEXT": "not set"}
    assert states() == {"DATABASE_URL": "set by DATABASE_URL", **unset}
    assert states(**KEY)["API_KEY"] == "set by API_KEY"
    assert states(API_KEY_FILE=str(held))["API_KEY"] == "set by API_KEY_FILE"
    assert states(API_KEY="short")["API_KEY"] == "refused"
    shown = loader("secrets", "--env", "development").out
    assert re.search(r"API_KEY +no +empty\n", shown)
    assert re.search(r"DATABASE_URL +no +by default\n", shown)


def test_the_reference_page_is_up_to_date() -> None:
    page = (ROOT / reference.PAGE).read_text("utf-8")
    assert page == reference.render(schemas.read(ROOT)), "run `kickoff env docs`"


def test_docs_writes_and_checks_the_page(project: Project, loader: Loader) -> None:
    missing = loader("docs", "--check")
    assert missing.code == 2
    assert "does not match" in missing.err
    assert loader("docs").code == 0
    assert loader("docs", "--check").code == 0
    assert (project.root / reference.PAGE).read_text("utf-8").startswith("# Environment files")


def test_the_formats_of_an_export_are_those_in_the_help() -> None:
    assert tuple(export.FORMATS) == FORMATS


def test_every_rule_a_finding_can_name_is_documented() -> None:
    folder = ROOT / "src/kickoff/environment"
    code = "\n".join(
        path.read_text("utf-8") for path in sorted(folder.rglob("*.py")) if path.name != "reference.py"
    )
    for rule in reference.GENERAL:
        assert f'"{rule}"' in code


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "--env", "production"],
        ["load", "--env", "staging"],
        ["export", "--env", "development"],
        ["export", "--env", "staging", "--output", ".env.staging"],
    ],
)
def test_the_script_itself(arguments: list[str], project: Project) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")} | KEY
    script = ROOT / "scripts/deploy/environment-loader.py"
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=project.root,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr


def test_outside_a_project(tmp_path: Path, loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    outcome = loader("validate")
    assert outcome.code == 2
    assert "configs/environments holds no environment" in outcome.err
