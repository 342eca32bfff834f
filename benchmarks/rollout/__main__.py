"""Time and failed requests of a release on containers, beside docker-rollout's of the same images.

``.venv/bin/python benchmarks/rollout PATH`` takes the path of the script of https://github.com/Wowu/docker-rollout
and turns with it: both ship one image to a Traefik of their own under the same load, without hold and bake.
Needs a Docker engine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from kickoff.release.targets.ports import free_port  # noqa: E402
from tests.e2e.containers import ContainerProject, docker, registry, remove_project  # noqa: E402
from tests.e2e.project import Load  # noqa: E402

OUTPUT = ROOT / ".kickoff" / "benchmarks" / "rollout.json"
RATE = 100
COMPOSE = """\
name: {name}
services:
  traefik:
    image: traefik:v3.7.15
    command: [--entryPoints.web.address=:80, --providers.docker.exposedByDefault=false]
    environment: {{NO_PROXY: "*"}}
    ports: ["127.0.0.1:{port}:80"]
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
  web:
    image: ${{IMAGE}}
    init: true
    environment: {{KICKOFF_RELEASE: docker-rollout, KICKOFF_DATA_DIR: /tmp}}
    stop_grace_period: 10s
    labels:
      traefik.enable: true
      traefik.http.routers.web.rule: PathPrefix(`/`)
      traefik.http.services.web.loadbalancer.server.port: 8000
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/ready')"]
      interval: 1s
"""


class Rollout:
    """A compose project that docker-rollout releases to."""

    def __init__(self, script: Path, folder: Path) -> None:
        self._script, self._folder, port = script, folder, free_port()
        self.name, self.address = f"{folder.name.lower()}-rollout", f"http://127.0.0.1:{port}"
        (folder / "compose.yml").write_text(COMPOSE.format(name=self.name, port=port), encoding="utf-8")

    def release(self, image: str) -> None:
        """Release ``image`` as its users do."""
        command = ["sh", str(self._script), "rollout", "--file", "compose.yml", "web"]
        _run(command, self._folder, os.environ | {"IMAGE": image})

    def begin(self, image: str) -> None:
        """Bring the proxy and a first release up."""
        command = ["docker", "compose", "-f", "compose.yml", "up", "--wait", "--detach"]
        _run(command, self._folder, os.environ | {"IMAGE": image})


def _run(command: list[str], folder: Path, environ: "os._Environ[str] | dict[str, str]") -> None:
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")


@contextmanager
def _projects(script: Path) -> Iterator[tuple[ContainerProject, Rollout]]:
    with tempfile.TemporaryDirectory(prefix="kickoff") as folder, registry() as address:
        ours, theirs = ContainerProject(Path(folder), address), Rollout(script, Path(folder))
        try:
            yield ours, theirs
        finally:
            ours.close()
            remove_project(theirs.name)


def _measured(address: str, release: Callable[[], None]) -> dict[str, float]:
    """Release under load; return seconds, requests, and how many of them failed."""
    with Load(address, RATE, slow_seconds=0) as load:
        time.sleep(1)
        began = time.monotonic()
        release()
        seconds = time.monotonic() - began
        time.sleep(1)
    return {"seconds": round(seconds, 2), "requests": load.requests, "failed": len(load.failed)}


def _ship(project: ContainerProject, arguments: list[str]) -> None:
    _verb(project, "stage", *arguments)
    _verb(project, "promote", "--attempt", project.evidence("stage")["attempt"])


def _verb(project: ContainerProject, name: str, *arguments: str) -> None:
    done = project.command(name, *arguments)
    if done.returncode != 0:
        sys.exit(f"kickoff {name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")


def main() -> int:
    """Take turns, print each, medians and the median of the rounds' ratios; 1 if we failed a request."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("script", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {"kickoff": [], "docker-rollout": []}
    with _projects(arguments.script.resolve()) as (ours, theirs):
        ours.set(BAKE_TIME="0s")
        described = ours.root / "kickoff.yml"
        text = described.read_text("utf-8")
        # docker-rollout has no migrations.
        described.write_text(text[: text.index("hooks:")] + text[text.index("health:") :], "utf-8")
        for number in range(arguments.rounds + 1):
            staged = ours.stage_arguments(ours.commit(delay_ms=number / 100))
            image = f"{ours.repository}@{staged[0].partition('=')[2]}"
            docker("pull", "--quiet", image)
            if number == 0:
                _ship(ours, staged)
                theirs.begin(image)
                continue
            sides: dict[str, tuple[str, Callable[[], None]]] = {
                "kickoff": (ours.address, partial(_ship, ours, staged)),
                "docker-rollout": (theirs.address, partial(theirs.release, image)),
            }
            for side in sorted(sides, reverse=bool(number % 2)):
                found[side].append(_measured(*sides[side]))
                print(f"{side:<15} {found[side][-1]}", flush=True)
    ratios = [one["seconds"] / other["seconds"] for one, other in zip(*found.values(), strict=True)]
    document: dict[str, object] = {
        side: {unit: statistics.median(turn[unit] for turn in turns) for unit in turns[0]}
        for side, turns in found.items()
    } | {"ratio": round(statistics.median(ratios), 2), "load": os.getloadavg()}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(document | {"rounds": found}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))
    return 1 if any(turn["failed"] for turn in found["kickoff"]) else 0


if __name__ == "__main__":
    sys.exit(main())
