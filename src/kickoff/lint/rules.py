"""The rules of the linter: ``rules.yml``, read."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        id: Its name in findings and exceptions.
        title: One line about it.
        why: What it leads to.
        fix: What to write instead.
        bad: Examples that it finds.
        good: Examples that no rule finds anything in.
    """

    id: str
    title: str
    why: str
    fix: str
    bad: tuple[str, ...]
    good: tuple[str, ...]


@cache
def load() -> dict[str, Rule]:
    """Return the rules by id, in the order of the documentation."""
    text = files("kickoff.lint").joinpath("rules.yml").read_text(encoding="utf-8")
    table = yaml.load(text, yaml.CSafeLoader)
    return {
        name: Rule(name, one["title"], one["why"], one["fix"], tuple(one["bad"]), tuple(one["good"]))
        for name, one in table.items()
    }


def as_workflow(example: str) -> str:
    """Return an example of a rule as a whole workflow."""
    if example.startswith(("-", "#")):
        steps = "".join(f"      {line}\n" if line else "\n" for line in example.splitlines())
        example = f"jobs:\n  deploy:\n    runs-on: ubuntu-24.04\n    steps:\n{steps}"
    return example if example.startswith("on:") else f"on: push\n{example}"
