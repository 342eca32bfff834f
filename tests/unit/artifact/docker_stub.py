"""A `docker` that records how it was called and answers from a table, and a `syft`: for what needs no engine."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python}
import json, os, sys
from pathlib import Path
folder = Path({folder!r})
arguments = sys.argv[1:]
stdin = sys.stdin.read() if "--password-stdin" in arguments else ""
with (folder / "calls.jsonl").open("a") as stream:
    config = os.environ.get("DOCKER_CONFIG", "")
    kept = sorted(os.listdir(config)) if config and os.path.isdir(config) else []
    call = {{"arguments": arguments, "stdin": stdin, "environ": dict(os.environ), "kept": kept}}
    stream.write(json.dumps(call) + "\\n")
line = " ".join(arguments)
for beginning, answer in json.loads((folder / "answers.json").read_text()).items():
    if line.startswith(beginning):
        if "--metadata-file" in arguments and not answer.get("exit"):
            target = arguments[arguments.index("--metadata-file") + 1]
            Path(target).write_text(json.dumps({{"containerimage.digest": answer["digest"]}}))
        sys.stdout.write(answer.get("out", ""))
        sys.stderr.write(answer.get("err", ""))
        sys.exit(answer.get("exit", 0))
sys.stderr.write("ERROR: " + arguments[-1] + ": not found\\n")
sys.exit(1)
"""
_SYFT = """#!/bin/sh
for argument; do last=$argument; done
case "$2" in *refused*) echo "ERROR could not fetch the image" >&2; exit 1;; esac
echo '{"packages": [{"name": "a"}, {"name": "i", "primaryPackagePurpose": "CONTAINER"}]}' >"${last#spdx-json=}"
"""


def quick_syft(folder: Path) -> None:
    """Put a `syft` into ``folder`` that lists one package of every image, and refuses what is called so."""
    program = folder / "syft"
    program.write_text(_SYFT)
    program.chmod(0o755)


@dataclass
class Stub:
    """A folder for PATH with the stub in it.

    Attributes:
        folder: The folder.
        answers: Beginning of a command line to ``out``, ``err``, ``exit`` and, for builds, ``digest``;
            the first that fits is given, and whatever fits none is not found.
    """

    folder: Path
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program = self.folder / "docker"
        program.write_text(_PROGRAM.format(python=sys.executable, folder=str(self.folder)))
        program.chmod(0o755)
        quick_syft(self.folder)

    def ready(self) -> dict[str, str]:
        """Write the answers down and return the environment that finds the stub."""
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        (self.folder / "calls.jsonl").write_text("")
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": f"{self.folder}:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}

    def calls(self) -> list[dict[str, Any]]:
        """Return how docker was called, in order."""
        return [json.loads(line) for line in (self.folder / "calls.jsonl").read_text().splitlines()]
