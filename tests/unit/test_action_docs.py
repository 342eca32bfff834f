"""The READMEs of the actions: tables made from action.yml, examples that fit it."""

import re
from pathlib import Path

import pytest
import yaml

from kickoff import action_docs

ACTIONS = sorted((Path(__file__).resolve().parents[2] / "actions").glob("*/action.yml"))


def names(paths: list[Path]) -> list[str]:
    return [path.parent.name for path in paths]


def test_cells_cannot_break_the_table() -> None:
    action = {
        "inputs": {"a": {"description": "one | two\n<b>", "default": "x|y"}},
        "outputs": {"o": {"description": "d"}},
    }
    table = action_docs.tables(action)
    assert "| `a` | no | `x\\|y` | one \\| two &lt;b&gt; |" in table
    assert "| `o` | d |" in table


def test_nothing_in_and_nothing_out() -> None:
    assert action_docs.tables({}).count("None.") == 2


def test_only_the_part_between_the_marks_changes() -> None:
    text = f"# Mine\n\n{action_docs.BEGIN}\nold\n{action_docs.END}\n\nalso mine\n"
    fresh = action_docs.refresh(text, {})
    assert fresh.startswith("# Mine\n\n")
    assert fresh.endswith("\n\nalso mine\n")
    assert "old" not in fresh
    assert action_docs.refresh(fresh, {}) == fresh


@pytest.mark.parametrize("text", ["", action_docs.BEGIN, (action_docs.BEGIN + action_docs.END) * 2])
def test_a_readme_without_its_marks_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        action_docs.refresh(text, {})


@pytest.mark.parametrize("path", ACTIONS, ids=names(ACTIONS))
def test_readmes_are_up_to_date(path: Path) -> None:
    text = path.with_name("README.md").read_text()
    assert action_docs.refresh(text, yaml.safe_load(path.read_text())) == text


@pytest.mark.parametrize("path", ACTIONS, ids=names(ACTIONS))
def test_examples_use_inputs_that_exist_and_all_that_are_required(path: Path) -> None:
    found = 0
    for block in re.findall(r"```yaml\n(.*?)```", path.with_name("README.md").read_text(), re.DOTALL):
        example = yaml.safe_load(block)
        whole = isinstance(example, dict)
        for step in [s for job in example["jobs"].values() for s in job["steps"]] if whole else example:
            if step["uses"].startswith("actions/checkout@"):
                continue
            name = step["uses"].split("/actions/")[1].split("@")[0]
            inputs = yaml.safe_load((path.parents[1] / name / "action.yml").read_text()).get("inputs", {})
            given = set(step.get("with", {}))
            required = {key for key, entry in inputs.items() if entry.get("required")}
            assert required <= given <= set(inputs)
            found += name == path.parent.name
    assert found
