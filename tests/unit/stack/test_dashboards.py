"""The dashboards: made from their boards, complete, and asking what Prometheus understands."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from kickoff.errors import KickoffError
from tests.dashboards import FOLDER, asked, boards
from tests.tools import tool
from tests.unit.stack.stack_support import ROOT

BOARDS = boards()
GRAFANA = ROOT / "configs" / "grafana"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "build" / "dashboards.py"
    spec = importlib.util.spec_from_file_location("dashboards_script", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_what_their_boards_make(script: ModuleType) -> None:
    wanted = script.rendered()
    for name, text in wanted.items():
        assert (ROOT / name).read_text("utf-8") == text, "run scripts/build/dashboards.py"
    assert {str(path.relative_to(ROOT)) for path in FOLDER.rglob("*") if path.is_file()} == set(wanted)


def test_every_question_has_its_dashboard() -> None:
    assert {Path(name).stem for name in BOARDS} == {
        "business", "cost", "delivery", "experience", "infrastructure", "release", "resilience", "service",
    }  # fmt: skip
    for field in ("uid", "title"):
        assert len({board[field] for board in BOARDS.values()}) == len(BOARDS), field


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_own_types_read_it_without_a_loss(name: str) -> None:
    read = json.loads(json.dumps(Dashboard.from_json(BOARDS[name]), cls=JSONEncoder))
    for annotation, known in zip(
        BOARDS[name]["annotations"]["list"], read["annotations"]["list"], strict=True
    ):
        assert annotation.items() >= known.items()  # the texts of marks are not among the types
        known.update(annotation)
    assert read == BOARDS[name]


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_in_which_unit_and_asks_the_chosen_source(name: str) -> None:
    board = BOARDS[name]
    [variable] = board["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    panels, source = board["panels"], {"type": "prometheus", "uid": "${datasource}"}
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"] and panel["datasource"] == source, panel["title"]
        assert all(query["expr"] and query["datasource"] == source for query in panel["targets"])
        # Lines are told apart by a legend where there are several.
        assert len(panel["targets"]) == 1 or all(query.get("legendFormat") for query in panel["targets"])


@pytest.mark.parametrize("name", BOARDS)
def test_no_panel_lies_on_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells


def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"asked:{number}", "expr": one.expr} for number, one in enumerate(asked())]
    assert len(rules) > 100
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    command = [tool("promtool"), "check", "rules", "asked.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_recorded_by_rules_has_a_rule() -> None:
    files = [*(ROOT / "configs/prometheus/rules").glob("*.yml"), ROOT / "configs/prometheus/thresholds.yml"]
    groups = [group for path in files for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    used = {name for one in asked() for name in re.findall(r"\b[a-z]\w*:\w+(?::\w+)?", one.expr)}
    assert len(used) >= 8
    assert used <= recorded


def test_the_stacks_show_theirs_and_the_source_is_there(resolved: dict[str, Any]) -> None:
    mounts = {m["target"]: Path(m["source"]) for m in resolved["services"]["grafana"]["volumes"]}
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/dashboards.yml").read_text())["providers"]
    root = provider["options"]["path"]
    shown = {target: source for target, source in mounts.items() if target.startswith(f"{root}/")}
    both = {f"{root}/common": FOLDER / "common"}
    assert shown == both | (
        {f"{root}/production": FOLDER / "production"} if "postgres-replica" in resolved["services"] else {}
    )
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/datasources.yml").read_text())[
        "datasources"
    ]
    [chosen] = [one for one in sources if one["type"] == "prometheus"]
    assert chosen["isDefault"] is True
    interval = yaml.safe_load((ROOT / "configs/prometheus/prometheus.yml").read_text())["global"]
    assert chosen["jsonData"]["timeInterval"] == interval["scrape_interval"]


GOOD: dict[str, Any] = {"title": "T", "description": "D.", "unit": "s", "queries": [{"expr": "up"}]}


@pytest.mark.parametrize(
    ("panel", "said"),
    [
        (GOOD | {"kind": "pie"}, r"one\.yml: panel 1: not a kind of panel: pie"),
        ({key: GOOD[key] for key in GOOD if key != "unit"}, r"one\.yml: panel 1: a panel has no unit"),
        (GOOD | {"queries": [{"expression": "up"}]}, r"one\.yml: panel 1, query A: a query has no expr"),
        (GOOD | {"colour": "red"}, r"one\.yml: panel 1: a panel knows no colour"),
        ("up", r"one\.yml: panel 1: a panel has no description"),
    ],
)
def test_a_board_with_a_mistake_is_refused_by_its_place(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, panel: object, said: str
) -> None:
    monkeypatch.setattr(script, "ROOT", tmp_path)
    (tmp_path / "one.yml").write_text(yaml.safe_dump({"title": "T", "description": "D", "panels": [panel]}))
    with pytest.raises(KickoffError, match=said):
        script._text(tmp_path / "one.yml", "shop")
