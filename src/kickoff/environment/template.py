"""The file of a new environment, written from the schema; pure functions."""

from collections.abc import Mapping

from kickoff.environment.schema import CLASS_KEY, NAME_KEY, Key, Schema
from kickoff.environment.validation import Checked

# Ports of neighbours stay apart, so that a service may use a few more beside its public one.
_STEP = 100


def template(name: str, schema: Schema, others: Mapping[str, Checked]) -> str:
    """Return a file that is valid as it stands: what has no default, and the rest as comments.

    Args:
        name: The new environment; one that is not named after a class gets the strictest.
        schema: What the file may hold.
        others: The environments there are: shared values and free numbers come from them.
    """
    named = name in schema.classes
    kind = name if named else schema.classes[-1]
    lines = [f"# The environment {name}: what differs from the defaults of its class."]
    lines += [] if named else ["", *_described(schema.keys[CLASS_KEY]), f"{CLASS_KEY}={kind}"]
    keys = [key for key in schema.keys.values() if key.name not in (NAME_KEY, CLASS_KEY)]
    stated = {key.name: text for key in keys if (text := _stated(key, kind, others)) is not None}
    for key in keys:
        if key.name in stated:
            lines += ["", *_described(key), f"{key.name}={stated[key.name]}"]
    lines += ["", f"# Defaults of class {kind}; take the # away from a line to change its value."]
    for key in keys:
        default = key.default(kind)
        if default is not None and key.name not in stated:
            lines += ["", *_described(key), f"# {key.name}={default[0]}"]
    return "\n".join(lines) + "\n"


def _described(key: Key) -> list[str]:
    notes = [key.kind]
    notes += [f"one of {', '.join(map(str, key.rules['enum']))}"] if "enum" in key.rules else []
    notes += ["may be empty"] if key.may_be_empty else []
    notes += ["secret, only a reference stands here"] if key.secret else []
    return [f"# {key.description} [{'; '.join(notes)}]"]


def _stated(key: Key, kind: str, others: Mapping[str, Checked]) -> str | None:
    """Return the value that the file must state; ``None`` where the default does."""
    having = [one for one in others.values() if key.name in one.typed]
    default = key.default(kind)
    if key.across == "same" and having:
        text = having[0].entries[key.name].text
        return text if default is None or text != default[0] else None
    if key.across == "differ" and having and key.rules["type"] == "integer":
        return str(max(one.typed[key.name] for one in having) + _STEP)
    if default is not None:
        return None
    return "" if key.may_be_empty else key.example
