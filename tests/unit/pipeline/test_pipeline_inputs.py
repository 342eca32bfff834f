"""What act is given, and above all what it is not."""

import json
import os
import stat
from pathlib import Path

import pytest

from kickoff.errors import KickoffError
from kickoff.pipeline import inputs
from kickoff.pipeline.inputs import Folders
from kickoff.pipeline.repository import Head

HEAD = Head(commit="4f2c1ab" + "0" * 33, branch="topic", default_branch="main", author="Ada")


def test_a_dispatch_names_environment_branch_and_commit() -> None:
    document = inputs.event_document(
        "workflow_dispatch", HEAD, environment="staging", inputs={"release": "", "unproven-reason": "drill"}
    )
    assert document["ref"] == "refs/heads/topic"
    assert document["sha"] == HEAD.commit
    assert document["inputs"] == {"environment": "staging", "unproven-reason": "drill"}
    assert document["repository"] == {"default_branch": "main"}


def test_a_push_has_no_inputs_and_keeps_the_given_ref() -> None:
    document = inputs.event_document("push", HEAD, environment="staging", ref="refs/tags/v1")
    assert document["ref"] == "refs/tags/v1"
    assert document["after"] == HEAD.commit
    assert "inputs" not in document


def test_a_detached_head_stands_for_the_default_branch() -> None:
    head = Head(HEAD.commit, "", "trunk", "Ada")
    assert inputs.event_document("push", head, environment="x")["ref"] == "refs/heads/trunk"


def test_other_events_are_refused() -> None:
    with pytest.raises(KickoffError, match="does not start"):
        inputs.event_document("schedule", HEAD, environment="staging")


def test_the_environment_is_minimal_and_finds_our_tools_first() -> None:
    caller = {
        "PATH": "/usr/bin",
        "HOME": "/home/ada",
        "API_KEY": "secret",
        "GITHUB_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "LC_ALL": "",
    }
    assert inputs.environment(Path("/p/.venv"), caller) == {
        "PATH": f"/p/.venv/bin{os.pathsep}/usr/bin",
        "HOME": "/home/ada",
        "LANG": "C.UTF-8",
        "PIP_INDEX_URL": "https://mirror.example/simple",
    }


def test_what_the_service_names_is_passed_on() -> None:
    caller = {"NODE_EXTRA_CA_CERTS": "/ca.pem", "NPM_TOKEN": "", "OTHER": "x"}
    found = inputs.environment(Path("/p/.venv"), caller, ["NODE_EXTRA_CA_CERTS", "NPM_TOKEN"])
    assert found["NODE_EXTRA_CA_CERTS"] == "/ca.pem"
    assert not {"NPM_TOKEN", "OTHER"} & found.keys()


def test_steps_see_the_runs_folders_and_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = Folders.create(tmp_path)
    given = {"KICKOFF_STATE_ROOT": "state", "KICKOFF_PORT": "9000", "KICKOFF_RUN_ID": "old", "OTHER": "x"}
    found = inputs.variables(folders, run="new", venv=Path("/v"), caller=given)
    assert found["KICKOFF_STATE_ROOT"] == str(tmp_path / "state")
    assert found["KICKOFF_PORT"] == "9000"
    assert found["KICKOFF_RUN_ID"] == "new"
    assert found["KICKOFF_EVIDENCE_DIR"] == str(folders.evidence)
    assert "OTHER" not in found


def test_every_file_act_would_look_for_is_named_and_loopback_alone_is_bound(tmp_path: Path) -> None:
    folders = Folders.create(tmp_path)
    workflow = ".github/workflows/cd-api.yml"
    line = inputs.command(
        Path("/bin/act"), "push", folders, actor="ada", work=tmp_path / "w", workflow=workflow
    )
    assert line[line.index("--workflows") + 1] == workflow
    for kind in ("env", "secret", "var", "input"):
        assert line[line.index(f"--{kind}-file") + 1] == str(folders.run / f"{kind}.yml")
    assert line[line.index("--cache-server-addr") + 1] == "127.0.0.1"
    assert line[line.index("--artifact-server-addr") + 1] == "127.0.0.1"
    assert line[line.index("--platform") + 1] == "ubuntu-24.04=-self-hosted"
    assert "--no-skip-checkout" not in line


def test_values_survive_and_files_are_private(tmp_path: Path) -> None:
    folders = Folders.create(tmp_path)
    secrets = {"API_KEY": "a$b\"c'd\n#é"}
    inputs.write(folders, event={"ref": "x"}, variables={"A": "1"}, secrets=secrets)
    assert json.loads((folders.run / "secret.yml").read_text("utf-8")) == secrets
    for name in ("event.json", "env.yml", "secret.yml", "var.yml", "input.yml"):
        assert stat.S_IMODE((folders.run / name).stat().st_mode) == 0o600


def test_runs_are_counted_and_never_shared(tmp_path: Path) -> None:
    assert [Folders.create(tmp_path).run.name for _ in range(3)] == ["1", "2", "3"]
    (tmp_path / ".kickoff" / "runs" / "41").mkdir()
    assert Folders.create(tmp_path).run.name == "42"


@pytest.mark.parametrize(
    ("caller", "wanted"),
    [
        ({"LANG": "zh_CN.GBK"}, {"LANG": "C.UTF-8"}),
        ({"LANG": "zh_CN.UTF-8"}, {"LANG": "zh_CN.UTF-8"}),
        ({"LANG": "zh_CN.utf8", "LC_ALL": "zh_CN"}, {"LANG": "zh_CN.utf8", "LC_ALL": "C.UTF-8"}),
        ({"LC_CTYPE": "en_US.ISO-8859-1"}, {"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}),
        ({"LANG": "C"}, {"LANG": "C"}),
    ],
)
def test_steps_write_what_act_reads(caller: dict[str, str], wanted: dict[str, str]) -> None:
    found = inputs.environment(Path("/p/.venv"), caller)
    assert {name: value for name, value in found.items() if name != "PATH"} == wanted
