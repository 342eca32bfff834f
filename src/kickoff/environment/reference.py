"""``docs/reference/environments.md``, written from the schemas."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from kickoff.environment import values
from kickoff.environment.schema import CLASS_KEY, NAME_KEY, Key, Schema

PAGE = Path("docs/reference/environments.md")


def render(schema: Schema) -> str:
    """Return the page."""
    parts = [files("kickoff.environment").joinpath("reference.md").read_text("utf-8")]
    for copy, original in schema.mirrors.items():
        parts.append(
            f"`{copy}` mirrors `{original}`: keys that may differ must not differ between these two; "
            "those that are `own` may.\n"
        )
    for owner, title in _TITLES.items():
        keys = [key for key in schema.keys.values() if key.owner == owner]
        parts += [_keys(title, keys, schema), _defaults(keys, schema)] if keys else []
    parts.append(_runtime(schema))
    parts.append(_rules(schema))
    return "\n".join(part for part in parts if part)


_TITLES = {"pipeline": "Keys of the pipeline", "service": "Keys of this repository's service"}


def limits(rules: Mapping[str, Any]) -> str:
    """Return what a key's value must be beside its kind, in words; empty if there is nothing to say."""
    unit = rules.get("x-unit", "")
    unit = unit if unit in ("duration", "percent", "bytes") else ""
    found = []
    if "enum" in rules:
        found.append("one of " + ", ".join(f"`{value}`" for value in rules["enum"]))
    bounds = (
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
    )
    for source, subject in ((rules, ""), (rules.get("items", {}), "each ")):
        found += [
            f"{subject}{words} {values.render(source[name], unit)}"
            for name, words in bounds
            if name in source
        ]
    if "minLength" in rules:
        found.append(f"at least {rules['minLength']} characters")
    if "maxLength" in rules:
        found.append(f"at most {rules['maxLength']} characters")
    if rules.get("x-increasing"):
        found.append("increasing")
    if "const" in rules.get("contains", {}):
        found.append(f"contains {rules['contains']['const']}")
    if "x-expects" in rules:
        found.append(rules["x-expects"])
    if rules.get("x-empty"):
        found.append("may be empty")
    return "; ".join(found)


def _keys(title: str, keys: Sequence[Key], schema: Schema) -> str:
    lines = [
        f"## {title}",
        "",
        f"They are described in `{schema.described_at(keys[0]).partition(':')[0]}`.",
        "",
        "| Key | Meaning | Kind | Must be | Example | Across | Since |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{key.name}` | {_cell(_meaning(key))} | {key.kind} | {_cell(limits(key.rules))}"
        f" | `{_cell(key.example)}` | {key.across.replace('-', ' ')} | {key.rules['x-since']} |"
        for key in keys
    ]
    return "\n".join(lines) + "\n"


def _meaning(key: Key) -> str:
    given = key.owner == "pipeline" and key.audience == "service"
    return key.description + (" The service is given it, too." if given else "") + _judging(key)


def _judging(key: Key) -> str:
    """Return that a release is judged by a key, and which of two values judges less."""
    weaker = str(key.rules.get("x-weaker", ""))
    if not weaker:
        return ""
    named = {"earlier": 0, "later": -1}
    if weaker in named:
        less = f"`{key.rules['enum'][named[weaker]]}` judges less"
    else:
        less = {"fewer": "fewer entries judge less", "unclear": ""}.get(
            weaker, f"a {weaker} value judges less"
        )
    return f" Judges a release{less and f': {less}'}."


def _defaults(keys: Sequence[Key], schema: Schema) -> str:
    classes = schema.classes
    lines = [
        f"| Default in class | {' | '.join(classes)} |",
        f"| --- |{' --- |' * len(classes)}",
    ]
    lines += [f"| `{key.name}` | {' | '.join(_default(key, kind) for kind in classes)} |" for key in keys]
    return "\n".join(lines) + "\n"


def _default(key: Key, kind: str) -> str:
    if key.name in (NAME_KEY, CLASS_KEY):
        return "the file's name"
    default = key.default(kind)
    if default is None:
        return "none: each file states it"
    return f"`{_cell(default[0])}`" if default[0] else "empty"


def _runtime(schema: Schema) -> str:
    if not schema.runtime:
        return ""
    lines = [
        "## Variables provided when a release starts",
        "",
        "| Variable | Meaning | Otherwise |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| `{name}` | {_cell(rule['description'])} | `{rule['default']}` |"
        for name, rule in schema.runtime.items()
    ]
    return "\n".join(lines) + "\n"


def _rules(schema: Schema) -> str:
    rules = [*schema.conditions, *schema.comparisons]
    lines = ["## Rules between keys", "", "| Rule | Why | Fix |", "| --- | --- | --- |"]
    lines += [f"| {rule['x-rule']} | {_cell(rule['x-message'])} | {_cell(rule['x-fix'])} |" for rule in rules]
    if not rules:
        lines = []
    general = [
        "## Rules for every file",
        "",
        "| Rule | Refuses |",
        "| --- | --- |",
        *(f"| {name} | {text} |" for name, text in GENERAL.items()),
    ]
    return "\n".join([*lines, "", *general] if lines else general) + "\n"


GENERAL = {
    "syntax": "a line that is no assignment, an open quote, `export`, spaces around `=`",
    "encoding": "bytes that are not UTF-8",
    "file-name": "a file whose name is no environment's name",
    "key-name": "a key that is not in capital letters, digits and underscores",
    "duplicate-key": "a key assigned twice",
    "unknown-key": "a key that neither the pipeline nor the service's schema describes",
    "missing-key": "a key without a default in this class that the file lacks, or a class that nothing tells",
    "class-mismatch": "another class than the one that the file is named after",
    "empty-value": "no value where one is needed",
    "control-character": "line breaks, tabs and other characters that cannot be seen",
    "type": "a value of another kind, or without its unit",
    "allowed-values": "a value that is not among the allowed ones",
    "range": "a number outside the limits",
    "length": "a text or list that is too short or too long",
    "format": "a text of the wrong form",
    "entries": "a list with an entry twice, or without one it needs",
    "order": "a list that must increase and does not",
    "value": "a value that breaks another keyword of the schema",
    "name-mismatch": "an `APP_ENV` that is not the file's name",
    "expansion": "a reference that cannot be read, or a value that grows without measure",
    "unknown-variable": "a reference to what is neither a key nor provided",
    "cycle": "keys that refer to each other in a circle",
    "secret-in-file": "a secret, or what looks like one, anywhere in the file",
    "placeholder-secret": "a secret nobody has filled in, or a credential everybody tries first",
    "secret-reference": "a key that would show a secret it refers to",
    "secret-source": "a secret given twice, or a file of secrets that cannot be read or decrypted",
    "sealed-file": "a `<name>.secrets.json` that sops has not encrypted, or that holds what is no secret",
    "missing-secret": "a secret that is not set where it is needed",
    "must-be-same": "different values of a key marked *same*",
    "must-differ": "equal values of a key marked *differ*",
    "must-mirror": "a value that differs from the environment that is mirrored",
    "drift-undeployed": "a value of the file or of a secret that is not what runs",
    "drift-by-hand": "a value that was changed on the target, past the file",
}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
