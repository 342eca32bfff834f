"""The facts of evidence: what is declared is written, what is written is read, and nothing else gets in."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest
from jsonschema import Draft202012Validator

from kickoff import evidence
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, Verdict, fields, schema
from kickoff.evidence.fields import Shown
from kickoff.evidence.stages import STAGES
from tests.unit.report import cases

SOURCE = Path(__file__).resolve().parents[2] / "src" / "kickoff"
VOCABULARY = SOURCE / "evidence"
READERS = ("report", "artifact/proof.py", "evidence/document.py", "environment/drift/issue.py", "cli/run/release.py",
           "performance/summary.py", "performance/trend.py", "checks", "artifact/admission.py")  # fmt: skip


def trees(*below: str) -> Iterator[ast.AST]:
    """Yield the parsed modules of the package, those of the vocabulary left out unless they are named."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if below and not any(name == one or name.startswith(f"{one}/") for one in below):
            continue
        if below or VOCABULARY not in path.parents:
            yield ast.parse(path.read_text(encoding="utf-8"))


def declared() -> set[str]:
    return {key for stage in STAGES for key in get_type_hints(fields.of(stage.name))}


def shown() -> set[str]:
    return {
        key
        for stage in STAGES
        for key, hint in get_type_hints(fields.of(stage.name), include_extras=True).items()
        if any(not isinstance(mark, type) for mark in getattr(hint, "__metadata__", ()))
    }


def written() -> set[str]:
    """Return every name that a module gives a value: keyword arguments and keys of dictionaries."""
    found: set[str] = set()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg:
                found.add(node.arg)
            elif isinstance(node, ast.Dict):
                found |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                found |= {str(node.slice.value)} if isinstance(node.slice, ast.Constant) else set()
    return found


def asked_for() -> set[str]:
    """Return every key that a reader takes out of a mapping."""
    found: set[str] = set()
    for tree in trees(*READERS):
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                found.add(str(node.slice.value))
            elif isinstance(node, ast.Call):
                found |= {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
    return found


def test_every_fact_is_written() -> None:
    assert declared() - written() == set()


def test_every_fact_is_read_or_shown() -> None:
    assert declared() - asked_for() - shown() == set()


def test_the_report_asks_for_no_fact_that_nobody_declares() -> None:
    asked: set[str] = set()
    for tree in trees("report"):
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get"
            ):
                owner = node.func.value
                if isinstance(owner, ast.Attribute) and owner.attr == "facts":
                    asked |= {str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant)}
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "fact":
                asked |= {str(one.value) for one in node.args[1:] if isinstance(one, ast.Constant)}
    assert asked
    assert asked <= declared() | {"commit"}, "`commit` is an input"


def test_the_schema_is_one_and_knows_every_stage() -> None:
    document = schema.document()
    Draft202012Validator.check_schema(document)
    assert len(document["allOf"]) == len(STAGES) + 1


@pytest.mark.parametrize(
    ("stage", "facts"),
    [
        ("stage", {"public_url": "http://127.0.0.1:1"}),
        ("promote", {"drain_seconds": "long"}),
        ("promote", {"serving": {"release": "a"}}),
        ("smoke-live", {"anything": 1}),
        ("check-own", {"anything": 1}),
    ],
)
def test_a_fact_that_is_not_declared_is_not_written(
    tmp_path: Path, stage: str, facts: dict[str, object]
) -> None:
    document = Evidence(stage, "", Verdict.PASS, "fine", evidence.now(), facts=facts)
    with pytest.raises(KickoffError, match="breaks the schema"):
        document.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "run", [cases.released, cases.hostile, cases.unchanged, cases.rolled_back_after_bake]
)
def test_what_is_written_is_read_again(tmp_path: Path, run: object) -> None:
    assert callable(run)
    made = run()
    for number, document in enumerate(made.evidence):
        folder = tmp_path / str(number)
        document.environment = "staging"
        document.write(folder)
        assert evidence.read(folder) == [document]


def test_evidence_of_version_1_is_migrated(tmp_path: Path) -> None:
    path = cases.promoted().write(tmp_path)
    old = json.loads(path.read_text())
    old["version"] = 1
    old["facts"]["owner"] = "nobody reads this any more"
    for rule in old["rules"]:
        del rule["id"]
    path.write_text(json.dumps(old))
    (document,) = evidence.read(tmp_path)
    assert {rule.id for rule in document.rules} == {"promote.unnamed"}
    assert "owner" not in document.facts


def test_every_phase_that_may_leave_evidence_has_the_facts_of_a_phase() -> None:
    phases = {"stage", "promote", "watch", "abort", "rollback", "start", "resume"}
    common = set(get_type_hints(fields.Phase))
    assert {stage.name for stage in STAGES if common <= set(get_type_hints(fields.of(stage.name)))} == phases


def test_a_marked_fact_is_shown_with_its_label() -> None:
    found = dict(fields.shown("promote", {"drain_seconds": 1.5, "strategy": "canary", "outcome": "released"}))
    assert found == {Shown("strategy"): "canary", Shown("old release drained in", unit="s"): 1.5}
