"""Scripts hand themselves over to the host of their environment, and bring back what they leave there."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kickoff.artifact.ledger import FolderLedger
from kickoff.release.stores.files import Store
from tests.e2e.project import RELEASE, REPOSITORY, Project
from tests.e2e.ssh_host import SshHost, ssh_host
from tests.unit.artifact.test_ledger import STATEMENT

pytestmark = pytest.mark.e2e
PLANTED = "quarry-lantern-47-slowly"


class Away(Project):
    """A project whose environment runs on another host."""

    host: SshHost

    @property
    def environ(self) -> dict[str, str]:
        """What the runner has: no state, but the keys to the host."""
        own = {key: value for key, value in super().environ.items() if key != "KICKOFF_STATE_ROOT"}
        keys = {"DEPLOY_SSH_KEY": self.host.key, "DEPLOY_KNOWN_HOSTS": self.host.known_hosts}
        here = {"KICKOFF_STATE_ROOT": str(self.root.parent / "runner-state")}
        return own | keys | here | {"GITHUB_OUTPUT": str(self.output), "API_KEY": PLANTED}

    @property
    def output(self) -> Path:
        return self.root.parent / "output"

    def settled(self, release: str) -> bool:
        """Whether the host serves ``release``, with no attempt open."""
        store = Store(self.host.state / "fixture" / "development")
        state = store.state()
        return state.release_of(state.live) == release and store.open_attempt() is None


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Away]:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed")
    with ssh_host(tmp_path / "host") as host:
        project = Away(tmp_path / "runner")
        project.host = host
        project.set(DEPLOY_HOST=host.address, API_KEY="${API_KEY}")
        yield project
        for folder in host.state.glob("fixture/*/journal.jsonl"):
            stopped = project.command("stop", "--env", folder.parent.name)
            assert stopped.returncode == 0, stopped.stderr


def ship(away: Away, **faults: object) -> str:
    staged = away.stage(away.commit(**faults))
    assert staged.returncode == 0, staged.stderr
    promoted = away.command("promote", "--attempt", away.evidence("stage")["attempt"])
    assert promoted.returncode == 0, promoted.stderr
    return str(away.evidence("promote")["release"])


def test_a_release_runs_on_the_host_and_its_evidence_comes_back(away: Away) -> None:
    release = ship(away)
    assert away.serving() == release
    assert away.settled(release)
    assert not (away.root.parent / "runner-state" / "fixture").exists()  # nothing is kept on the runner
    outputs = away.output.read_text()
    assert release in outputs and "live-release<<" in outputs
    assert not list(away.host.home.glob(".cache/kickoff/handed/run-*"))  # nor is the evidence left there
    unpacked = [command for command in away.host.commands() if "tar -xof" in command]
    before = len(unpacked)
    status = away.command("status", "--json")
    assert json.loads(status.stdout)["live"]["release"] == release
    sent = [command for command in away.host.commands() if "tar -xof" in command]
    away.command("status")
    assert len([c for c in away.host.commands() if "tar -xof" in c]) == len(sent) <= before + 1


def test_a_secret_is_in_no_command_and_no_file_but_the_release_s_own(away: Away) -> None:
    ship(away)
    assert not any(PLANTED in command for command in away.host.commands())
    holding = [
        path
        for path in away.host.folder.rglob("*")
        if path.is_file() and PLANTED.encode() in path.read_bytes()
    ]
    assert holding
    assert {path.stat().st_mode & 0o077 for path in holding} == {0}
    assert {path.name for path in holding} <= {"environment.json", "blue.json", "green.json"}


def test_a_rejected_release_ends_with_the_code_and_the_log_of_the_host(away: Away) -> None:
    release = ship(away)
    rejected = away.stage(away.commit(crash_at_start=True))
    assert rejected.returncode == 1
    assert "fixture: crash_at_start is set" in rejected.stderr
    assert away.evidence("stage")["verdict"] == "fail"
    assert away.serving() == release


def test_a_cancelled_runner_leaves_the_users_where_they_were(away: Away) -> None:
    release = ship(away)
    away.set(BAKE_TIME="60s", RELEASE_STRATEGY="canary", CANARY_HOLD="60s")
    assert away.stage(away.commit()).returncode == 0
    arguments = ["promote", "--env", "development", "--attempt", away.evidence("stage")["attempt"]]
    runner = subprocess.Popen(
        [sys.executable, str(RELEASE), *arguments],
        cwd=away.root,
        env=away.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert runner.stderr is not None
    for line in runner.stderr:
        if "judge" in line:
            break
    runner.send_signal(signal.SIGKILL)
    runner.wait(30)
    runner.stderr.close()
    deadline = time.monotonic() + 60
    while away.command("resume").returncode != 0:  # until the host has noticed, a living run holds the lock
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert away.settled(release)
    assert {away.serving() for _ in range(20)} == {release}


def test_a_host_whose_key_is_not_pinned_is_refused(away: Away) -> None:
    away.commit()
    refused = away.command("status", DEPLOY_KNOWN_HOSTS="[127.0.0.1]:1 ssh-ed25519 AAAA")
    assert refused.returncode == 4
    assert "cannot be asked" in refused.stderr and "ssh-keyscan" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert away.host.commands() == []


def test_a_broken_environment_is_reported_here(away: Away) -> None:
    away.set(DEPLOY_HOST="deploy@nowhere")
    refused = away.command("status")
    assert refused.returncode == 2
    assert "DEPLOY_HOST" in refused.stderr
    assert away.host.commands() == []


def test_a_host_takes_only_what_the_runner_brings_a_proof_of(away: Away) -> None:
    environments = away.root / "configs" / "environments"
    text = (environments / "development.env").read_text(encoding="utf-8")
    text = text.replace("APP_ENV=development", "APP_ENV=production")
    (environments / "production.env").write_text(text, encoding="utf-8")
    commit = away.commit()
    arguments = [sys.executable, str(RELEASE), "stage", "--env", "production", *away.stage_arguments(commit)]

    def stage() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            arguments,
            cwd=away.root,
            env=away.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    refused = stage()
    assert refused.returncode == 1, refused.stderr
    assert f"staging never proved {commit[:7]}" in refused.stderr
    assert not (away.host.state / "fixture" / "production" / "journal.jsonl").exists()
    proofs = FolderLedger(away.root.parent / "runner-state" / "fixture" / "proofs" / "staging", "staging")
    digest = arguments[5].partition("=")[2]
    proofs.keep(STATEMENT | {"commit": commit, "digest": digest})
    staged = stage()
    assert staged.returncode == 0, staged.stderr
    attempt = Store(away.host.state / "fixture" / "production").open_attempt()
    assert attempt is not None
    assert attempt.proved_by == f"{STATEMENT['release']} in staging"


def test_the_ssh_key_is_rotated_by_the_commands_of_its_page(away: Away, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "rotate-secrets.md").read_text("utf-8")
    section = page.partition("## The SSH key of the deployment")[2].partition("\n## ")[0]
    commands = [block.partition("```")[0] for block in section.split("```sh\n")[1:]]
    assert len(commands) == 3
    former, new, bin_ = tmp_path / "former", tmp_path / "new", tmp_path / "bin"
    former.write_text(away.host.key)
    former.chmod(0o600)
    (tmp_path / "known_hosts").write_text(away.host.known_hosts + "\n")
    bin_.mkdir()
    ssh = f"{shutil.which('ssh')} -o IdentitiesOnly=yes -o UserKnownHostsFile={tmp_path / 'known_hosts'}"
    for name, command in {"ssh": ssh, "kickoff": f"{sys.executable} {RELEASE}"}.items():
        (bin_ / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (bin_ / name).chmod(0o755)
    first = ship(away)
    address = urlsplit(away.host.address)
    environ = away.environ | {
        "PATH": f"{bin_}:{away.environ['PATH']}",
        "HOST": str(address.hostname),
        "PORT": str(address.port),
        "OLD_KEY": str(former),
        "NEW_KEY": str(new),
    }
    for command in commands:
        text = command.replace("--env production", "--env development")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=away.root, env=environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert away.serving() == first
    refused = away.command("status")
    assert refused.returncode == 4, refused.stderr
    away.host = replace(away.host, key=new.read_text())
    assert ship(away, delay_ms=1) != first
