"""Verdicts of the quality gate, kept by all that they depend on, so that nothing is tested twice.

A record says that one command passed, when and in which run. Its name is the hash of the commit's tree, the
command, the lock of its tools, what the PATH offers, and this platform; so another content finds no record.
Records are no secret and no proof: who can write here could as well write the evidence. That is why runs of a
pull request have keys of their own, beside GitHub's rule that no other branch reads their cache.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from kickoff import foreign, github, packages
from kickoff.artifact import source
from kickoff.checks.commands import Outcome, log_of
from kickoff.evidence import now, write_atomic
from kickoff.evidence.fields import Reused
from kickoff.service import Command

DIRECTORY, REFUSED = "KICKOFF_REUSE_DIR", "KICKOFF_NO_REUSE"
"""Variables: where the records are, and that none may be used when it is set."""
DEFAULT = Path(".kickoff/verdicts")
KEPT = 200
"""Records that are kept; the oldest go first."""
DAYS = 30
"""A record's age at most: some of what a command asks is outside of everything that has a hash."""
_FORMAT = 1
# What changes how a program behaves without being asked for.
_FELT = ("CI", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ")


@dataclass(frozen=True, slots=True)
class Record:
    """The pass of a command.

    Attributes:
        key: Hash of all that it depends on.
        name: The command's name.
        commit: The commit it was run on.
        run: The run that did so, e.g. ``run 128``.
        link: The run's address on GitHub, or the path of its evidence.
        at: When it passed, ISO 8601 UTC.
        seconds: How long it took.
        tail: Last lines of its log.
        depends: What the key was made of, without the values of variables.
    """

    key: str
    name: str
    commit: str
    run: str
    link: str
    at: str
    seconds: float
    tail: list[str]
    depends: dict[str, Any]

    @classmethod
    def parse(cls, text: str, key: str) -> Self:
        """Return the record of a key.

        Raises:
            TypeError: A part is missing or of another type.
            ValueError: It is not JSON, or of another key.
        """
        record = cls(**json.loads(text))
        texts = [record.name, record.commit, record.run, record.link, *record.tail]
        if not all(isinstance(one, str) for one in texts) or not isinstance(record.seconds, float):
            raise TypeError("a part of it is of another type")
        if record.key != key:
            raise ValueError(f"its key is {record.key!r}")
        return record

    @property
    def text(self) -> str:
        """Where and when it passed, for people."""
        return f"passed in {self.run} for the same content, {self.at[:16].replace('T', ' ')} UTC"

    def fact(self) -> Reused:
        """Return what the evidence says of it."""
        return Reused(
            name=self.name,
            key=self.key,
            run=self.run,
            link=self.link,
            at=self.at,
            commit=self.commit,
            text=f"{self.name} in {self.run} ({self.link})",
        )

    def outcome(self, command: Command, logs: Path, stage: str) -> Outcome:
        """Return the outcome of the command as it was, with a log that says that it was not run again."""
        log = log_of(command, logs, stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        head = f"not run again: {self.text}, see {self.link}; the end of its log was:"
        log.write_text("\n".join([head, *self.tail, ""]), encoding="utf-8")
        return Outcome(command, 0, "", self.seconds, log, self.text)


class Records:
    """The records of a folder, for the gate of one commit on this machine.

    Args:
        folder: Where they are.
        root: The project.
        commit: The commit.
        requirements: The lock of the tools; ``None`` when they are on the PATH.
        evidence: The folder of this run's evidence.
        gate: The commands.
        passed: Names of the caller's variables that every command is given.
    """

    def __init__(  # noqa: PLR0917
        self,
        folder: Path,
        root: Path,
        commit: str,
        requirements: Path | None,
        evidence: Path,
        gate: Sequence[Command],
        passed: Sequence[str],
    ) -> None:
        self._folder, self._commit, self._gate = folder, commit, gate
        self._place = _place(evidence / "quality-gate.json")
        environ = foreign.environment(passed)
        self._passed = foreign.fingerprints(passed)
        self._search = environ.get("PATH", "")
        self._shared: dict[str, Any] = {
            "format": _FORMAT,
            "tree": source.tree(root, commit),
            "lock": packages.home_of(requirements) if requirements else "",
            "platform": [platform.system(), platform.machine(), platform.python_version()],
            "felt": {name: environ[name] for name in _FELT if name in environ},
            "path": _offered(self._search),
            "pull request": github.context().event.startswith("pull_request"),
        }
        self._keys = {place: self._key(one) for place, one in enumerate(gate) if one.reuse}

    def find(self) -> dict[int, Record]:
        """Return the usable records of the commands by their place in the gate.

        Where anything has to run, that which prepares for it does, too.
        """
        found = {place: record for place in self._keys if (record := self._read(place))}
        if len(found) == len(self._gate):
            return found
        return {place: record for place, record in found.items() if not self._gate[place].prepares}

    def keep(self, place: int, outcome: Outcome) -> None:
        """Record that the command at a place of the gate passed, and let the oldest records go."""
        if not outcome.passed or place not in self._keys:
            return
        name, (key, depends), (run, link) = self._gate[place].name, self._keys[place], self._place
        record = Record(
            key, name, self._commit, run, link, now(), round(outcome.seconds, 3), outcome.tail(), depends
        )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(record), indent=1, ensure_ascii=False)
            write_atomic(self._folder / f"{key}.json", f"{text}\n", mode=0o600)
            kept = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in kept[KEPT:]:
                path.unlink(missing_ok=True)
        except OSError as error:
            sys.stderr.write(f"the verdict of {name} is not kept for the next run: {error}\n")

    def _read(self, place: int) -> Record | None:
        """Return a command's record; ``None`` where there is none that can be trusted."""
        name, (key, _) = self._gate[place].name, self._keys[place]
        try:
            record = Record.parse((self._folder / f"{key}.json").read_text(encoding="utf-8"), key)
            age = datetime.now(UTC) - datetime.fromisoformat(record.at)
        except FileNotFoundError:
            return None
        except (OSError, TypeError, ValueError) as error:
            sys.stderr.write(f"the record of {name} is damaged, so the command runs: {error}\n")
            return None
        return record if timedelta(0) <= age <= timedelta(days=DAYS) else None

    def _key(self, command: Command) -> tuple[str, dict[str, Any]]:
        """Return the hash of all that a command's verdict depends on, and that without variables' values."""
        depends = self._shared | {
            "run": list(command.run),
            "timeout": command.timeout_seconds,
            "prepared by": [list(one.run) for one in self._gate if one.prepares and one is not command],
            "program": _program(command.run[0], self._search),
            "variables": list(command.environment),
        }
        values = self._passed | foreign.fingerprints(command.environment)
        text = json.dumps([depends, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest(), depends


def _place(evidence: Path) -> tuple[str, str]:
    """Return the name of this run and where to find it."""
    url = github.context().run_url
    if url:
        return f"run {url.rpartition('/')[2]}", url
    path = evidence.absolute()
    number = re.search(r"/runs/(\d+)/evidence/", str(path))
    return f"run {number[1]}" if number else "an earlier check", str(path)


def _program(name: str, search: str) -> list[Any]:
    """Return what tells one version of a program from another: its place, size and time, not its bytes."""
    committed = "/" in name and not name.startswith("/")
    found = None if committed else shutil.which(name, path=search)
    if found is None:  # the tree or the lock tells it
        return [name]
    real = Path(found).resolve()
    return [found, str(real), real.stat().st_size, real.stat().st_mtime_ns]


def _offered(search: str) -> list[list[Any]]:
    """Return what tells one offer of programs from another: folders, when they changed, packages beside them.

    A command starts programs that are not its own, and a script's package is not in its folder. What this
    user may not look into, no command of theirs can use.
    """
    found = []
    for folder in dict.fromkeys(Path(part) for part in search.split(os.pathsep) if part):
        with suppress(OSError):
            changed, beside = folder.stat().st_mtime_ns, folder.parent / "lib"
            places = sorted([*beside.glob("python3*/*-packages"), *beside.glob("node_modules")])
            names = [sorted({one.name for one in place.iterdir()} - {"__pycache__"}) for place in places]
            digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()
            found.append([str(folder), changed, digest])
    return found


def wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether records may be used, as far as the environment says."""
    return not environ.get(REFUSED)


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the records are: what ``KICKOFF_REUSE_DIR`` names, or ``.kickoff/verdicts``."""
    return Path(environ.get(DIRECTORY) or DEFAULT)
