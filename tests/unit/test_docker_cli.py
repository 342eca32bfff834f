"""The one runner of Docker's command line: its errors, its time limit, and what it shows."""

import sys
from pathlib import Path

import pytest

from kickoff import masking
from kickoff.docker_cli import Docker, reaching
from kickoff.errors import ExitCode, KickoffError


def stand_in(folder: Path, body: str) -> Docker:
    """A `docker` that runs this shell text."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return Docker({"PATH": f"{folder}:/usr/bin:/bin"}, folder)


def test_a_failure_names_the_command_its_code_and_what_it_said(tmp_path: Path) -> None:
    docker = stand_in(tmp_path, "echo printed; echo refused >&2; exit 7")
    with pytest.raises(KickoffError, match=r"^`docker network inspect` failed with exit code 7$") as caught:
        docker.run("network", "inspect", "a", hint="look")
    assert (caught.value.code, caught.value.causes, caught.value.hint) == (
        ExitCode.UNREACHABLE, ("printed", "refused"), "look",
    )  # fmt: skip
    assert docker.run("network", "inspect", "a", check=False).returncode == 7


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    docker = stand_in(tmp_path, "exec sleep 60")
    with pytest.raises(KickoffError, match=r"`docker compose up` did not end within 0\.2 s") as caught:
        docker.run("compose", "--ansi=never", "up", seconds=0.2, name="compose up", code=ExitCode.REJECTED)
    assert caught.value.code == ExitCode.REJECTED


@pytest.mark.parametrize("way", ["run", "stream"])
def test_without_docker_it_says_what_to_install(tmp_path: Path, way: str) -> None:
    with pytest.raises(KickoffError, match="docker is not installed here") as caught:
        getattr(Docker({"PATH": str(tmp_path)}), way)("info")
    assert caught.value.code == ExitCode.UNREACHABLE


def test_what_a_command_reads_and_prints_passes_through(tmp_path: Path) -> None:
    docker = stand_in(tmp_path, 'cat; printf "%s" "$PWD"')
    assert docker.run("x", given="line\n").stdout == f"line\n{tmp_path}".encode()


def test_a_streamed_log_is_masked_and_its_end_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masking.hide("quarry-lantern-17")
    docker = stand_in(tmp_path, 'for n in $(seq 50); do echo "$n quarry-lantern-17 $MORE"; done; exit 3')
    code, last = docker.stream("buildx", "build", MORE="given")
    assert (code, len(last), last[-1]) == (3, 50, "50 *** given")
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 50 and "quarry-lantern-17" not in "".join(shown)


def test_an_engine_is_found_by_its_variables_alone() -> None:
    environ = {
        "PATH": "/bin",
        "DOCKER_HOST": "unix:///x",
        "COMPOSE_PROJECT_NAME": "other",
        "PYTHON": sys.executable,
    }
    assert reaching(environ) == {"PATH": "/bin", "DOCKER_HOST": "unix:///x"}
