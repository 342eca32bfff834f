"""A service description as it is written: commands in either form, and errors that name file and line."""

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema.exceptions import ValidationError

from kickoff.errors import KickoffError
from kickoff.yaml_lines import line_of

COMMAND = (("run",), ("processes", "web", "command"))
"""Where the start command may stand."""
_REFERENCE = "docs/reference/service.md lists every key with its type"
_SHELLS = frozenset({"sh", "bash", "dash", "zsh"})
_OPERATORS = frozenset({"&&", "||", "|", "&", ";", "<", ">", ">>", "2>&1"})


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that serves no requests.

    Attributes:
        command: Its start command.
        health: A command that ends with 0 while it is well; empty when it is enough that it stays up.
        at: File and line of its entry, for errors.
    """

    command: tuple[str, ...]
    health: tuple[str, ...]
    at: str


@dataclass(frozen=True, slots=True)
class Reader:
    """The text of a description; ``source`` names it in errors.

    It reads what needs more than a schema.
    """

    text: str
    source: str

    def error(self, message: str, *path: str | int, hint: str = _REFERENCE) -> KickoffError:
        """Return an error about the entry at ``path``."""
        return KickoffError(message, at=self.at(*path), hint=hint)

    def at(self, *path: str | int) -> str:
        """Return file and line of the entry at ``path``, or of its nearest existing parent."""
        return f"{self.source}:{line_of(self.text, path)}"

    def problem(self, found: ValidationError) -> KickoffError:
        """Return the error for what the schema refuses; an unknown key is shown at its own line."""
        path = tuple(found.absolute_path)
        schema, given = found.schema, found.instance
        if found.validator != "additionalProperties" or not isinstance(schema, dict):
            return self.error(f"{found.json_path}: {found.message}", *path)
        known = list(schema["properties"])
        key = str(next(key for key in dict(given) if key not in known))  # type: ignore[arg-type]
        close = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        return self.error(f"{found.json_path}: {key!r} is not a key", *path, key, hint=hint)

    def command(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the start command, which is written in one of two ways."""
        short, long = document.get("run"), document.get("processes", {}).get("web")
        if short is not None and long is not None:
            raise self.error(
                "`run` and `processes.web` both say how the service starts", "run", hint="keep one"
            )
        if short is not None:
            return self.argv(short, "run")
        if long is not None:
            return self.argv(long["command"], "processes", "web", "command")
        hint = "write `run:` and the command, as in `run: node server.js --port {port}`"
        raise self.error("$: nothing says how the service starts", hint=hint)

    def workers(self, document: Mapping[str, Any]) -> dict[str, Worker]:
        """Return the processes beside ``web``, by name."""
        found = {name: entry for name, entry in document.get("processes", {}).items() if name != "web"}
        return {
            name: Worker(
                self.argv(entry["command"], "processes", name, "command"),
                self.argv(entry["health"], "processes", name, "health") if "health" in entry else (),
                f"{self.source}:{line_of(self.text, ('processes', name))}",
            )
            for name, entry in found.items()
        }

    def argv(self, value: str | Sequence[str], *path: str | int) -> tuple[str, ...]:
        """Return a command's words: a list as it is, a text as a shell would split it, and nothing more."""
        if not isinstance(value, str):
            return tuple(value)
        try:
            words = shlex.split(value)
        except ValueError as error:
            hint = "close the quote, or write the words as a list"
            raise self.error(
                f"`{value}` cannot be split into words: {str(error).lower()}", *path, hint=hint
            ) from None
        if not words:
            raise self.error("the command is empty", *path)
        foreign = next((word for word in words if _needs_shell(word)), None)
        if words[0].rpartition("/")[2] not in _SHELLS and (foreign or "=" in words[0]):
            raise self.error(
                f"`{foreign or words[0]}` in `{value}` means something to a shell alone, and none runs it",
                *path,
                hint="write the port as {port}; otherwise run a shell yourself: [sh, -c, 'exec …']",
            )
        return tuple(words)


def _needs_shell(word: str) -> bool:
    return word in _OPERATORS or re.search(r"\$\{?PORT\b", word) is not None
