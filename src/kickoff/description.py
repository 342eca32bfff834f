"""A service description as it is written: commands in either form, and errors that name file and line."""

import difflib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kickoff import environments
from kickoff.errors import KickoffError
from kickoff.yaml_lines import line_of

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

NONE = "none"
"""The value that switches a part off."""
NO_LOAD = f"load: {NONE}"
SSH = "ssh"
"""The transport of an image that needs no registry."""
SMOKE, FUNCTIONAL, LOAD = "smoke-candidate", "functional-candidate", "perf-baseline"
"""Stages of the checks that every service may have."""
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
class BuildStep:
    """A command of the build: argument vector, what it leaves for the artefact, time limit, file and line."""

    run: tuple[str, ...]
    outputs: tuple[str, ...]
    timeout_seconds: int
    at: str


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """One request of the load test's users.

    Attributes:
        path: Path and query.
        method: HTTP method.
        json: Request body, sent as JSON; ``None`` for no body.
        status: The expected status code.
        weight: How often it is sent, beside the others.
    """

    path: str
    method: str = "GET"
    json: Any = None
    status: int = 200
    weight: int = 1


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

    def problem(self, found: "ValidationError") -> KickoffError:
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
                self.at("processes", name),
            )
            for name, entry in found.items()
        }

    def build(self, document: Mapping[str, Any]) -> tuple[BuildStep, ...]:
        """Return the commands of the build, which leave something between them."""
        steps = []
        for index, entry in enumerate(document.get("build", ())):
            given = entry if isinstance(entry, dict) else {"run": entry}
            steps.append(
                BuildStep(
                    run=self.argv(given["run"], "build", index),
                    outputs=tuple(output.rstrip("/") for output in given.get("outputs", ())),
                    timeout_seconds=given.get("timeout_seconds", 1800),
                    at=self.at("build", index),
                )
            )
        if steps and not any(step.outputs for step in steps):
            hint = "name what goes into the artefact: `- {run: npm run build, outputs: [dist]}`"
            raise self.error("the build names no `outputs`, so nothing of it would ship", "build", hint=hint)
        return tuple(steps)

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


def check(reader: Reader, document: Any) -> None:  # noqa: ANN401 - any YAML
    """Refuse a description that breaks the schema, or asks for what cannot be.

    Raises:
        KickoffError: It does; names file, line and fix (exit 2).
    """
    problem = next(problems(reader, document), None)
    if problem is not None:
        raise problem
    _agree(reader, document)


def problems(reader: Reader, document: Any, within: str = "") -> Iterator[KickoffError]:  # noqa: ANN401
    """Yield an error for each place where a description, or its entry ``within``, breaks the schema."""
    for found in sorted(_validator().iter_errors(document), key=lambda e: e.json_path):
        if not within or within in list(found.absolute_path)[:1]:
            yield reader.problem(found)


def _agree(reader: Reader, document: Mapping[str, Any]) -> None:
    """Refuse entries that contradict each other, such as a check that is demanded where it does not run."""
    image = document.get("image", {})
    if image.get("transport") == SSH and "repository" in image:
        raise reader.error(
            "`transport: ssh` sends the image to the host, and `repository` to a registry",
            "image", "repository",
            hint="take `repository` out; or `transport`, and the host pulls the image",
        )  # fmt: skip
    if isinstance(document.get("load"), list) and "locustfile" in document.get("performance", {}):
        raise reader.error(
            "`load` and `performance.locustfile` both say what the load test's users send",
            "load",
            hint="keep one",
        )
    runs = document.get("functional", {}).get("in", [])
    for environment, checks, path in _demands(document):
        if document.get("load") == NONE and LOAD in checks:
            message = f"{LOAD} is required, and `{NO_LOAD}` switches it off"
            raise reader.error(message, *path, hint=f"take {LOAD} out, or remove `{NO_LOAD}`")
        if runs and FUNCTIONAL in checks and environment not in runs:
            where, alone = environment or "every environment", ", ".join(runs)
            raise reader.error(
                f"{FUNCTIONAL} is required in {where}, and the functional test runs in {alone} alone",
                "functional", "in",
                hint="name the environments in one place: `in:` of the functional test requires it there",
            )  # fmt: skip


def _demands(document: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str], tuple[str, ...]]]:
    """Yield an environment, empty for every one, the checks required there, and the entry that says so."""
    yield "", document.get("required_checks", ()), ("required_checks",)
    for name, checks in document.get("required_checks_in", {}).items():
        yield name, checks, ("required_checks_in", name)
    for name, entry in document.get(environments.KEY, {}).items():
        yield name, (entry or {}).get("required_checks", ()), (environments.KEY, name, "required_checks")


@cache
def _validator() -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - loaded where something is checked

    return Draft202012Validator(
        json.loads(files("kickoff").joinpath("service.schema.json").read_text("utf-8"))
    )
