"""The product has no word of the service that it ships here: neither its name nor what its stack is made of."""

import re
import subprocess
from pathlib import Path

import pytest

from app.storage import tables
from kickoff import service, stack
from kickoff.environment import schema
from tests.unit.stack.stack_support import STACKS

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("src", "scripts", "actions", ".github/actions")
# Words that any service may have: those of English, and the example of a key in the product's own reference.
COMMON = {"matches", "teams", "api_key"}


def names() -> set[str]:
    """What only the demo is called: its name, tables, networks, secrets, database, user and rendered files."""
    found = {service.load(ROOT).name, *tables.metadata.tables}
    for name in STACKS:
        needs = stack.read(ROOT, name)
        forms = [secret.form for secret in needs.secrets.values() if isinstance(secret.form, str)]
        found |= {*needs.networks, *needs.secrets, *needs.files, *needs.keys}
        found |= {user for form in forms for user in re.findall(r"//(\w+):", form)}
        found |= {base for form in forms for base in re.findall(r"/(\w*[a-z]\w*)(?:\?|$)", form)}
        variables = stack.variables(ROOT, name) - set(schema.read(ROOT).keys)
        found |= {variable for variable in variables if not variable.startswith("KICKOFF_")}
    return {name for name in found if name.lower() not in COMMON}


def spoken(words: set[str]) -> list[str]:
    pattern = "|".join(rf"\b{re.escape(word)}\b" for word in sorted(words))
    command = ["git", "grep", "-nwiP", "-e", pattern, "--", *PRODUCT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def test_the_names_are_those_of_the_demo() -> None:
    expected = {
        "football",
        "predictions",
        "redis_passwords",
        "thresholds.yml",
        "ACME_EMAIL",
    }
    assert expected <= names()


def test_the_product_knows_none_of_them() -> None:
    assert spoken(names()) == []


@pytest.mark.parametrize("word", ["football", "FOOTBALL"])
def test_not_even_within_a_word(word: str) -> None:
    done = subprocess.run(
        ["git", "grep", "-niE", word, "--", *PRODUCT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
