"""One environment file against the schema: findings and, where possible, values."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kickoff.environment import secret_detection, values
from kickoff.environment.env_file import Entry, Source, control_character, shown
from kickoff.environment.expansion import ExpansionError, Reference, Resolver
from kickoff.environment.findings import Finding
from kickoff.environment.messages import explain
from kickoff.environment.schema import CLASS_KEY, FILE, NAME_KEY, Key, Origin, Schema
from kickoff.errors import KickoffError

if TYPE_CHECKING:
    from jsonschema import ValidationError

_Secrets = Callable[[str], str | None]
_FOR_ONE_RELEASE = {"PERF_ALLOW_ONCE": "give it to one release: kickoff deploy --perf-allow-once 'WHY 15 %'"}


@dataclass(slots=True)
class Checked:
    """The outcome of a check.

    Attributes:
        name: The environment.
        source: The file.
        kind: The environment's class.
        entries: Assignments by key in the order of the schema: those of the file, and defaults for the rest.
        values: Expanded values by key, as far as they are known and readable; without the class, whose
            effect is in the other values.
        typed: The same, converted: seconds, fractions, bytes, lists; with the class.
        deferred: Secrets that the file only refers to and that were not looked up or are not set.
        findings: Everything that is wrong, in the order of the file.
    """

    name: str
    source: Source
    kind: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    typed: dict[str, Any] = field(default_factory=dict)
    deferred: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def place(self, key: str) -> tuple[int, int]:
        """Return line and column of a value in the file; of its last line where it stands in none."""
        entry = self.source.entries.get(key)
        return (entry.line, entry.value_column) if entry else (self.source.lines, 1)

    def origin(self, key: Key) -> str:
        """Return where a key's value comes from: the file's line, or which default."""
        entry = self.entries.get(key.name)
        if entry is None:
            return self.source.file
        return {
            Origin.FILE: f"{self.source.file}:{entry.line}",
            Origin.NAME: "the file's name",
            Origin.CLASS: f"default of class {self.kind}",
            Origin.DEFAULT: f"default of the {key.owner}",
        }[entry.origin]


def check(
    name: str, source: Source, schema: Schema, runtime: Mapping[str, str], secrets: _Secrets | None
) -> Checked:
    """Check one file.

    Args:
        name: The environment's name, from the file's name.
        source: The file's content.
        schema: What it must hold.
        runtime: Values of the variables the engine provides.
        secrets: Looks a secret up; ``None`` checks the file alone, and then a reference is enough.

    Raises:
        KickoffError: The schema itself cannot be applied.
    """
    return _Check(name, source, schema, runtime, secrets).run()


class _Check:
    def __init__(
        self, name: str, source: Source, schema: Schema, runtime: Mapping[str, str], secrets: _Secrets | None
    ) -> None:
        self._schema = schema
        self._runtime = runtime
        self._secrets = secrets
        self._result = Checked(name, source)
        self._entries = self._result.entries
        self._found: set[tuple[str, str]] = set()

    def run(self) -> Checked:
        self._result.kind = kind = self._class()
        self._fill(kind)
        self._names()
        for key, entry in self._entries.items():
            if self._schema.keys[key].secret:
                self._secret_form(key, entry)
            else:
                self._secret_references(key, entry)
        self._expand()
        for key, text in self._result.values.items():
            self._read(self._schema.keys[key], text)
        self._name()
        self._rules()
        self._comparisons()
        self._result.values.pop(CLASS_KEY, None)
        self._result.findings = sorted({*self._result.findings, *self._result.source.findings})
        return self._result

    def _add(self, key: str, rule: str, message: str, fix: str, offset: int = 0, *, place: str = "") -> None:
        # The first problem of a key is the cause; what follows from it would only hide it.
        if (key, rule) in self._found:
            return
        self._found.add((key, rule))
        line, column = self._result.place(place or key)
        column += offset if self._stated(key) else 0
        file = self._result.source.file
        self._result.findings.append(Finding(file, line, column, rule, key, message, fix))

    def _stated(self, key: str) -> Entry | None:
        return self._result.source.entries.get(key)

    def _value(self, key: str) -> str:
        entry = self._entries.get(key)
        if entry is None or entry.looks_secret or self._schema.keys[key].secret:
            return "has a value that"
        return f"{self._is(entry)}, which"

    def _is(self, entry: Entry) -> str:
        if entry.origin in (Origin.CLASS, Origin.DEFAULT):
            described = self._schema.described_at(self._schema.keys[entry.key])
            return f"is {shown(entry.text)} by default ({described})"
        return f"is {shown(entry.text)}"

    def _class(self) -> str:
        """Return the environment's class; the strictest when the file does not say."""
        name, classes = self._result.name, self._schema.classes
        entry = self._stated(CLASS_KEY)
        written = entry.text if entry else ""
        listed = ", ".join(classes)
        if name in classes:
            if entry and written != name:
                message = f"{CLASS_KEY} {self._written(entry)} is not the class that the file is named after"
                self._add(CLASS_KEY, "class-mismatch", message, "remove the line, or rename the file")
            return name
        if written in classes:
            return written
        if entry:
            message = f"{CLASS_KEY} {self._written(entry)} is not allowed"
            self._add(CLASS_KEY, "allowed-values", message, f"write one of {listed}")
        elif CLASS_KEY not in self._result.source.broken:
            message = f"{CLASS_KEY} is missing, and {shown(name)} is not a class"
            self._add(CLASS_KEY, "missing-key", message, f"add {CLASS_KEY}= with one of {listed}")
        return classes[-1]

    @staticmethod
    def _written(entry: Entry) -> str:
        return "has a value that" if entry.looks_secret else f"is {shown(entry.text)}, which"

    def _fill(self, kind: str) -> None:
        given = {NAME_KEY: self._result.name, CLASS_KEY: kind}
        for key in self._schema.keys.values():
            entry = self._stated(key.name)
            if entry is None and key.name not in self._result.source.broken:
                default = (given[key.name], Origin.NAME) if key.name in given else key.default(kind)
                entry = Entry.default(key.name, *default) if default is not None else None
            if entry is not None:
                self._entries[key.name] = entry

    def _names(self) -> None:
        source = self._result.source
        for entry in source.entries.values():
            if entry.key not in self._schema.keys:
                near = get_close_matches(entry.key, self._schema.keys, 1, 0.75)
                fix = f"write {near[0]}" if near else f"remove it, or describe it in {FILE}"
                fix = _FOR_ONE_RELEASE.get(entry.key, fix)
                message = f"{entry.key} is neither a key of the pipeline nor described in {FILE}"
                place = (source.file, entry.line, entry.column)
                self._result.findings.append(Finding(*place, "unknown-key", entry.key, message, fix))
        for name, key in self._schema.keys.items():
            if name not in self._entries and name not in source.broken:
                message = f"{name} is missing, and has no default in class {self._result.kind}"
                self._add(name, "missing-key", message, f"add a line such as {name}={key.example}")

    def _secret_form(self, key: str, entry: Entry) -> None:
        parts = entry.template.parts
        if not parts:
            return
        own = parts[0]
        if len(parts) > 1 or not isinstance(own, Reference) or own.name != key:
            placeholder = secret_detection.is_placeholder(entry.text)
            rule = "placeholder-secret" if placeholder else "secret-in-file"
            message = (
                "holds a placeholder" if placeholder else "is a secret, and the file must only refer to it"
            )
            self._add(key, rule, f"{key} {message}", f"write {key}=${{{key}}} and give it as a secret")
            return
        default = own.default.literals() if own.default else ""
        if secret_detection.is_placeholder(default.strip()):
            self._add(
                key,
                "placeholder-secret",
                f"{key} has a placeholder or a common credential as its default",
                f"write {key}=${{{key}}}",
            )
        elif default and ("://" not in default or secret_detection.credentials(default)[1] is not None):
            self._add(
                key,
                "secret-in-file",
                f"{key} has a default that everybody with the repository can read",
                f"write {key}=${{{key}}}; only an address without a password may be a default",
            )

    def _secret_references(self, key: str, entry: Entry) -> None:
        for reference in entry.template.references():
            target = self._schema.keys.get(reference.name)
            if target is not None and target.secret:
                self._add(
                    key,
                    "secret-reference",
                    f"{key} refers to the secret {reference.name}, and would show it",
                    f'make {key} a secret ("x-across": "secret"), or remove the reference',
                    reference.offset,
                )

    def _expand(self) -> None:
        resolver = Resolver({key: entry.template for key, entry in self._entries.items()}, self._outside)
        refused = {key for key, _ in self._found}
        for key in self._entries:
            if key in refused:
                continue
            try:
                text = resolver.resolve(key)
            except ExpansionError as error:
                self._add(key, error.rule, f"{key}: {error}", error.fix, error.offset)
                continue
            if text is not None:
                self._result.values[key] = text
                continue
            self._result.deferred.add(key)
            if self._secrets is not None and self._schema.keys[key].secret:
                self._add(
                    key,
                    "missing-secret",
                    f"the secret {key} is not set",
                    f"export {key}=…, or set {key}_FILE to the path of a file that holds it",
                )

    def _outside(self, key: str, name: str) -> str | None:
        if name == key:
            if not self._schema.keys[key].secret:
                raise ExpansionError(
                    "cycle",
                    f"the key refers to itself: {key} → {key}",
                    "write the value; only secrets come from the process environment",
                )
            return self._secrets(key) if self._secrets is not None else None
        if name in self._runtime:
            return self._runtime[name]
        if name in self._schema.keys:
            return None  # reported as missing already
        provided = ", ".join(self._runtime) or "none"
        shown_name = name if secret_detection.is_name(name) else "a name"
        raise ExpansionError(
            "unknown-variable",
            f"it refers to {shown_name}, neither a key of this file nor provided to a release",
            f"refer to a key of this file or to a provided variable ({provided})",
        )

    def _read(self, key: Key, text: str) -> None:
        if text == "":
            if not key.may_be_empty:
                self._add(
                    key.name, "empty-value", f"{key.name} is empty", f"write a value such as {key.example}"
                )
            return
        if self._refuse_text(key, text):
            return
        try:
            typed = values.convert(text, key.rules)
        except values.UnreadableValueError as error:
            self._add(
                key.name, "type", f"{key.name} {self._value(key.name)} {error}", f"write {error.expects}"
            )
            return
        self._result.typed[key.name] = typed
        if key.rules.get("x-increasing") and any(a >= b for a, b in pairwise(typed)):
            self._add(
                key.name,
                "order",
                f"{key.name} {self._value(key.name)} does not increase from entry to entry",
                f"sort it, e.g. {key.example}",
            )

    def _refuse_text(self, key: Key, text: str) -> bool:
        control = control_character(text)
        if control:
            self._add(
                key.name,
                "control-character",
                f"{key.name} holds the control character {control}",
                "give it on one line, in printable characters",
            )
        elif key.secret and secret_detection.is_placeholder(text):
            self._add(
                key.name,
                "placeholder-secret",
                f"{key.name} holds a placeholder or a common credential",
                "give a random one, e.g. from `openssl rand -hex 24`",
            )
        return bool(control)

    def _name(self) -> None:
        name = self._result.name
        written = self._result.typed.get(NAME_KEY)
        if written is not None and written != name:
            self._add(
                NAME_KEY,
                "name-mismatch",
                f"{NAME_KEY} {self._value(NAME_KEY)} is not the file's name",
                f"write {NAME_KEY}={name}",
            )

    def _rules(self) -> None:
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - loaded where something is checked

        # The file's name decides which rules apply: a mistyped APP_ENV must not switch them off.
        typed = dict(self._result.typed)
        if NAME_KEY not in self._result.source.broken:
            typed[NAME_KEY] = self._result.name
        typed[CLASS_KEY] = self._result.kind
        try:
            errors = list(self._schema.validator.iter_errors(typed))
        except (re.error, Unresolvable, RecursionError) as reason:
            raise KickoffError(
                f"{FILE} cannot be applied: {reason}",
                at=str(FILE),
                hint="correct its patterns and references",
            ) from None
        for error in errors:
            path = list(error.absolute_schema_path)
            rule = self._schema.conditions[int(path[1])] if path[0] == "allOf" else None
            for key in self._concerned(error):
                if rule is not None:
                    self._conditional(key, rule, error)
                elif error.validator != "required":
                    self._plain(key, error)

    def _concerned(self, error: "ValidationError") -> list[str]:
        if error.absolute_path:
            return [str(error.absolute_path[0])]
        if error.validator != "required" or not isinstance(error.validator_value, list):
            return []
        names = [str(name) for name in error.validator_value]
        unreadable = self._result.deferred | self._result.source.broken | {key for key, _ in self._found}
        return [name for name in names if name not in self._result.typed and name not in unreadable]

    def _conditional(self, key: str, rule: Mapping[str, Any], error: "ValidationError") -> None:
        found = f"{key} is empty" if error.validator == "required" else self._found_text(key)
        self._add(key, rule["x-rule"], f"{found}: {rule['x-message']}", rule["x-fix"])

    def _found_text(self, key: str) -> str:
        entry = self._entries.get(key)
        if entry is None or entry.looks_secret or self._schema.keys[key].secret:
            return f"{key} breaks a rule"
        return f"{key} {self._is(entry)}"

    def _plain(self, key: str, error: "ValidationError") -> None:
        if key not in self._entries:
            return
        rule, message, fix = explain(error, self._schema.keys[key].rules)
        self._add(key, rule, f"{key} {self._value(key)} {message}", fix)

    def _comparisons(self) -> None:
        typed = self._result.typed
        for rule in self._schema.comparisons:
            left, right = rule["left"], rule["right"]
            if left not in typed or right not in typed:
                continue
            a, b = typed[left], typed[right]
            if a < b or (a == b and rule["operator"] == "<="):
                continue
            wanted = "at most" if rule["operator"] == "<=" else "less than"
            self._add(
                left,
                rule["x-rule"],
                f"{self._found_text(left)}, and must be {wanted} {right}"
                f" ({shown(self._entries[right].text)}): {rule['x-message']}",
                rule["x-fix"],
                place=left if self._stated(left) else right,
            )
