"""Lines of a YAML file's entries, for errors that name the line."""

from collections.abc import Sequence
from functools import lru_cache

import yaml


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
    return yaml.compose(text, Loader=yaml.SafeLoader)
