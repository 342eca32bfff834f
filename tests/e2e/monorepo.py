"""Two services of one repository, each a project of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from kickoff.release.targets.ports import free_port
from tests.adoption.foreign import KICKOFF, SERVICE
from tests.repository import Repository

ENVIRONMENT = """ENVIRONMENT_CLASS={kind}
DEPLOY_TARGET=local
PUBLIC_PORT={port}
BAKE_TIME=1s
WATCH_TIME=0s
PROMOTE_WAIT=0s
RELEASE_STRATEGY=blue-green
"""
GATE = [
    {
        "name": "folder",
        "run": [
            sys.executable,
            "-c",
            "import os; assert 'server.py' in os.listdir() and not os.path.exists('services')",
        ],
    }
]
NAMES = {"api": ("qa", "live"), "web": ("staging", "production")}


class Monorepo(Repository):
    """A repository on ``master`` with the services ``api`` and ``web``, and a state folder beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "both", "master")
        self.state, self.evidence = folder / "state", folder / "evidence"
        self.ports = {
            name: dict(zip(names, (free_port(), free_port()), strict=True)) for name, names in NAMES.items()
        }
        for name, (first, last) in NAMES.items():
            declared = {first: {"branch": "master"}, last: {"after": first, "tag": f"{name}-v*"}}
            described = {
                "name": name,
                "run": "python3 server.py",
                "health": "/healthz",
                "release_header": "none",
                "load": "none",
                "quality_gate": GATE,
                "checks": [{"name": "own", "run": ["test", "-f", "server.py"]}],
                "build": [{"run": ["sh", "-c", "cat server.py > built.txt"], "outputs": ["built.txt"]}],
                "environments": declared,
            }
            self.write(f"services/{name}/kickoff.yml", yaml.safe_dump(described, sort_keys=False))
            for kind, environment in zip(("staging", "production"), (first, last), strict=True):
                text = ENVIRONMENT.format(kind=kind, port=self.ports[name][environment])
                self.write(f"services/{name}/configs/environments/{environment}.env", text)
            self.write(f"services/{name}/.gitignore", "/.kickoff/\n")
            self.serve(name, "one")
        self.commit()

    def serve(self, name: str, text: str) -> None:
        """Write a service that answers with a text."""
        self.write(f"services/{name}/server.py", SERVICE.replace("TEXT", f"{name} {text}"))

    def kickoff(self, name: str, *words: str, code: int = 0, environ: Mapping[str, str] | None = None) -> str:
        """Run a verb on a project, typed at the repository's top; return what it prints."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        done = subprocess.run(
            [*KICKOFF, "--project", f"services/{name}", *words],
            cwd=self.root,
            env=kept | {"KICKOFF_STATE_ROOT": str(self.state)} | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def release(self, name: str, environment: str) -> str:
        """Release a project; return the id of its release."""
        assert "RELEASED" in self.kickoff(name, "release", "--env", environment)
        return self.live(name, environment)

    def live(self, name: str, environment: str) -> str:
        """Return the live release of an environment."""
        found = json.loads((self.state / name / environment / "state.json").read_text())
        return str(found["slots"][found["live"]]["release"])

    def digest(self, name: str) -> str:
        """Return the digest of what the last commit ships of a project."""
        return str(json.loads(self.quietly(name, "build", "--json"))["digest"])

    def quietly(self, name: str, *words: str) -> str:
        """Run a verb and return its result alone."""
        text = self.kickoff(name, *words, "--quiet")
        return text[text.index("{") : text.rindex("}") + 1]

    def planned(self, name: str, before: str = "") -> dict[str, Any]:
        """Return what a push of the last commit to ``master`` would deploy."""
        event = self.root.parent / "event.json"
        event.write_text(json.dumps({"before": before, "repository": {"default_branch": "master"}}))
        words = ("workflow", "plan", "--event=push", "--ref=refs/heads/master", "--json")
        given = {"KICKOFF_EVIDENCE_DIR": str(self.evidence), "GITHUB_EVENT_PATH": str(event)}
        document: dict[str, Any] = json.loads(self.kickoff(name, *words, environ=given))
        return document

    def says(self, name: str, environment: str) -> str:
        """Return what an environment answers its users."""
        address = f"http://127.0.0.1:{self.ports[name][environment]}/"
        return httpx.get(address, timeout=5, trust_env=False).text

    def close(self) -> None:
        """Stop what was deployed."""
        for name, environments in NAMES.items():
            for environment in environments:
                if (self.state / name / environment).is_dir():
                    self.kickoff(name, "stop", "--env", environment)
