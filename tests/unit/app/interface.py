"""The service's OpenAPI document, and its changes since the last release.

``python -m tests.unit.app.interface`` writes the document and prints its changes since the last tag ``v*``.
"""

import json
import subprocess
import sys

from app.main import create_app
from app.settings import Settings
from kickoff.openapi import Document, compare
from tests.unit.app.support import ROOT

TARGET = "docs/reference/openapi.json"


def text() -> str:
    """Return the document that the code describes; nothing of it depends on the environment."""
    document = create_app(Settings.model_construct()).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def last_release() -> tuple[str, Document] | None:
    """Return the last tag ``v*`` before this commit and its document; ``None`` without one."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    tag = git("describe", "--tags", "--abbrev=0", "--match", "v*")
    return (tag, json.loads(git("show", f"{tag}:{TARGET}"))) if tag else None


def main() -> int:
    """Write the document and print what it changes since the last release."""
    new = text()
    (ROOT / TARGET).write_text(new, encoding="utf-8")
    if (release := last_release()) is not None:
        print(f"{TARGET} since {release[0]}:", *compare(release[1], json.loads(new)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
