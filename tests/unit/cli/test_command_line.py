"""The parsers of all verbs, their help, and the command line that a host is sent."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kickoff import bootstrap
from kickoff.cli import command_line, main
from kickoff.cli.parser import Parser
from kickoff.cli.verbs import SECTIONS, VERBS, needs
from kickoff.errors import KickoffError
from kickoff.host import remote

ROOT = Path(__file__).resolve().parents[3]
SERVICE = "name: demo\n"


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """This parser and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


ALL = list(parsers(main.build()))
LEAVES = [one for one in ALL if one.get_default("run")]


def test_every_verb_of_the_table_has_a_parser() -> None:
    assert {one.prog.split()[1] for one in ALL if " " in one.prog} == set(VERBS)


def test_no_parser_takes_abbreviations() -> None:
    assert len(ALL) > len(VERBS)
    assert [one.prog for one in ALL if one.allow_abbrev or not isinstance(one, Parser)] == []


TALL = {"kickoff": 64, "kickoff perf": 40}
"""Rows of the help texts that no terminal of 24 rows shows at once; what most people want comes first there."""


@pytest.mark.parametrize("parser", ALL, ids=lambda one: one.prog)
def test_help_fits_a_terminal_of_24_rows_and_80_columns_with_its_prompt(
    parser: argparse.ArgumentParser,
) -> None:
    rows = parser.format_help().splitlines()
    assert max(map(len, rows)) <= 80
    assert len(rows) <= TALL.get(parser.prog, 23)


@pytest.mark.parametrize("parser", LEAVES, ids=lambda one: one.prog)
def test_help_describes_every_option_and_has_examples_and_exit_codes(parser: Parser) -> None:
    text = parser.format_help()
    assert f"\nexamples:\n  {parser.prog}" in text
    assert "\nexit codes: 0 passed, " in text
    tall = parser.prog in TALL
    assert (text.index("\nexamples:") < text.index("\noptions:")) is tall
    listed = [option for action in parser._actions for option in action.option_strings if option != "-h"]
    assert [option for option in listed if option not in text and option != "--help"] == []
    options = {option for action in parser._actions for option in action.option_strings}
    assert {"--json", "--quiet", "--verbose"} <= options
    assert [action.dest for action in parser._actions if not action.help] == []
    unsaid: tuple[object, ...] = (None, "", False, [], argparse.SUPPRESS)
    valued = [action for action in parser._actions if action.default not in unsaid]
    assert [action.dest for action in valued if "default" not in str(action.help)] == []


