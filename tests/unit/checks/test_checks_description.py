"""What a service's description gives to its commands, and what it does without."""

import argparse
from pathlib import Path

import pytest

from kickoff.checks.check import Context
from kickoff.checks.quality import CHECK
from kickoff.evidence import Evidence, Verdict
from tests.unit.artifact.repositories import commit, git

SHORT = "name: things\nrun: node server.js\nhealth: /healthz\n"


def gate(root: Path, description: str) -> Evidence:
    git(root, "init", "--quiet")
    (root / "kickoff.yml").write_text(description)
    commit(root)
    given = argparse.Namespace(
        commit="HEAD", requirements="", reuse_directory=root / "verdicts", no_reuse=False
    )
    return CHECK.run(Context(given, root, root / "evidence"))


def test_without_a_quality_gate_it_does_not_apply(tmp_path: Path) -> None:
    found = gate(tmp_path, SHORT)
    assert (found.verdict, found.summary) == (Verdict.NOT_APPLICABLE, "kickoff.yml names no quality gate")


def test_the_gate_is_given_the_variables_that_the_description_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/ca.pem")
    monkeypatch.setenv("OTHER_SETTING", "x")
    shown = """sh -c 'test "$NODE_EXTRA_CA_CERTS" = /ca.pem -a -z "$OTHER_SETTING"'"""
    given = f"environment: [NODE_EXTRA_CA_CERTS]\nquality_gate:\n  - name: sees\n    run: {shown}\n"
    assert gate(tmp_path, SHORT + given).verdict is Verdict.PASS
    assert gate(tmp_path, SHORT + given.replace("NODE_EXTRA_CA_CERTS]", "]")).verdict is Verdict.FAIL
