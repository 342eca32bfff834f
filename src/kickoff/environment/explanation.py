"""One key explained: what the schema says of it, and its value in each environment with its origin."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from kickoff.environment import loader, reference
from kickoff.environment.comparison import as_shown, display
from kickoff.environment.schema import Key, Schema


def about(key: Key, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield what the schema says of a key, as title and text: kind, limits, defaults by class, rules."""
    yield "kind", key.kind
    limits = reference.limits(key.rules)
    if limits:
        yield "must be", limits
    yield "example", key.example
    for kind in schema.classes:
        default = key.default(kind)
        if default is not None:
            yield f"in {kind}", f"{as_shown(key, default[0])} by default"
    yield "read by", "the pipeline" if key.owner == "pipeline" else "the service"
    if key.audience == "service":
        yield "given to", "the service"
    yield "described", schema.described_at(key)
    yield "across", _ACROSS[key.across]
    yield "since", key.rules["x-since"]
    for rule in [*schema.conditions, *schema.comparisons]:
        if f'"{key.name}"' in json.dumps(rule):
            yield f"rule {rule['x-rule']}", rule["x-message"]


_ACROSS = {
    "same": "the same in every environment",
    "differ": "every environment has its own",
    "may-differ": "may differ between environments",
    "own": "every environment's own, also of one that mirrors another",
    "secret": "secret: never shown, never in a file",
}


def values(key: Key, root: Path, schema: Schema, environ: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield for each environment its name, the value as it may be shown, and the place that it comes from."""
    for name in loader.available(root):
        one = loader.inspect(name, root, schema, environ, with_secrets=False)
        yield [name, display(key, one), one.origin(key)]
