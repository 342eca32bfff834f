"""``prepare_host.sh``: what it says it would do, on stand-ins for the tools it asks; it is never run for real here."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.environment.support import ROOT

SCRIPT = ROOT / "scripts" / "setup" / "prepare_host.sh"
RELEASE = Path("/etc/os-release")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA somebody@laptop\n"
DOCKER = """#!/bin/sh
case "$*" in
    "version "*) echo "ENGINE" ;;
    "compose version"*) echo v2.40.3 ;;
    "buildx version") echo v0.29.1 ;;
esac
"""
# The distribution's version of whatever it is asked for.
POLICY = "#!/bin/sh\nprintf '%s:\\n  Installed: (none)\\n  Candidate: VERSION\\n' \"$2\"\n"

pytestmark = pytest.mark.skipif(
    not RELEASE.is_file() or "debian" not in RELEASE.read_text(), reason="this is neither Debian nor Ubuntu"
)


def check(
    folder: Path, *arguments: str, engine: str = "28.5.2", candidate: str = "26.1.5"
) -> tuple[int, str]:
    """Run it with ``--check``, on a host with this engine whose distribution has that one."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, text in (
        ("docker", DOCKER.replace("ENGINE", engine)),
        ("apt-cache", POLICY.replace("VERSION", candidate)),
        # Whatever would change something is not to be called.
        *(
            (name, "#!/bin/sh\necho CALLED\nexit 9\n")
            for name in ("apt-get", "useradd", "usermod", "install")
        ),
    ):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["sh", str(SCRIPT), "--check", "--user", "kickoff-nobody", *arguments],
        env={"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "CALLED" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_check_says_what_is_left_to_do_and_does_nothing(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(KEY)
    code, said = check(tmp_path, "--key-file", str(key))
    assert code == 1
    assert "✓ Docker Engine 28.5.2, compose 2.40.3, buildx" in said
    for wanted in (
        "add the user kickoff-nobody",
        "put kickoff-nobody into the group docker",
        "make /home/kickoff-nobody/.local/state/kickoff, mode 0700",
        f"let the key of {key} in",
    ):
        assert f"+ would {wanted}" in said
    assert "firewall" in said
    assert f"{said.count('+ would ')} changes would be made" in said
    assert not Path("/home/kickoff-nobody").exists()


@pytest.mark.parametrize("engine", ["", "20.10.24", "27.9"])
def test_docker_comes_from_where_it_is_new_enough(engine: str, tmp_path: Path) -> None:
    assert "would install Docker from its own repository" in check(tmp_path, engine=engine)[1]
    assert (
        "would install Docker 29.1 and compose 29.1 from the distribution"
        in (check(tmp_path, engine=engine, candidate="1:29.1+dfsg-2")[1])
    )
    assert (
        "from its own repository" in check(tmp_path, "--docker", "docker", engine=engine, candidate="29.1")[1]
    )
    code, said = check(tmp_path, "--docker", "distribution", engine=engine)
    assert (code, "the distribution has Docker 26.1.5" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--user"], "needs a value"),
        (["--user", "a; b"], "no name of a user"),
        (["--user", "Root"], "no name of a user"),
        (["--docker", "snap"], "--docker is"),
        (["--key-file", "/nonexistent"], "cannot be read"),
        (["--what"], "unknown argument"),
    ],
)
def test_wrong_use_is_refused(arguments: list[str], reason: str, tmp_path: Path) -> None:
    code, said = check(tmp_path, *arguments)
    assert code == 2
    assert said.startswith("error: ")
    assert reason in said


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN OPENSSH PRIVATE KEY-----\n", KEY + KEY, 'command="x" ' + KEY]
)
def test_only_one_public_key_is_let_in(text: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(text)
    assert check(tmp_path, "--key-file", str(key))[0] == 2
