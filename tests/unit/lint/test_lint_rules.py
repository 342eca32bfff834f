"""The rules: every bad example is found, every good one is silent, and each page and table knows all of them."""

import re
import runpy
from pathlib import Path

import pytest

from kickoff.environment.findings import Finding
from kickoff.lint import linter, rules, workflow

ROOT = Path(__file__).resolve().parents[3]
RULES = rules.load()
EXAMPLES = [
    pytest.param(rule.id, kind, text, id=f"{rule.id}-{kind}-{number}")
    for rule in RULES.values()
    for kind in ("bad", "good")
    for number, text in enumerate(getattr(rule, kind), 1)
]


def found(text: str) -> list[Finding]:
    return linter.in_workflow(workflow.read(rules.as_workflow(text), "x.yml"))


@pytest.mark.parametrize(("rule", "kind", "text"), EXAMPLES)
def test_bad_examples_are_found_by_their_rule_alone_and_good_ones_by_none(
    rule: str, kind: str, text: str
) -> None:
    expected = {rule} if kind == "bad" else set()
    assert {one.rule for one in found(text)} == expected, found(text)


def test_every_rule_has_examples_of_both_kinds_and_is_asked() -> None:
    asked = {*linter.IN_SCRIPTS, *linter.IN_WORKFLOWS, "check-switched-off"}
    assert asked | {"allow-without-reason", "allow-unused"} == set(RULES)
    assert all(rule.bad and rule.good for rule in RULES.values())


def test_titles_and_fixes_fit_into_a_sentence() -> None:
    for rule in RULES.values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
        assert not rule.title.endswith(".") and not rule.fix.endswith(".")


def test_the_page_is_that_of_the_table() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "docs" / "lint_rules.py"))
    for name, text in script["rendered"]().items():
        assert (ROOT / name).read_text("utf-8") == text, "run scripts/docs/lint_rules.py"


def test_this_repository_follows_its_own_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    read = linter.lint([Path()], environ={"PATH": ""})
    own = [one for one in read.findings if "/" not in one.rule]
    assert own == []
    assert {"cd.yml", "ci.yml", "release.yml", "action.yml"} <= {path.name for path in read.files}


SILENT = {
    "tidying up": "- run: docker rm -f old || true",
    "an unknown command": "- run: ./anything || true",
    "a status that is kept": "- run: pytest || failed=1",
    "a file that is judged later": "- run: |\n    npm audit --json > audit.json || true\n    node judge.js audit.json",
    "a step that runs when the run is red": "- if: failure()\n  run: curl -fsS $URL/health || true",
    "an advisory step": "- name: Audit (advisory)\n  run: npm audit || true",
    "a condition": "- run: if pytest; then echo ok; else exit 1; fi",
    "a retry": "- run: |\n    until curl -fsS $URL/health; do sleep 2; done",
    "a download": "- run: curl -sL https://example.org/tool.tar.gz -o tool.tar.gz",
    "a call of an interface": "- run: curl -s -X POST https://example.org/status -d x=1",
    "another shell": "- shell: pwsh\n  run: npm test || true",
    "a pipe that is judged": "- run: curl -s $URL/health | grep -q ok",
    "a sentence": "- run: |\n    # pytest runs every test of the service here.\n    make",
    "a fixed npm audit": "- run: npm audit fix || true",
    "a group that asks for a ref": "- run: ssh host deploy",
}


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT)
def test_what_is_right_is_silent(text: str) -> None:
    assert found(text) == []


LOUD = {
    "a group of commands": ("- run: pytest || { echo no; true; }", "masked-failure", 6),
    "the middle of a list": ("- run: cd app && npm test || true", "masked-failure", 6),
    "behind a wrapper": ("- run: sudo -E poetry run pytest -q || true", "masked-failure", 6),
    "a job": (
        "jobs:\n  test:\n    runs-on: x\n    continue-on-error: true\n    steps: [{run: pytest}]",
        "masked-failure",
        5,
    ),
    "a script for another host": (
        "- run: |\n    ssh host <<'END'\n    set -e\n    kubectl apply -f . || true\n    END",
        "masked-failure",
        9,
    ),
    "quoted for another host": ("- run: ssh host 'helm upgrade web . || true'", "masked-failure", 6),
    "an action with a script": (
        "- uses: appleboy/ssh-action@v1\n  with:\n    script: |\n      cd app\n      pytest || true",
        "masked-failure",
        10,
    ),
    "a folded script": ("- run: >-\n    npm test\n    || true", "masked-failure", 7),
    "an expression in the command": ("- run: pytest ${{ inputs.what }} || true", "masked-failure", 6),
    "a rollback in a warning": (
        "- if: failure()\n  run: |\n    if ! helm rollback web; then\n      echo 'the rollback failed'\n    fi",
        "rollback-masked",
        8,
    ),
    "a flag that is never read": (
        "- run: |\n    code=$(curl -s -w '%{http_code}' $URL/health)\n    printf '%s' \"$code\"",
        "probe-never-tested",
        7,
    ),
    "any contained result": (
        "jobs:\n  a:\n    runs-on: x\n    steps: [{run: ./a}]\n  b:\n    needs: a\n"
        "    if: contains(needs.*.result, 'failure')\n    runs-on: x\n    steps: [{run: ./b}]",
        "condition-never-true",
        8,
    ),
    "a gate that reads nothing": (
        "jobs:\n  a:\n    runs-on: x\n    steps: [{run: pytest}]\n  required:\n    needs: a\n"
        "    if: always()\n    runs-on: x\n    steps: [{run: echo fine}]",
        "all-checks-incomplete",
        6,
    ),
}


@pytest.mark.parametrize(("text", "rule", "line"), LOUD.values(), ids=LOUD)
def test_what_is_masked_is_found_on_its_line(text: str, rule: str, line: int) -> None:
    assert [(one.rule, one.line) for one in found(text)] == [(rule, line)]


def test_steps_that_jobs_share_are_found_once() -> None:
    text = (
        "on: push\njobs:\n  one: {runs-on: x, steps: &all [{run: npm test || true}]}\n"
        "  two: {runs-on: x, steps: *all}\n"
    )
    assert [one.line for one in linter.in_workflow(workflow.read(text, "x.yml"))] == [3]


def test_the_shell_of_a_workflow_says_whether_a_pipe_fails() -> None:
    job = "jobs:\n  a:\n    runs-on: x\n    steps:\n      - run: pytest | tee log\n"
    assert [one.rule for one in found(job)] == ["pipe-without-pipefail"]
    assert found(f"on: push\ndefaults:\n  run:\n    shell: bash\n{job}") == []


def test_exceptions_are_about_their_own_line_or_the_next() -> None:
    allow = "# kickoff-lint: allow masked-failure because it measures"
    assert found(f"- run: npm test || true {allow}") == []
    assert found(f"{allow}\n- run: npm test || true") == []
    assert found(f"- run: |\n    {allow}\n    npm test || true") == []
    far = found(f"- run: |\n    {allow}\n    echo one\n    npm test || true")
    assert [(one.rule, one.line) for one in far] == [("allow-unused", 7), ("masked-failure", 9)]
    unknown = found("- run: ls # kickoff-lint: allow no-such-rule because of nothing")
    assert [one.message for one in unknown] == ["no rule is called no-such-rule"]


def test_a_message_shows_an_expression_as_one() -> None:
    [one] = found("- run: pytest ${{ inputs.what }} || true")
    assert one.message.startswith("`pytest ${{ … }}` may fail")