def test_an_error_leads_to_its_explanation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "program", lambda: "kickoff")
    assert main.main(["explain", "nonsense", "--env", "qa"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-2:] == ["hint: `kickoff explain` lists both", "docs: kickoff explain 2 --env qa"]
    assert main.main(said[-1].split()[2:]) == 0
    assert capsys.readouterr().out.startswith("INVALID\n\nExit code 2: bad input")


def test_the_help_of_the_command_lists_every_verb() -> None:
    text = main.build("status").format_help()
    assert max(map(len, text.splitlines())) <= 80
    for section in SECTIONS:
        assert f"\n{section.title}:\n" in text
        assert all(f"\n  {name} " in text for name in section.verbs)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["stauts"], "did you mean `kickoff status`?"),
        (["status"], "the following arguments are required: --env"),
        (["stop", "--en", "development"], "required: --env"),
        (["status", "--env", "x", "--verb"], "unrecognized arguments: --verb"),
        (["unlock", "--env=x", "--forc"], "unrecognized arguments: --forc"),
        (["env", "validat"], "invalid choice"),
    ],
)
def test_a_mistake_ends_with_2_and_a_hint(
    argv: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(main, "program", lambda: "kickoff")
    assert main.main(argv) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "hint: " in said and "Traceback" not in said
    assert message in said


# --- the command line that another machine is sent --------------------------------------------------------


def sample(action: argparse.Action) -> list[str]:
    """Words that give an option a value other than its default."""
    option = action.option_strings[-1]
    if action.nargs == 0:
        return [option]
    value = "word with spaces"
    if action.choices:
        value = str(next(one for one in action.choices if one != action.default))
    elif action.type in (int, float):
        value = "7"
    elif action.dest == "perf_allow_once":
        value = "tracing costs 15 %"
    elif action.dest in ("host", "against"):
        value = "http://127.0.0.1:1"
    elif action.type is not None and action.type is not Path:
        value = "9s" if action.dest == "duration" else "9"
    return [f"{option}={value}"]


@pytest.mark.parametrize("parser", LEAVES, ids=lambda one: one.prog)
def test_what_is_sent_is_parsed_into_the_same(parser: Parser) -> None:
    verb = parser.prog.split()[1:]
    exclusive = {id(a) for group in parser._mutually_exclusive_groups for a in group._group_actions[1:]}
    words = [*verb]
    positional = []
    for action in parser._actions:
        if id(action) in exclusive or action.dest == "help":
            continue
        if action.option_strings:
            words += sample(action)
        else:
            positional.append(str(next(iter(action.choices))) if action.choices else "-x")
    given = main.parse([*words, "--", *positional] if positional else words)
    assert comparable(main.parse(command_line.render(given))) == comparable(given)
    changed = {name for name, value in vars(given).items() if parser.get_default(name) != value}
    assert len(changed) >= len(words) - len(verb) - 1


def comparable(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        name: value for name, value in vars(arguments).items() if name not in ("parser", "run", "at_target")
    }


def test_a_place_is_moved_and_nothing_that_merely_ends_like_it() -> None:
    given = [
        "stage",
        "--env=staging",
        "--artifact-digest=sha256:1",
        "--commit=c",
        "--artifact-directory=docs",
    ]
    arguments = main.parse([*given, "--unproven-reason=see docs"])
    words = command_line.render(arguments, remote.moved(arguments))
    assert "--unproven-reason=see docs" in words
    assert "--artifact-directory=.kickoff/artifacts" in words
    assert words[:2] == ["stage", "--env=staging"]


def test_evidence_comes_back_to_where_it_was_wanted() -> None:
    arguments = main.parse(["env", "drift", "--env=staging", "--evidence=here", "--without-secrets"])
    words = command_line.render(arguments, remote.moved(arguments))
    assert words == ["env", "drift", "--env=staging", "--without-secrets"]


# --- on which machine ------------------------------------------------------------------------------------

AWAY = "ssh://deploy@far.example"
TARGET_VERBS = (
    ["status"], ["stop"], ["start"], ["rollback"], ["resume"], ["logs"], ["history"], ["metrics"], ["unlock"],
    ["plan"], ["abort"], ["watch"], ["promote", "--attempt=1"], ["stack", "plan"], ["stack", "apply"],
    ["stack", "prepare"], ["env", "drift"], ["env", "validate", "--with-secrets"],
    ["stage", "--artifact-digest=sha256:1", "--commit=c"],
)  # fmt: skip


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What was handed over, in a project whose environment runs elsewhere."""
    calls: list[tuple[str, list[str]]] = []

    def hand_over(address: str, _arguments: object, words: list[str], _root: Path) -> int:
        calls.append((address, words))
        return 0

    monkeypatch.setattr(remote, "hand_over", hand_over)
    monkeypatch.delenv("KICKOFF_HANDED_OVER", raising=False)
    (tmp_path / "configs").mkdir()
    environments = tmp_path / "configs" / "environments"
    environments.mkdir()
    source = ROOT / "configs" / "environments"
    text = (source / "development.env").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("DEPLOY_HOST=")]
    (environments / "development.env").write_text("\n".join([*lines, f"DEPLOY_HOST={AWAY}", ""]), "utf-8")
    (environments / "schema.json").write_text((source / "schema.json").read_text("utf-8"), "utf-8")
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.mark.parametrize("verb", TARGET_VERBS, ids=" ".join)
@pytest.mark.parametrize("spelling", [["--env", "development"], ["--env=development"]], ids=["two", "one"])
def test_what_is_about_a_target_happens_there(
    verb: list[str], spelling: list[str], handed: list[tuple[str, list[str]]]
) -> None:
    assert main.main([*verb, *spelling]) == 0
    [(address, words)] = handed
    assert address == AWAY
    assert "--env=development" in words


def test_an_abbreviation_acts_on_no_machine(handed: list[tuple[str, list[str]]]) -> None:
    assert main.main(["stop", "--en", "development"]) == 2
    assert handed == []


def test_a_broken_schema_does_not_let_a_verb_act_here(
    handed: list[tuple[str, list[str]]],
) -> None:
    Path("configs/environments/schema.json").write_text("{", encoding="utf-8")
    assert main.main(["stop", "--env", "development"]) == 0
    assert [address for address, _ in handed] == [AWAY]


def test_a_host_does_not_hand_over_again(
    handed: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KICKOFF_HANDED_OVER", "1")
    assert main.main(["env", "validate", "--with-secrets", "--env", "development"]) in (0, 2)
    assert handed == []


def test_a_hint_names_the_environment_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_arguments: argparse.Namespace) -> int:
        raise KickoffError("it failed", hint="`kickoff history --env NAME` lists them")

    given = argparse.Namespace(run=refuse, env="qa", at_target=lambda _: False)
    with pytest.raises(KickoffError) as caught:
        main.run(given)
    assert caught.value.hint == "`kickoff history --env qa` lists them"


def test_a_hint_about_the_connection_names_the_environment_too(
    handed: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(*_: object) -> int:
        raise KickoffError("the connection was lost", hint="`kickoff resume --env NAME` finishes it")

    monkeypatch.setattr(remote, "hand_over", lose)
    assert main.main(["stop", "--env", "development"]) == 2
    assert " resume --env development` finishes it" in capsys.readouterr().err


def test_a_hint_from_a_host_does_not_name_the_place_of_its_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    monkeypatch.setenv("KICKOFF_HANDED_OVER", "1")
    assert main.main(["stauts"]) == 2
    assert "did you mean `kickoff status`?" in capsys.readouterr().err


def test_a_hint_is_written_as_it_can_be_typed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    monkeypatch.chdir(ROOT)
    assert main.main(["stauts"]) == 2
    assert "did you mean `python3 src/kickoff status`?" in capsys.readouterr().err
    (tmp_path / "kickoff").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main.program() == "kickoff"


@pytest.mark.parametrize("option", [["--project", "services/api"], ["--project=services/api"]])
def test_a_project_is_worked_on_in_its_folder_and_hints_name_it(
    option: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "services" / "api").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KICKOFF_HANDED_OVER", "1")
    assert main.main([*option, "stauts"]) == 2
    assert "did you mean `kickoff --project services/api status`?" in capsys.readouterr().err
    assert Path.cwd() == tmp_path / "services" / "api"
    assert main.parse([*option, "stop", "--env", "qa"]).project == "services/api"
    assert needs([*option, "deploy"]) == needs(["deploy"]) == "dev"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--project", "nowhere", "status"], "--project nowhere: No such file or directory"),
        (["--project=", "status"], "--project : No such file or directory"),
        (["--project"], "stands before the verb"),
        (["status", "--project", "."], "`kickoff --project DIR status`"),
    ],
)
def test_a_project_that_is_not_there_ends_with_2(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("KICKOFF_HANDED_OVER", "1")
    monkeypatch.chdir(tmp_path)
    assert main.main(words) == 2
    assert said in capsys.readouterr().err


# --- as a program -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [["-m", "kickoff"], ["src/kickoff"]], ids=["module", "folder"])
def test_the_program_starts_without_its_environment(program: list[str]) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONPATH": "src"}
    for argv in (["--version"], ["--help"], ["rollback", "--help"], []):
        done = subprocess.run(
            [sys.executable, "-S", *program, *argv],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "kickoff" in done.stdout


def test_only_the_load_test_imports_its_libraries() -> None:
    light = [name for name, verb in VERBS.items() if verb.needs != "performance"]
    program = f"import sys; from kickoff.cli import main; [main.build(name) for name in {light}]"
    program += "; assert not {'numpy', 'scipy', 'locust'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": "src"}, cwd=ROOT, check=True)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_verbs_options_and_environments(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("shtab")
    assert main.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    for word in ("rollback", "--unproven-reason", "_kickoff_environments"):
        assert word in text
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr
