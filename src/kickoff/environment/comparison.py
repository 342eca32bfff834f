"""Environments compared: what must be the same, must differ, or mirrors another one; pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from kickoff.environment.env_file import shown
from kickoff.environment.findings import Finding
from kickoff.environment.schema import Key, Schema
from kickoff.environment.validation import Checked

_REFERENCE = "production"


@dataclass(frozen=True, slots=True)
class Difference:
    """One key whose value differs between two environments.

    Attributes:
        key: The key.
        left: Its value in the first, redacted.
        right: Its value in the second, redacted.
        across: What the schema says of the key.
    """

    key: str
    left: str
    right: str
    across: str


def compare(schema: Schema, environments: Mapping[str, Checked]) -> list[Finding]:
    """Return what breaks a key's class across all of ``environments``."""
    found = []
    names = sorted(environments, key=lambda name: (name != _REFERENCE, name))
    for key in schema.keys.values():
        having = [one for name in names if key.name in (one := environments[name]).typed and _sound(key, one)]
        if key.across == "same" and having:
            found += [
                _not_same(key, other, having[0]) for other in having[1:] if _differ(key, other, having[0])
            ]
        if key.across == "differ":
            found += [_not_different(key, b, a) for a, b in combinations(having, 2) if not _differ(key, a, b)]
    for copy, original in schema.mirrors.items():
        if copy in environments and original in environments:
            found += _mirror(schema, environments[copy], environments[original])
    return sorted(set(found))


def differences(schema: Schema, left: Checked, right: Checked) -> list[Difference]:
    """Return the keys that differ between two environments; secrets by the form of their reference."""
    return [
        Difference(key.name, display(key, left), display(key, right), key.across)
        for key in schema.keys.values()
        if _text(key, left) != _text(key, right)
        and (key.secret or _differ(key, left, right) or key.name not in left.typed)
    ]


def display(key: Key, checked: Checked) -> str:
    """Return a key's value as it may be shown: a secret only by where it comes from."""
    entry = checked.entries.get(key.name)
    if entry is None:
        return "(missing)"
    return "(looks like a secret)" if entry.looks_secret and not key.secret else as_shown(key, entry.text)


def as_shown(key: Key, text: str) -> str:
    """Return the text of a value as it may be shown: a secret only by where it comes from."""
    if text and key.secret:
        return "(secret, with a default)" if ":-" in text else "(secret)"
    return text or "(empty)"


def _text(key: Key, checked: Checked) -> str | None:
    entry = checked.entries.get(key.name)
    return entry.text if entry else None


def _differ(key: Key, a: Checked, b: Checked) -> bool:
    return bool(a.typed.get(key.name) != b.typed.get(key.name))


def _sound(key: Key, checked: Checked) -> bool:
    # A value that is wrong by itself is reported there; comparing it would advise to copy it.
    entry = checked.entries.get(key.name)
    wrong = any(finding.key == key.name for finding in checked.findings)
    return entry is not None and not entry.looks_secret and not wrong


def _finding(key: Key, checked: Checked, rule: str, message: str, fix: str) -> Finding:
    return Finding(checked.source.file, *checked.place(key.name), rule, key.name, message, fix)


def _not_same(key: Key, here: Checked, there: Checked) -> Finding:
    return _finding(
        key,
        here,
        "must-be-same",
        f"{key.name} is {shown(display(key, here))} here and {shown(display(key, there))} in {there.name}"
        f" ({there.origin(key)}); it must be the same in every environment",
        f"write {key.name}={display(key, there)}, or change both",
    )


def _not_different(key: Key, here: Checked, there: Checked) -> Finding:
    return _finding(
        key,
        here,
        "must-differ",
        f"{key.name} is {shown(display(key, here))} here and in {there.name} ({there.origin(key)});"
        " every environment needs its own",
        "choose another value",
    )


def _mirror(schema: Schema, copy: Checked, original: Checked) -> list[Finding]:
    return [
        _finding(
            key,
            copy,
            "must-mirror",
            f"{key.name} is {shown(display(key, copy))} here and {shown(display(key, original))} in"
            f" {original.name} ({original.origin(key)}), which {copy.name} mirrors",
            f"write {key.name}={display(key, original)}",
        )
        for key in schema.keys.values()
        if key.across == "may-differ"
        and _sound(key, original)
        and _sound(key, copy)
        and _differ(key, copy, original)
    ]
