"""Templates of generated files, and how a value is written into YAML."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

_PLAIN = re.compile(r"[A-Za-z0-9./_~+][A-Za-z0-9 ./_~+=,@%-]*")
_TEXT = "tag:yaml.org,2002:str"


def fill(template: str, **values: Any) -> str:  # noqa: ANN401 - those of the template
    """Return the text of a template with its values; one that is missing is an error."""
    return _templates().get_template(template).render(**values)


def scalar(value: str) -> str:
    """Return a text as YAML writes it: plain where that is read as the same text, otherwise quoted."""
    if _PLAIN.fullmatch(value.replace("{port}", "0")) and not value.startswith("{"):
        read = yaml.compose(value)
        if isinstance(read, yaml.ScalarNode) and read.tag == _TEXT and read.value == value:
            return value
    return json.dumps(value, ensure_ascii=False)


def flow(value: Any) -> str:  # noqa: ANN401 - what YAML can hold
    """Return a value as YAML's flow style writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    # Within brackets, a brace or a comma ends a plain text.
    if isinstance(value, str) and not re.search(r"[{},\[\]]", value):
        return scalar(value)
    return json.dumps(value, ensure_ascii=False)


@cache
def _templates() -> Environment:
    # GitHub's expressions have the delimiters that Jinja has by default.
    made = Environment(
        loader=PackageLoader("kickoff.project"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - not HTML
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<%=",
        variable_end_string="%>",
        comment_start_string="<%#",
        comment_end_string="%>",
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"flow": flow, "json": json.dumps, "scalar": scalar}
    return made
