"""What a caller's machine may be like: its proxies, its locale, its user, its folders and its ports."""

import ast
import codecs
import getpass
import io
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from kickoff import paths
from kickoff.errors import ExitCode, KickoffError
from kickoff.program import write_in_any_locale

ROOT = Path(__file__).resolve().parents[2]
CODE = [path for folder in ("src", "scripts", "app", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
_CLIENTS = [
    "Client",
    "AsyncClient",
    "get",
    "head",
    "options",
    "post",
    "put",
    "patch",
    "delete",
    "request",
    "stream",
]
_CHILDREN = ["run", "Popen", "check_output", "check_call", "call"]
_TEXT = re.compile(r"^[rwax]t?\+?$")


def calls() -> Iterator[tuple[str, str, ast.Call, set[str]]]:
    """Every call in the code: its place, its function as written, itself and its keywords."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield place, ast.unparse(node.func), node, {word.arg or "**" for word in node.keywords}


def test_every_client_says_whether_the_callers_proxies_count() -> None:
    named = {f"httpx.{name}" for name in _CLIENTS}
    found = [(place, words) for place, function, _, words in calls() if function in named]
    assert len(found) >= 3
    assert [place for place, words in found if not words & {"trust_env", "transport", "**"}] == []
    others = {"requests.get", "requests.post", "requests.Session", "urllib.request.urlopen", "urlopen"}
    assert [place for place, function, *_ in calls() if function in others] == []


def test_nothing_is_read_or_written_in_the_encoding_of_the_locale() -> None:
    wrong = []
    for place, function, node, words in calls():
        name = function.rpartition(".")[2]
        mode = next((part.value for part in node.args if isinstance(part, ast.Constant)), "r")
        if function in {f"subprocess.{child}" for child in _CHILDREN}:
            bad = bool(words & {"text", "universal_newlines"})
        elif name == "read_text":
            bad = "encoding" not in words and not node.args
        elif name == "write_text":
            bad = "encoding" not in words and len(node.args) < 2
        elif name in ("open", "fdopen") and not function.startswith(("os.open", "tarfile", "gzip", "tar.")):
            path_or_mode = isinstance(mode, str) and _TEXT.match(mode)
            bad = bool(path_or_mode and node.args) and "encoding" not in words
        else:
            continue
        if bad:
            wrong.append(f"{place} {function}")
    assert wrong == []


# --- locale ---------------------------------------------------------------------------------------------


def printed(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    write_in_any_locale()
    sys.stdout.write(text)
    stream.flush()
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "shift_jis", "koi8-r"])
def test_marks_fall_back_to_ascii(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed("✓ good ✗ bad", encoding, monkeypatch) == "+ good x bad"


def test_a_character_without_a_spelling_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed("a → b … 状 😀", "ascii", monkeypatch) == r"a -> b ... \u72b6 \U0001f600"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_what_an_encoding_has_is_written_as_it_is(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed("✓ → 状", encoding, monkeypatch) == "✓ → 状"


def test_every_mark_that_is_printed_has_a_spelling() -> None:
    marks = set(re.findall(r"[^\x00-\x7f]", "".join(path.read_text(encoding="utf-8") for path in CODE)))
    spell = codecs.lookup_error("kickoff")
    unspelt = [m for m in marks if str(spell(UnicodeEncodeError("ascii", m, 0, 1, ""))[0]).startswith("\\")]
    assert unspelt == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk"])
def test_the_doctor_speaks_in_any_locale(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "src/kickoff", "doctor"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/", "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding).startswith("+ python")


# --- user and folders -----------------------------------------------------------------------------------


@pytest.fixture
def unknown_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id that the system has no entry for, in an environment without a word of the user."""

    def missing(_uid: int) -> NoReturn:
        raise KeyError("getpwuid(): uid not found: 12345")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", missing)
    monkeypatch.setattr("os.getuid", lambda: 12345)


@pytest.mark.usefixtures("unknown_user")
def test_a_user_without_a_name_has_a_number() -> None:
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    assert paths.user() == "uid-12345"


@pytest.mark.usefixtures("unknown_user")
def test_a_user_without_a_home_is_told_what_to_set() -> None:
    with pytest.raises(KickoffError, match="user 12345 has no home") as caught:
        paths.state_root("shop", "staging", {})
    assert caught.value.code is ExitCode.BAD_INPUT
    assert "KICKOFF_STATE_ROOT" in caught.value.hint
    given = {"KICKOFF_STATE_ROOT": "/srv/state"}
    assert paths.state_root("shop", "staging", given) == Path("/srv/state/shop/staging")
    assert paths.state_root("shop", "staging", {"XDG_STATE_HOME": "/x"}) == Path("/x/kickoff/shop/staging")


@pytest.mark.parametrize("part", ["a b", "it's", 'a"b', "50%", "a;b", "a#b", "a; b", "状态", "{{x}}", "a\\b"])
def test_a_state_folder_may_have_any_usual_name(part: str) -> None:
    assert paths.state_root("s", "e", {"KICKOFF_STATE_ROOT": f"/{part}"}) == Path(f"/{part}/s/e")


@pytest.mark.parametrize(
    "part",
    ["a\nb", "a\tb", "a:b", "a*", "a?", "[a]", "a ;b", "a\u00a0#b", "$HOME", "%(here)s", "\udcff", "\x7f"],
)
def test_a_state_folder_that_no_configuration_can_name_is_refused(part: str) -> None:
    with pytest.raises(KickoffError, match="cannot be written into configurations") as caught:
        paths.state_root("s", "e", {"KICKOFF_STATE_ROOT": f"/{part}"})
    assert caught.value.code is ExitCode.BAD_INPUT
    assert "set KICKOFF_STATE_ROOT" in caught.value.hint
    caught.value.render().encode("ascii", "kickoff")


# --- ports ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["abc", "0", "70000", "-1", "80.5", " 80", "1e3", "\uff18\uff10", "99999999999"]
)
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(KickoffError, match="not the number of a port") as caught:
        paths.public_port(8000, {"KICKOFF_PORT": text})
    assert caught.value.code is ExitCode.BAD_INPUT
    with pytest.raises(KickoffError, match="HTTP_PORT is"):
        paths.public_port(80, {"HTTP_PORT": text}, "HTTP_PORT")


@pytest.mark.parametrize(("text", "port"), [("", 8000), ("1", 1), ("65535", 65535), ("08080", 8080)])
def test_a_port_of_the_callers_counts(text: str, port: int) -> None:
    assert paths.public_port(8000, {"KICKOFF_PORT": text}) == port
    assert paths.public_port(8000, {}) == 8000
