"""Comparison of what runs on a target with the environment's file; pure functions on keyed hashes.

Both sides hash their values with one random key that is made for the comparison and then forgotten, so that
no value of the target reaches the one who compares, and no hash is worth keeping.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kickoff.environment import secret_detection
from kickoff.environment.findings import Finding
from kickoff.environment.schema import Schema
from kickoff.environment.validation import Checked


@dataclass(frozen=True, slots=True)
class Running:
    """Content of a target; hashes from :func:`fingerprints` under the caller's key, never values.

    Attributes:
        release: Id of the live release.
        environment_hash: Hash of the environment the release was made with (:attr:`Environment.hash`).
        variables: Values of the variables that the engine provides on this target, as plain text.
        places: Hashes by key, in the order in which a value travels: what the release recorded, what its
            process is started with, what the process has.
        added: Names that the target adds to every process, and no release records.
        proxy: Hashes of the keys that the proxy, and not the release, was given.
    """

    release: str
    environment_hash: str
    variables: Mapping[str, str]
    places: Mapping[str, Mapping[str, str]]
    added: frozenset[str]
    proxy: Mapping[str, str]


Reader = Callable[[Path, str, bytes], Running]
"""Reads what runs: project folder, environment, key of the hashes."""


def fingerprints(values: Mapping[str, str], secret: bytes) -> dict[str, str]:
    """Return a hash of each value under ``secret``, by key; equal values of two keys hash differently."""
    return {
        key: hmac.new(secret, f"{key}\0{value}".encode(), "sha256").hexdigest()
        for key, value in values.items()
    }


def compare(
    checked: Checked, schema: Schema, running: Running, secret: bytes, *, released: bool
) -> list[Finding]:
    """Return a finding for each key that is not everywhere what the file says.

    A key whose value in the file is unknown (a secret that is not given here, a broken line) is compared
    between the places of the target alone.

    Args:
        checked: The environment's file, with its values under the target's ``variables``.
        schema: Tells which keys a release is given.
        running: What runs.
        secret: The key of the hashes.
        released: Whether the file and its secrets are known to be what was released.
    """
    known = fingerprints(checked.values, secret)
    given = {key.name for key in schema.keys.values() if key.audience == "service"}
    found = []
    for name in sorted(given.union(*running.places.values())):
        # What the target adds is in no record: it begins with the start file.
        prints = {
            place: values.get(name)
            for index, (place, values) in enumerate(running.places.items())
            if index or name not in running.added
        }
        wanted = known.get(name, next(iter(prints.values())))
        places = [place for place, value in prints.items() if value != wanted]
        if places:
            by_hand = released or len(places) < len(running.places)
            found.append(_finding(checked, running, name, places if by_hand else []))
    found += [
        _finding(checked, running, name, ["the proxy"] if released else [])
        for name, value in running.proxy.items()
        if known.get(name, value) != value
    ]
    return sorted(found)


def _finding(checked: Checked, running: Running, name: str, places: list[str]) -> Finding:
    shown = name if secret_detection.is_name(name) else "a variable"
    if places:
        rule = "drift-by-hand"
        message = f"{shown} was changed on the target, in {' and '.join(places)} of {running.release}"
        fix = "put it back on the target, or make the change in the file or the secret and deploy"
    else:
        rule = "drift-undeployed"
        message = f"{shown} is not what runs as {running.release}"
        fix = "deploy, so that it takes effect, or take the change back"
    key = shown if name in checked.entries else ""
    return Finding(checked.source.file, *checked.place(name), rule, key, message, fix)
