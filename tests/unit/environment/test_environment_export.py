"""Every export format is read back unchanged by the program it is for."""

import json
import subprocess
import tempfile
from io import StringIO
from pathlib import Path

import dotenv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kickoff.environment import export
from tests.unit.environment.support import tool

COMPOSE = tool("docker-compose")
# NUL cannot stand in an environment; surrogates are no text.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
NASTY = st.text("ab \\'\"${}#=:-\n\t\r`!~%é", max_size=20)
VALUES = st.dictionaries(st.from_regex(r"K_[A-Z0-9_]{1,8}", fullmatch=True), TEXT | NASTY, max_size=12)
HARD = {
    "K_A": "${HOME}",
    "K_B": "$$K_A",
    "K_C": "a\\",
    "K_D": "\\\\'",
    "K_E": "\\n",
    "K_F": " a ",
    "K_G": "#",
    "K_H": "a\r\nb'",
}


def environment(output: bytes) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in output.decode().split("\0") if pair)
    return {key: value for key, _, value in pairs if key.startswith("K_")}


@settings(deadline=None)
@given(VALUES)
@example(HARD)
def test_dotenv_is_read_back_by_python_dotenv(values: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, ".env")
        path.write_bytes(export.dotenv(values).encode())
        assert dotenv.dotenv_values(path) == values


@settings(max_examples=60, deadline=None)
@given(VALUES)
@example(HARD)
def test_shell_is_read_back_by_a_posix_shell(values: dict[str, str]) -> None:
    script = export.shell(values) + "exec env -0\n"
    done = subprocess.run(
        ["/bin/sh"], input=script.encode(), env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    assert environment(done.stdout) == values


SIMPLE = st.text("abc XYZ019 _./:@%+,=-#()[]|&;<>*?~^é", max_size=20)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.from_regex(r"K_[A-Z]{1,8}", fullmatch=True), SIMPLE, max_size=12))
def test_dotenv_of_simple_values_is_read_alike_by_a_shell(values: dict[str, str]) -> None:
    script = "set -a\n" + export.dotenv(values) + "exec env -0\n"
    done = subprocess.run(
        ["/bin/sh"], input=script.encode(), env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    assert environment(done.stdout) == values


@given(VALUES)
def test_json_is_read_back(values: dict[str, str]) -> None:
    assert json.loads(export.json_text(values)) == values


def read_github(text: str) -> dict[str, str]:
    """Read like the runner: ``KEY<<DELIMITER``, lines, the delimiter alone in a line."""
    found = {}
    lines = iter(StringIO(text, newline="\n"))
    for head in lines:
        key, _, delimiter = head.rstrip("\n").partition("<<")
        body = []
        for line in lines:
            if line == f"{delimiter}\n":
                break
            body.append(line)
        found[key] = "".join(body)[:-1]
    return found


@given(VALUES)
@example({"K_A": "x\nK_B<<KICKOFF_\nKICKOFF_\n"})
def test_github_env_is_read_back(values: dict[str, str]) -> None:
    assert read_github(export.github_env(values)) == values


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is missing: it comes with requirements/dev.txt")
@settings(max_examples=8, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"K_[A-Z0-9]{1,8}", fullmatch=True), TEXT | NASTY, min_size=20, max_size=60)
)
@example(HARD)
def test_compose_is_read_back_by_docker_compose(values: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "values.env").write_bytes(export.compose(values).encode())
        stack = Path(folder, "compose.yml")
        stack.write_text("services: {web: {image: none, env_file: [values.env]}}\n", "utf-8")
        done = subprocess.run(
            [str(COMPOSE), "-f", str(stack), "config", "--format", "json"], capture_output=True, check=True
        )
    # `config` writes dollar signs so that its output could be read again.
    found = json.loads(done.stdout)["services"]["web"]["environment"]
    assert {key: value.replace("$$", "$") for key, value in found.items()} == values
