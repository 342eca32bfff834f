"""A compose file's declaration of what a host needs: ``x-kickoff``, external networks and secret files."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from kickoff.environment import schema, secret_source
from kickoff.errors import KickoffError
from kickoff.stack.compose import file_of, source_of
from kickoff.yaml_lines import line_of

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

BLOCK = "x-kickoff"
PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
"""A secret's place in the form of another one."""
_REFERENCE = "docs/reference/stack.md"
_PUBLIC = (8080, 8443)
"""Ports of the proxy's entry points for users in its container."""
_PUBLISHED = re.compile(
    r"(?:(?P<port>[0-9]+)|\$\{(?P<variable>\w+)(?::?-(?P<default>[0-9]+)|:?\?[^}]*)?\}):(?P<inside>[0-9]+)(?:/tcp)?$"
)
_MADE = re.compile(r"\$\{KICKOFF_STACK_DIR\b[^}]*\}/secrets/([a-z][a-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a stack, a file on the host.

    Attributes:
        name: Name of the file.
        key: Variable that gives it; empty when nobody does.
        given: Description of what must be given; empty when it can be made.
        form: Text, or JSON object, with other secrets as ``{name}``; empty for a random one.
        optional: Empty unless it is given, instead of random.
    """

    name: str
    key: str = ""
    given: str = ""
    form: str | Mapping[str, str] = ""
    optional: bool = False

    @property
    def parts(self) -> frozenset[str]:
        """Secrets that the form names."""
        texts = [self.form] if isinstance(self.form, str) else self.form.values()
        return frozenset(name for text in texts for name in PLACE.findall(text))


@dataclass(frozen=True, slots=True)
class Primary:
    """Two servers of one store, of which one may be written.

    Attributes:
        services: Both; the first is the primary at the beginning.
        promote: Command in the container of the other one that makes it the primary.
    """

    services: Sequence[str]
    promote: Sequence[str]


@dataclass(frozen=True, slots=True)
class Restore:
    """The way in which a store gets an earlier state back from its backups.

    Attributes:
        service: Service of a profile of its own. ``recover MOMENT`` makes that state beside the servers and
            proves it; ``install`` puts it in their place, while none runs.
        backup: Service that makes the backups; it stands still meanwhile.
        servers: Servers of the store.
    """

    service: str
    backup: str
    servers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """The way in which one secret is rotated; the former value stays valid until nobody needs it.

    Attributes:
        services: Servers that know the secret; none for one that the service itself compares.
        command: Run in the container of each: makes those values valid that it is given, and no others.
        former: Secret that holds the former value while it is valid, for servers that start meanwhile.
        login: Secret that holds the user's name; empty where the name stays.
        names: The two names, which take turns.
        next: Secret that holds the new value while the service knows both.
    """

    services: Sequence[str] = ()
    command: Sequence[str] = ()
    former: str = ""
    login: str = ""
    names: Sequence[str] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Declaration:
    """Everything that a host needs before the stack comes up.

    Attributes:
        secrets: Secrets by name.
        networks: Networks that containers join and compose does not make.
        files: Templates in the project, by the name of the rendered file.
        names: Variables that hold the public names of the service.
        ports: Public ports on the host: each a variable, empty for none, and its default, 0 for none.
        profiles: Profiles whose services the stack starts, beside those of none.
        primary: The servers of which one may be written; ``None`` for none.
        restore: The way back to an earlier state of the data; ``None`` for none.
        rotations: The way in which a secret is rotated, by its name.
    """

    secrets: Mapping[str, Secret]
    networks: Sequence[str]
    files: Mapping[str, str]
    names: Sequence[str] = ()
    ports: Sequence[tuple[str, int]] = ()
    profiles: Sequence[str] = ()
    primary: Primary | None = None
    restore: Restore | None = None
    rotations: Mapping[str, Rule] = field(default_factory=dict)

    @property
    def logins(self) -> Mapping[str, str]:
        """Names of the files that hold the name of a user, which is no secret, and the first such name."""
        return {rule.login: rule.names[0] for rule in self.rotations.values() if rule.login}

    @property
    def firsts(self) -> Mapping[str, str]:
        """What a secret is at first that is not made at random, by its name."""
        empty = {name for rule in self.rotations.values() for name in (rule.former, rule.next) if name}
        empty |= {secret.name for secret in self.secrets.values() if secret.optional}
        return dict.fromkeys(empty, "") | dict(self.logins)

    @property
    def keys(self) -> Mapping[str, str]:
        """Names of the secrets that can be given, by their variables."""
        return {secret.key: secret.name for secret in self.secrets.values() if secret.key}


NOTHING = Declaration({}, (), {})


def read(root: Path, name: str) -> Declaration:
    """Return the declaration of an environment's stack; an empty one where it has no compose file.

    Raises:
        KickoffError: The compose file is not YAML, or its declaration breaks a rule; names file, line, rule
            and fix (exit code 2).
    """
    path = root / source_of(root, name)
    if not path.is_file():
        return NOTHING
    text = path.read_text(encoding="utf-8")
    found = parse(text, path.name)
    for target, template in found.files.items():
        if not (root / template).is_file():
            message, fix = f"{template} is not a file", "write it, or name another one"
            problem = _Problem((BLOCK, "files", target), "file-template", message, fix)
            raise _refusal(problem, text, path.name)
    return found


def every_key(root: Path) -> set[str]:
    """Return the variables that give a secret to the stack of any environment of a project.

    Raises:
        KickoffError: As :func:`read` does.
    """
    names = [path.name.split(".")[1] for path in root.glob(file_of("*"))]
    return {key for name in names for key in read(root, name).keys}


def every_secret(root: Path) -> set[str]:
    """Return every variable that may give a secret to a deployment of a project.

    They are those of its schema, of the connection and the registry, and of its stacks.

    Raises:
        KickoffError: The schema cannot be used, or as :func:`read` does.
    """
    return {*schema.read(root).secrets, *secret_source.BESIDE_SCHEMA, *every_key(root)}


@cache
def parse(text: str, source: str) -> Declaration:
    """Return the declaration in the text of a compose file; ``source`` names the file in errors.

    Raises:
        KickoffError: As :func:`read` does.
    """
    found = document_of(text, source)
    block = found.get(BLOCK) or {}
    problem = next(_problems(block, found), None)
    if problem is not None:
        raise _refusal(problem, text, source)
    secrets = {name: Secret(name) for name in _mounted(found)}
    secrets |= {name: Secret(name, **entry) for name, entry in block.get("secrets", {}).items()}
    return Declaration(
        secrets,
        tuple(_networks(found).values()),
        block.get("files", {}),
        tuple(block.get("names", ())),
        tuple(_ports(found)),
        tuple(block.get("profiles", ())),
        Primary(**block["primary"]) if "primary" in block else None,
        Restore(**block["restore"]) if "restore" in block else None,
        {name: _rule(entry) for name, entry in block.get("rotate", {}).items()},
    )


def document_of(text: str, source: str) -> dict[str, Any]:
    """Return the content of a compose file as it is written: no variable filled in, nothing taken over.

    Raises:
        KickoffError: It is not YAML (exit 2).
    """
    try:
        document = _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise KickoffError(f"{source} is not YAML: {error.problem}", at=f"{source}:{line}") from None
    return document if isinstance(document, dict) else {}


def _rule(entry: Mapping[str, Any]) -> Rule:
    login = entry.get("login", {})
    given = {key: value for key, value in entry.items() if key != "login"}
    return Rule(**given, login=login.get("secret", ""), names=tuple(login.get("names", ())))


class _Loader(yaml.CSafeLoader):
    """YAML with compose's own tags (``!reset``, ``!override``), which are passed over."""

    def tagged(self, _suffix: str, node: yaml.Node) -> Any:  # noqa: ANN401 - any YAML value
        """Return what stands under a tag."""
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        return node.value


_Loader.add_multi_constructor("!", _Loader.tagged)


class _Problem(NamedTuple):
    path: Sequence[str]
    rule: str
    message: str
    fix: str


def _refusal(problem: _Problem, text: str, source: str) -> KickoffError:
    return KickoffError(
        f"{source}: {'.'.join(problem.path)} is not valid",
        causes=[f"{problem.rule}: {problem.message}"],
        at=f"{source}:{line_of(text, problem.path)}",
        hint=problem.fix,
    )


def _problems(block: Any, document: Mapping[str, Any]) -> Iterator[_Problem]:  # noqa: ANN401 - unchecked YAML
    errors = sorted(_validator().iter_errors(block), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        yield from map(_broken, errors)
        return
    declared = {name: Secret(name, **entry) for name, entry in block.get("secrets", {}).items()}
    mounted = {name: Secret(name) for name in _mounted(document)}
    for secret in declared.values():
        yield from _alone(secret)
        yield from _among(secret, mounted | declared)
    used = mounted.keys() | {part for secret in declared.values() for part in secret.parts}
    for name, secret in declared.items():
        if not secret.key and name not in used:
            fix = f"mount ${{KICKOFF_STACK_DIR}}/secrets/{name}, add `key`, or remove it"
            yield _Problem((BLOCK, "secrets", name), "secret-unused", f"nothing needs {name}", fix)
    for name, entry in block.get("rotate", {}).items():
        yield from _rotated(name, _rule(entry), mounted | declared, document.get("services") or {})
    for key, network in _networks(document).items():
        if "$" in network:
            message = f"{network!r} depends on a variable"
            yield _Problem(("networks", key), "network-name", message, "write the name out")


def _alone(secret: Secret) -> Iterator[_Problem]:
    """Return the problems of a secret that need no look at the others."""
    path = (BLOCK, "secrets", secret.name)
    if secret.form and secret.given:
        message = "`given` says that it cannot be made, `form` how it is made"
        yield _Problem(path, "given-or-made", message, "leave one of them out")
    if secret.key and not isinstance(secret.form, str):
        message = f"{secret.key} cannot give an object"
        yield _Problem(path, "given-or-made", message, "leave `key` out")
    if secret.form and not secret.parts:
        fix = "name a secret as {name}, e.g. {password}"
        yield _Problem((*path, "form"), "form-without-secret", f"{secret.form!r} names no secret", fix)


def _among(secret: Secret, secrets: Mapping[str, Secret]) -> Iterator[_Problem]:
    """Return the problems of a secret with the others of its file."""
    path = (BLOCK, "secrets", secret.name)
    for part in sorted(secret.parts):
        if part not in secrets:
            fix = f"mount ${{KICKOFF_STACK_DIR}}/secrets/{part}, or correct the name"
            yield _Problem((*path, "form"), "form-names-a-secret", f"{{{part}}} is not a secret here", fix)
        elif secrets[part].form:
            message = f"{{{part}}} has a form itself"
            yield _Problem((*path, "form"), "form-of-a-form", message, "name what that one is made of")
    others = [one.name for one in secrets.values() if one.key == secret.key and one.name != secret.name]
    if secret.key and others:
        message = f"{secret.key} gives {others[0]}, too"
        yield _Problem((*path, "key"), "key-twice", message, "name another variable")


def _rotated(
    name: str, rule: Rule, secrets: Mapping[str, Secret], services: Mapping[str, Any]
) -> Iterator[_Problem]:
    """Return the problems of the way in which a secret is rotated."""
    path = (BLOCK, "rotate", name)
    for one in filter(None, (name, rule.former, rule.login, rule.next)):
        if one not in secrets:
            fix = f"mount ${{KICKOFF_STACK_DIR}}/secrets/{one}, or correct the name"
            yield _Problem(path, "rotates-a-secret", f"{one} is not a secret here", fix)
        elif secrets[one].form or secrets[one].given:
            message = f"{one} is made of others, or given by a person"
            yield _Problem(path, "rotates-a-secret", message, "name the secret that it is made of")
    for one in rule.services:
        if one not in services:
            yield _Problem(path, "rotates-on-a-service", f"{one} is not a service here", "correct the name")
    if bool(rule.next) == bool(rule.command):
        fix = "name the servers and their command, or as `next` the second value that the service takes"
        yield _Problem(path, "rotated-by-whom", "either servers compare it, or the service does", fix)


def _broken(error: "ValidationError") -> _Problem:
    """Return the problem that the schema finds, with the fix of the nearest part that has one."""
    fix = ""
    at: Any = error
    while not fix and at is not None:
        fix = at.schema.get("x-fix", "") if isinstance(at.schema, dict) else ""
        at = at.parent
    path = [BLOCK, *map(str, error.absolute_path)]
    if "propertyNames" in error.absolute_schema_path:
        path.append(str(error.instance))
    return _Problem(path, str(error.validator), error.message, fix or f"{_REFERENCE} describes every key")


def _mounted(document: Mapping[str, Any]) -> list[str]:
    """Return the compose secrets whose file is one of the stack's."""
    entries = (document.get("secrets") or {}).values()
    found = [_MADE.fullmatch(str((entry or {}).get("file", ""))) for entry in entries]
    return [match[1] for match in found if match]


def _networks(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the external networks by their keys."""
    entries = {key: entry or {} for key, entry in (document.get("networks") or {}).items()}
    return {
        key: str(entry.get("name", key)) for key, entry in entries.items() if entry.get("external") is True
    }


def _ports(document: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Return the host's ports under which the compose file publishes the proxy's entry points for users."""
    proxy = (document.get("services") or {}).get("traefik") or {}
    for entry in proxy.get("ports") or []:
        long = isinstance(entry, dict)
        found = _PUBLISHED.search(f"{entry.get('published')}:{entry.get('target')}" if long else str(entry))
        if found is not None and int(found["inside"]) in _PUBLIC:
            yield found["variable"] or "", int(found["default"] or found["port"] or 0)


@cache
def _validator() -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - loaded where something is checked

    text = files("kickoff.stack").joinpath("x-kickoff.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))
