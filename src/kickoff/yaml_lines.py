"""YAML that people write: its content, and the lines of its entries for errors that name them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import yaml

from kickoff.errors import KickoffError


def load(text: str, source: str, *, hint: str = "") -> Any:  # noqa: ANN401 - what YAML can hold
    """Return the content of a YAML text.

    Args:
        text: The YAML.
        source: Its file, for the error.
        hint: The fix that the error names.

    Raises:
        KickoffError: It is not YAML, or a value in it cannot be; names file and line (exit 2).
    """
    try:
        return yaml.load(text, yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line, problem = error.problem_mark.line + 1 if error.problem_mark else 1, error.problem
    except yaml.reader.ReaderError as error:  # has a place in bytes, and no line
        line, problem = text.encode("utf-8")[: error.position].count(b"\n") + 1, str(error.reason)
    except ValueError as error:  # as a date of no calendar
        line, problem = 1, str(error)
    raise KickoffError(f"{source} is not YAML: {problem}", at=f"{source}:{line}", hint=hint)


def line_of(text: str, path: Sequence[str | int]) -> int:
    """Return the 1-based line of the node at ``path``, or of its nearest existing parent."""
    node = _compose(text)
    line = 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            match = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if match is None:
                break
            line, node = match[0].start_mark.line + 1, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return int(line)


@lru_cache(maxsize=2)
def _compose(text: str) -> yaml.Node | None:
    return yaml.compose(text, Loader=yaml.CSafeLoader)
