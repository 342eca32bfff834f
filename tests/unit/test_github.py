"""What is written for GitHub, and that nothing is written anywhere else."""

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff import github
from kickoff.errors import KickoffError
from tests.runner_log import commands

ON = {"GITHUB_ACTIONS": "true"}


def parse(text: str) -> dict[str, str]:
    """Read an output file the way the runner does: a name, a delimiter, lines up to the delimiter."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, delimiter = line.split("<<", 1)
        value = []
        for part in lines:
            if part == delimiter:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\nlines"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        (7, "7"),
        (["a", "b"], '["a", "b"]'),
        (Path("/a/b"), "/a/b"),
        ("name<<EOF\nvalue\nEOF\nother=1", "name<<EOF\nvalue\nEOF\nother=1"),
    ],
)
def test_outputs_keep_their_value(tmp_path: Path, value: object, text: str) -> None:
    path = tmp_path / "output"
    github.set_output("live_release", value, environ={"GITHUB_OUTPUT": str(path)})
    github.set_output("next", "1", environ={"GITHUB_OUTPUT": str(path)})
    assert parse(path.read_text()) == {"live-release": text, "next": "1"}


def test_outputs_of_another_machine_follow_those_of_this_one(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    github.set_output("first", "1", environ={"GITHUB_OUTPUT": str(here)})
    github.set_output("next", "two\nlines", environ={"GITHUB_OUTPUT": str(there)})
    github.append_outputs(there.read_bytes(), environ={"GITHUB_OUTPUT": str(here)})
    github.append_outputs(there.read_bytes(), environ={})
    assert parse(here.read_text()) == {"first": "1", "next": "two\nlines"}


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r")))
def test_no_value_adds_outputs_of_its_own(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.mktemp("output") / "file"
    github.set_output("name", value, environ={"GITHUB_OUTPUT": str(path)})
    assert parse(path.read_text(encoding="utf-8")).keys() == {"name"}


def test_nothing_happens_outside_a_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    github.set_output("a", "b", environ={})
    github.append_summary("text", environ={})
    github.annotate("error", "text", environ={})
    github.mask("secret", environ={})
    with github.group("title", environ={}):
        pass
    assert capsys.readouterr().out == ""
    assert github.context({}) == github.Context(
        active=False,
        act=False,
        hosted=False,
        event="",
        ref="",
        sha="",
        repository="",
        actor="",
        job="",
        workflow="cd.yml",
        run_url="",
        default_branch="main",
    )


def test_summaries_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    environ = {"GITHUB_STEP_SUMMARY": str(path)}
    github.append_summary("# One", environ=environ)
    github.append_summary("Two", environ=environ)
    assert path.read_text() == "# One\nTwo\n"


def test_a_summary_stays_below_the_limit_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "SUMMARY_LIMIT", 200)
    path = tmp_path / "summary"
    environ = {"GITHUB_STEP_SUMMARY": str(path)}
    github.append_summary("é" * 300, environ=environ)
    github.append_summary("more", environ=environ)
    data = path.read_bytes()
    assert len(data) <= 200
    assert data.decode().count("Cut here") == 1


def test_annotations_escape_what_ends_them() -> None:
    out = io.StringIO()
    github.annotate("error", "50%\r\nlost::x", "a,b:c.py", 3, title="T: 1", environ=ON, out=out)
    assert out.getvalue() == "::error file=a%2Cb%3Ac.py,line=3,title=T%3A 1::50%25%0D%0Alost::x\n"


def test_an_annotation_without_a_place() -> None:
    out = io.StringIO()
    github.annotate("warning", "text", line=3, environ=ON, out=out)
    assert out.getvalue() == "::warning::text\n"


def test_every_line_of_a_secret_is_masked() -> None:
    out = io.StringIO()
    github.mask("one\n\n  \ntwo%", environ=ON, out=out)
    assert out.getvalue() == "::add-mask::one\n::add-mask::two%25\n"


def test_a_group_ends_after_an_error() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), github.group("tests", environ=ON, out=out):
        out.write("text\n")
        raise RuntimeError
    assert out.getvalue() == "::group::tests\ntext\n::endgroup::\n"


@pytest.mark.parametrize(
    "line",
    [
        "::error::forged",
        "    ::add-mask::e",
        "\u00a0\t::stop-commands::x",
        "a progress bar\r::error::forged",
        "in the middle ##[error]forged",
        "::endgroup::\n::set-output name=a::b",
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_others_say_is_no_command(line: str, stream: str, capfd: pytest.CaptureFixture[str]) -> None:
    with github.printing(ON):
        for part in (f"  │ {line}"[:4], line, "\n"):
            getattr(sys, stream).write(part)
        print(line, file=getattr(sys, stream))
        github.annotate("error", "ours", environ=ON)
        getattr(sys, stream).write(line)  # an end without a line end
    said = capfd.readouterr()
    assert commands(said.out) + commands(said.err) == ["::error::ours"]
    assert set(line.split("\n")) <= set(getattr(said, stream[3:]).split("\n"))


def test_usual_text_and_data_pass_unchanged(capfd: pytest.CaptureFixture[str]) -> None:
    with github.printing(ON):
        print('{"a": "x::y"}\nimages::kept')
    assert capfd.readouterr().out == '{"a": "x::y"}\nimages::kept\n'


def test_outside_a_workflow_a_line_may_be_written_in_parts(capfd: pytest.CaptureFixture[str]) -> None:
    with github.printing({}):
        sys.stdout.write("::half")
        assert capfd.readouterr().out == "::half"


def test_tools_get_no_command_files_and_no_tokens() -> None:
    environ = {"PATH": "/bin", "GITHUB_OUTPUT": "x", "GITHUB_TOKEN": "y", "GITHUB_SHA": "z"}
    assert github.child_environment(environ) == {"PATH": "/bin", "GITHUB_SHA": "z"}


def test_the_context_is_read_from_variables_and_event(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(
        json.dumps(
            {"repository": {"default_branch": "trunk"}, "inputs": {"environment": "staging", "x": None}}
        )
    )
    found = github.context(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "workflow_dispatch",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REF": "refs/heads/trunk",
            "GITHUB_REPOSITORY": "owner/name",
            "GITHUB_RUN_ID": "7",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_WORKFLOW_REF": "owner/name/.github/workflows/ship.yml@refs/heads/trunk",
            "RUNNER_ENVIRONMENT": "github-hosted",
        }
    )
    assert found.workflow == "ship.yml"
    assert found.active
    assert found.hosted
    assert found.default_branch == "trunk"
    assert found.inputs == {"environment": "staging"}
    assert found.run_url == "https://github.com/owner/name/actions/runs/7"


def test_a_laptop_is_no_hosted_runner(tmp_path: Path) -> None:
    found = github.context(
        {
            "ACT": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_RUN_ID": "1",
            "GITHUB_SERVER_URL": "https://github.com",
            "RUNNER_ENVIRONMENT": "github-hosted",
            "GITHUB_EVENT_PATH": str(tmp_path / "none"),
        }
    )
    assert found.act
    assert not found.hosted
    assert found.run_url == ""


def test_a_broken_event_is_named(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text("{")
    with pytest.raises(KickoffError, match="not JSON"):
        github.context({"GITHUB_EVENT_PATH": str(event)})


def test_the_outputs_of_a_process_are_read_as_they_were_set(tmp_path: Path) -> None:
    path = tmp_path / "outputs"
    environ = github.capturing({"A": "b"}, path)
    assert (github.outputs(path), environ["A"]) == ({}, "b")
    values = {"text": "a<<b\nc", "empty": "", "flag": True, "twice": 1}
    for name, value in [*values.items(), ("twice", 2)]:
        github.set_output(name, value, environ=environ)
    assert github.outputs(path) == {"text": "a<<b\nc", "empty": "", "flag": "true", "twice": "2"}
