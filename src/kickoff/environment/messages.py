"""Messages for broken JSON Schema keywords.

Only the schema's words are used: jsonschema's own messages quote the value, which may be a secret.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from kickoff.environment import values

if TYPE_CHECKING:
    from jsonschema import ValidationError

_Rules = Mapping[str, Any]
_Words = Callable[["ValidationError", _Rules], tuple[str, str]]


def explain(error: "ValidationError", rules: _Rules) -> tuple[str, str, str]:
    """Return rule, message and fix for a value that breaks a keyword of its key.

    Args:
        error: What jsonschema found.
        rules: The key's JSON Schema.
    """
    rule, words = _KEYWORDS.get(str(error.validator), ("value", _form))
    message, fix = words(error, rules)
    return rule, message, fix


def _expects(rules: _Rules) -> str:
    return str(rules.get("x-expects", f"a value such as {rules['examples'][0]}"))


def _form(_error: "ValidationError", rules: _Rules) -> tuple[str, str]:
    return "does not have the right form", f"write {_expects(rules)}"


def _enum(error: "ValidationError", _rules: _Rules) -> tuple[str, str]:
    limit: Any = error.validator_value
    allowed = [str(one) for one in limit]
    near = get_close_matches(str(error.instance), allowed, 1)
    listed = ", ".join(allowed)
    return "is not allowed", f"write {near[0]}; allowed are {listed}" if near else f"write one of {listed}"


def _bound(message: str, words: str) -> _Words:
    def render(error: "ValidationError", rules: _Rules) -> tuple[str, str]:
        limit: Any = error.validator_value
        return message, f"write {words} {values.render(limit, rules.get('x-unit', ''))}"

    return render


def _amount(message: str, fix: str) -> _Words:
    def render(error: "ValidationError", _rules: _Rules) -> tuple[str, str]:
        return f"{message} {error.validator_value}", f"{fix} {error.validator_value}"

    return render


def _contains(error: "ValidationError", rules: _Rules) -> tuple[str, str]:
    limit = error.validator_value
    example = rules["examples"][0]
    wanted = limit.get("const", example) if isinstance(limit, Mapping) else example
    return f"lacks {wanted}", f"add {wanted}, e.g. {example}"


def _twice(_error: "ValidationError", _rules: _Rules) -> tuple[str, str]:
    return "names an entry twice", "remove the second one"


_KEYWORDS: Mapping[str, tuple[str, _Words]] = {
    "enum": ("allowed-values", _enum),
    "minimum": ("range", _bound("is too small", "at least")),
    "exclusiveMinimum": ("range", _bound("is too small", "more than")),
    "maximum": ("range", _bound("is too large", "at most")),
    "exclusiveMaximum": ("range", _bound("is too large", "less than")),
    "minLength": ("length", _amount("has fewer characters than", "the fewest characters are")),
    "maxLength": ("length", _amount("has more characters than", "the most characters are")),
    "minItems": ("length", _amount("has fewer entries than", "the fewest entries are")),
    "maxItems": ("length", _amount("has more entries than", "the most entries are")),
    "pattern": ("format", _form),
    "uniqueItems": ("entries", _twice),
    "contains": ("entries", _contains),
}
