"""The file of a new environment, written from the schema; pure functions."""

from collections.abc import Mapping

from kickoff.environment.schema import Key, Schema
from kickoff.environment.validation import NAME_KEY, Checked

# Ports of neighbours stay apart, so that a service may use a few more beside its public one.
_STEP = 100


def template(name: str, schema: Schema, others: Mapping[str, Checked]) -> str:
    """Return a file that is valid as it stands.

    Args:
        name: The new environment.
        schema: What the file must hold.
        others: The environments there are: shared values and free numbers come from them.
    """
    lines = [f"# The environment {name}.", "# Every key is described in docs/reference/environments.md."]
    for key in schema.keys.values():
        lines += ["", f"# {key.description} {_kind(key)}", f"{key.name}={_value(name, key, others)}"]
    return "\n".join(lines) + "\n"


def _kind(key: Key) -> str:
    notes = [key.kind]
    notes += [f"one of {', '.join(map(str, key.rules['enum']))}"] if "enum" in key.rules else []
    notes += ["may be empty"] if key.may_be_empty else []
    notes += ["secret, only a reference stands here"] if key.secret else []
    return f"[{'; '.join(notes)}]"


def _value(name: str, key: Key, others: Mapping[str, Checked]) -> str:
    if key.name == NAME_KEY:
        return name
    having = [one for one in others.values() if key.name in one.typed]
    if key.across == "same" and having:
        return having[0].source.entries[key.name].text
    if key.across == "differ" and having and key.rules["type"] == "integer":
        return str(max(one.typed[key.name] for one in having) + _STEP)
    if "default" in key.rules:
        return str(key.rules["default"])
    return "" if key.may_be_empty else key.example
