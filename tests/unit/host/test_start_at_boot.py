"""What brings an environment back after a reboot: units of systemd, and restart policies."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "how-to" / "start-at-boot.md").read_text(encoding="utf-8")
UNITS = re.findall(r"`([^`\n]+\.service)`:\n\n```ini\n(.*?)```", PAGE, re.DOTALL)
FOLDER = "/home/deploy/football"


@pytest.mark.parametrize(("path", "text"), UNITS, ids=["user", "system"])
def test_the_units_of_the_page_start_and_stop_an_environment(path: str, text: str) -> None:
    unit = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    assert (service["Type"], service["RemainAfterExit"]) == ("oneshot", "yes")
    assert service["WorkingDirectory"] == FOLDER
    for key, verb in (("ExecStart", "start"), ("ExecStop", "stop")):
        script, *arguments = shlex.split(service[key])
        there = ROOT / Path(script).relative_to(FOLDER)
        assert there.stat().st_mode & 0o111, f"{there} cannot be executed"
        assert arguments == [verb, "--env", "production"]
    by_the_user = "/.config/systemd/user/" in path
    assert ("User" in service) is not by_the_user
    assert unit["Install"]["WantedBy"] == ("default.target" if by_the_user else "multi-user.target")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize(("path", "text"), UNITS, ids=["user", "system"])
def test_systemd_takes_the_units_of_the_page(path: str, text: str, tmp_path: Path) -> None:
    unit = tmp_path / "football.service"
    unit.write_text(text.replace(FOLDER, str(ROOT)).replace("User=deploy\n", ""), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
    command += ["--user"] if ".config" in path else []
    environ = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [*command, str(unit)], env=environ, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


ONCE = {"init", "migrate", "restore"}


def services(file: str) -> dict[str, Any]:
    """The services of a compose file, with what each takes over by ``extends``."""

    class Loader(yaml.SafeLoader):
        """Reads nothing for compose's own tags, such as ``!reset``."""

    Loader.add_multi_constructor("!", lambda *_: None)
    path = ROOT / file
    document = yaml.load(path.read_text(encoding="utf-8"), Loader)
    found = {}
    for name, service in document["services"].items():
        taken = service.get("extends")
        base = {}
        if taken:
            other = str((path.parent / taken["file"]).relative_to(ROOT)) if "file" in taken else file
            base = services(other)[taken["service"]]
        found[name] = {**base, **service}
    return found


@pytest.mark.parametrize(
    "file",
    [
        "docker-compose.staging.yml",
        "docker-compose.production.yml",
        "tests/e2e/service/docker-compose.development.yml",
    ],
)
def test_docker_starts_again_what_is_to_stay(file: str) -> None:
    found = services(file)
    assert {"traefik", "blue", "green"} <= set(found)
    policies = {name: service.get("restart") for name, service in found.items() if name not in ONCE}
    assert set(policies.values()) == {"unless-stopped"}, policies
