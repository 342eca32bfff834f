"""The generated ci.yml on a pull request, run by act: its plan is told, and one job stands for all of them."""

import pytest

from kickoff import service
from kickoff.project import workflows
from tests.actions.conftest import Project


@pytest.mark.parametrize(
    ("edits", "results", "told"),
    [
        (
            {"app/main.py": "print('other')\n"},
            {"quality-gate": "success", "change": "success", "required": "success"},
            "| staging | push to the default branch | bundle built anew | unchanged | unchanged | unchanged |",
        ),
        (
            {"docs/index.md": "other\n"},
            {"quality-gate": "success", "change": "success", "required": "success"},
            "nothing of demo is affected by ",
        ),
        (
            {"app/main.py": "print('other')\n", "kickoff.yml": "name: demo\n"},
            {"quality-gate": "failure", "change": "failure", "required": "failure"},
            "'health' is a required property",
        ),
    ],
    ids=["code", "docs only", "broken description"],
)
def test_a_pull_request_is_told_its_plan_and_required_stands_for_all(
    project: Project, edits: dict[str, str], results: dict[str, str], told: str
) -> None:
    rendered = workflows.render(
        environments=service.load(project.root).environments,
        default_branch="main",
        actions="./actions",
        version="",
        requirements="requirements/dev.txt",
        also=("ci.yml",),
    )
    for name, text in rendered.items():
        project.write(name, text)
    base = project.commit()
    for name, text in edits.items():
        project.write(name, text)
    head = project.commit()
    here = {"repo": {"full_name": "o/demo"}}
    request = {"number": 7, "base": {"sha": base, **here}, "head": {"sha": head, **here}}
    run = project.act("ci.yml", "pull_request", {"number": 7, "pull_request": request})
    assert run.jobs == results, run.log
    assert told in run.log, run.log
