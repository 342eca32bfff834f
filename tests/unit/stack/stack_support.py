"""The stacks as docker compose resolves them, with the environment that the loader exports. No engine is asked."""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kickoff.stack import Stack, source_of

ROOT = Path(__file__).resolve().parents[3]
STACKS = ("staging", "production", "uat", "preprod", "dr")
BIN = Path(sys.executable).parent


def exported(name: str, folder: Path) -> dict[str, str]:
    """Export the environment as a person does; return the environment of docker compose."""
    secret = secrets.token_hex(24)
    environ = {
        "PATH": os.environ["PATH"],
        "API_KEY": secrets.token_hex(24),
        "DATABASE_URL": f"postgresql+psycopg://football:{secret}@postgres:5432/football",
        "REDIS_URL": f"redis://:{secret}@redis:6379/0",
    }
    loader = [sys.executable, "scripts/deploy/environment-loader.py", "export", "--env", name]
    command = [*loader, "--format", "compose", "--output", str(folder / "exported.env")]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, timeout=60)
    return {"PATH": os.environ["PATH"], "HOME": str(folder)}


def compose(name: str, env_file: Path, environ: Mapping[str, str], *arguments: str) -> str:
    """Run `docker compose` on a stack's file; return what it prints."""
    command = [str(BIN / "docker-compose"), "--env-file", str(env_file), "-f", str(source_of(ROOT, name))]
    done = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    return done.stdout


def stack_of(text: str, folder: Path) -> Stack:
    """Return the stack of ``staging`` whose compose file has this text."""
    root = folder / "project"
    root.mkdir()
    (root / "docker-compose.staging.yml").write_text(text)
    return Stack(root, "staging", folder, folder / "routes")
