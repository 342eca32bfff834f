"""An upgrade from the version before, in a repository whose owners have changed what it generated."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kickoff import __version__
from kickoff.project import record
from tests.adoption.conftest import Installed
from tests.adoption.foreign import Foreign

pytestmark = pytest.mark.e2e
BEFORE = Path(__file__).with_name("generated-0.1.0.json")
"""The record that `kickoff init --yes --actions acme/kickoff@v0.1.0` of version 0.1.0 has left; it holds every file."""
CD, CI, PROMOTE, ROLLBACK = (f".github/workflows/{name}.yml" for name in ("cd", "ci", "promote", "rollback"))
DEVELOPMENT = "configs/environments/development.env"
OURS = "options: [staging, production]  # nobody deploys development from GitHub"
THEIRS = "options: [development, staging, qa, production]"
ENVIRONMENTS = """load: none
smoke: [{name: greets, path: /, contains: o}]
environments:
  development: {}
  staging: {branch: main}
  qa: {after: staging}
  production: {tag: "v*", after: qa}
"""
JOB = """
  tell:
    name: tell
    needs: [deployment-summary]
    if: ${{ always() }}
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {}
    steps:
      - name: Tell the team
        run: echo "we were told of $GITHUB_SHA"
"""


@pytest.fixture
def foreign(tmp_path: Path, installed: Installed) -> Iterator[Foreign]:
    """A repository as version 0.1.0 has left it, committed."""
    made = Foreign(tmp_path, kickoff=(installed.kickoff,))
    text = BEFORE.read_text(encoding="utf-8")
    made.write(str(record.FILE), text)
    for name, file in json.loads(text)["files"].items():
        made.write(name, "\n".join(file["lines"]))
    made.write(".gitignore", "/.kickoff/\n")
    made.commit("Ship with Kickoff")
    yield made
    if (made.root / ".kickoff").exists():
        made.kickoff("stop", "--env", "development")


def change(foreign: Foreign, name: str, old: str, new: str) -> None:
    text = (foreign.root / name).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} in {name}"
    foreign.write(name, text.replace(old, new))


def make_it_ones_own(foreign: Foreign) -> dict[str, list[str]]:
    """Change what was generated as teams do; return the lines that must survive in each file."""
    change(foreign, "kickoff.yml", "name: things", "# What we ship to our shops.\nname: things")
    change(foreign, "kickoff.yml", "release_header: none", f"{ENVIRONMENTS}release_header: none")
    change(foreign, DEVELOPMENT, "PUBLIC_PORT=8000", f"PUBLIC_PORT={foreign.port}\nBAKE_TIME=2s")
    change(foreign, CD, "options: [development, staging, production]", OURS)
    change(foreign, CD, "timeout-minutes: &deploy-timeout 60", "timeout-minutes: &deploy-timeout 45")
    foreign.write(CD, (foreign.root / CD).read_text(encoding="utf-8") + JOB)
    change(foreign, CI, "  pull_request:\n", '  pull_request:\n  schedule:\n    - cron: "5 4 * * 1"\n')
    (foreign.root / ROLLBACK).unlink()
    foreign.write("README.md", "Things.\n")
    foreign.commit("Make it our own")
    return {
        "kickoff.yml": ["# What we ship to our shops.", *ENVIRONMENTS.splitlines()],
        DEVELOPMENT: [f"PUBLIC_PORT={foreign.port}", "BAKE_TIME=2s"],
        CD: [OURS, "timeout-minutes: &deploy-timeout 45", *JOB.strip("\n").splitlines()],
        CI: ['    - cron: "5 4 * * 1"'],
        "README.md": ["Things."],
    }


def lost(foreign: Foreign, kept: dict[str, list[str]]) -> list[str]:
    """Return the lines of the owners that are no longer there."""
    texts = {name: (foreign.root / name).read_text(encoding="utf-8") for name in kept}
    return [line for name, lines in kept.items() for line in lines if line not in texts[name]]


def test_nothing_of_the_owners_is_lost_and_the_next_release_ships(foreign: Foreign) -> None:
    kept = make_it_ones_own(foreign)
    before = {path: path.read_bytes() for path in sorted(foreign.root.rglob("*.env"))}

    told = json.loads(foreign.kickoff("upgrade", "--json", code=1))
    assert told["version"] == __version__
    assert {one["path"]: one["status"] for one in told["files"]} == {
        "kickoff.yml": "unchanged",
        DEVELOPMENT: "unchanged",
        "configs/environments/staging.env": "unchanged",
        "configs/environments/production.env": "unchanged",
        "configs/environments/qa.env": "added",
        CD: "conflict",
        CI: "merged",
        PROMOTE: "added",
        ROLLBACK: "stays deleted",
    }
    assert lost(foreign, kept) == []
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not (foreign.root / ROLLBACK).exists()
    changed = foreign.git("status", "--porcelain", "--untracked-files=all").split("\n")
    expected = {CD, CI, PROMOTE, "configs/environments/qa.env", str(record.FILE)}
    assert {line[3:] for line in changed if line} == expected

    text = (foreign.root / CD).read_text(encoding="utf-8")
    [(ours, base, theirs)] = re.findall(
        r"^<{7} yours\n(.*?)(?:^\|{7}.*?\n(.*?))?^={7}\n(.*?)^>{7} kickoff \S+\n", text, re.M | re.S
    )
    assert (ours.strip(), base, theirs.strip()) == (OURS, "", THEIRS)
    assert f"acme/kickoff/actions/deploy@v{__version__} # {__version__}" in text
    assert "0.1.0" not in text and "deploy-qa:" in text
    refused = foreign.kickoff("validate", code=2)
    assert f"{CD}:{text[: text.index('<<<<<<<')].count(chr(10)) + 1}: " in refused

    mine = f"        {OURS}\n"
    foreign.write(CD, re.sub(r"^<{7} yours\n.*?^>{7} [^\n]+\n", mine, text, flags=re.M | re.S))
    assert "up to date" in foreign.kickoff("upgrade")
    assert foreign.kickoff("upgrade", "--check")
    assert lost(foreign, kept) == []
    assert foreign.json("validate")["findings"] == []

    foreign.commit("Upgrade Kickoff")
    shipped = foreign.kickoff("deploy", "--plain", limit=240)
    assert "✓ RELEASED" in shipped
    assert "tell" in shipped, "the owners' job runs beside ours"
    assert httpx.get(foreign.address, timeout=5, trust_env=False).text == "one"
    foreign.write("server.py", (foreign.root / "server.py").read_text().replace('b"one"', 'b"two"'))
    foreign.commit("Say two")
    assert "✓ RELEASED" in foreign.kickoff("release", "--env", "development", limit=240)
    assert httpx.get(foreign.address, timeout=5, trust_env=False).text == "two"


def test_an_untouched_repository_is_brought_up_to_date_without_a_question(foreign: Foreign) -> None:
    before = json.loads(foreign.kickoff("upgrade", "--check", "--json", code=1))
    assert foreign.git("status", "--porcelain") == "", "nothing is written for a look"
    told = json.loads(foreign.kickoff("upgrade", "--json"))
    assert told["files"] == before["files"]
    assert [one["path"] for one in told["files"] if one["status"] == "added"] == [PROMOTE]
    assert {one["status"] for one in told["files"]} <= {"updated", "unchanged", "added"}
    assert foreign.json("validate")["findings"] == []
    foreign.commit("Upgrade Kickoff")
    foreign.kickoff("upgrade")
    foreign.kickoff("init", "--yes")
    assert foreign.git("status", "--porcelain") == ""


def test_a_description_at_the_former_place_is_moved_by_the_hint_and_kept(
    tmp_path: Path, installed: Installed
) -> None:
    foreign = Foreign(tmp_path, kickoff=(installed.kickoff,))
    text = "name: things\nprocesses: {web: {command: [python3, server.py]}}\nhealth: {live: /healthz, ready: /healthz}\n"
    foreign.write("configs/service.yml", text)
    foreign.write(DEVELOPMENT, f"PUBLIC_PORT={foreign.port}\n")
    foreign.commit("Ship things")
    assert "development" in foreign.kickoff("plan", "--env", "development"), "it is still read"
    done = foreign.kickoff("init", "--yes", code=2, said="stderr")
    [hint] = re.findall(r"^hint: (git mv .*)$", done, re.M)
    foreign.git(*shlex.split(hint)[1:])
    told = foreign.json("init", "--yes")
    assert {one["path"]: one["status"] for one in told["files"]}[
        "kickoff.yml"
    ] == "kept: not written by kickoff"
    assert (foreign.root / "kickoff.yml").read_text(encoding="utf-8") == text
    foreign.commit("Ship with Kickoff")
    assert foreign.json("validate")["findings"] == []
