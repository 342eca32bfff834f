#!/usr/bin/env python3
"""Write Grafana's dashboards from configs/grafana/boards; with --check only say which are out of date."""

import json
import string
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
from kickoff import bootstrap

bootstrap.ensure("dev")

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from kickoff import generated, service, yaml_lines
from kickoff.errors import KickoffError
from kickoff.program import run

BOARDS = "configs/grafana/boards"
OUTPUT = "configs/grafana/dashboards"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_BUILDERS: dict[str, Any] = {"timeseries": timeseries.Panel, "stat": stat.Panel, "table": table.Panel}
_SIZES = {"timeseries": (12, 8), "stat": (6, 4), "table": (24, 8)}
"""Width and height of each kind of panel; a row of the grid is 24 wide."""
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "board": ({"title", "description", "panels"}, set()),
    "panel": ({"title", "description", "unit", "queries"}, {"kind", "words"}),
    "query": ({"expr"}, {"legend"}),
}
"""What each part of a board needs, and what else it may have."""
# A share that was another one fifteen seconds ago. The SDK's type of an annotation has no texts.
_SHARE = "kickoff_release_traffic_ratio"
_RELEASES = f"({_SHARE} unless ({_SHARE} offset 15s == {_SHARE})) > 0"
_TEXTS = {
    "step": "15s",
    "titleFormat": "{{release}} on {{colour}}",
    "textFormat": "its share of the traffic has changed",
}


def rendered() -> Mapping[str, str]:
    """Return the text of each dashboard by its path; its folder is named as its board's."""
    name = service.load(ROOT).name
    return {
        f"{OUTPUT}/{path.relative_to(ROOT / BOARDS).with_suffix('.json')}": _text(path, name)
        for path in sorted((ROOT / BOARDS).rglob("*.yml"))
    }


def _text(path: Path, name: str) -> str:
    at = str(path.relative_to(ROOT))
    board = _checked("board", yaml_lines.load(path.read_text("utf-8"), at), at)
    made = (
        dashboard.Dashboard(board["title"])
        .uid(f"{name}-{path.stem}")
        .description(board["description"])
        .tags([name])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(dashboard.DashboardLink("Dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([name]).as_dropdown(True).include_vars(True).keep_time(True))
        .annotation(
            dashboard.AnnotationQuery().name("Releases").datasource(SOURCE).enable(True).icon_color("blue").expr(_RELEASES)
        )
    )  # fmt: skip
    x = y = row = 0
    for number, panel in enumerate(board["panels"], 1):
        where = f"{at}: panel {number}"
        _checked("panel", panel, where)
        width, height = _SIZES[panel.get("kind", "timeseries")]
        if x + width > 24:
            x, y, row = 0, y + row, 0
        made = made.with_panel(_panel(panel, where).id(number).grid_pos(models.GridPos(height, width, x, y)))
        x, row = x + width, max(row, height)
    document = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    for annotation in document["annotations"]["list"]:
        annotation.update(_TEXTS)
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _panel(panel: Mapping[str, Any], at: str) -> Any:  # noqa: ANN401 - the builders have no common type
    kind = panel.get("kind", "timeseries")
    made = (
        _BUILDERS[kind]()
        .title(panel["title"])
        .description(panel["description"])
        .unit(panel["unit"])
        .datasource(SOURCE)
    )
    if words := panel.get("words"):
        options = {str(value): models.ValueMappingResult(text=text) for value, text in words.items()}
        made = made.mappings([models.ValueMap(options=options)])
    for letter, query in zip(string.ascii_uppercase, panel["queries"], strict=False):
        _checked("query", query, f"{at}, query {letter}")
        target = prometheus.Dataquery().ref_id(letter).expr(query["expr"].strip()).datasource(SOURCE)
        if legend := query.get("legend"):
            target = target.legend_format(legend)
        if kind == "timeseries":
            made = made.with_target(target.range())
        else:
            target = target.instant()
            made = made.with_target(target.format(PromQueryFormat.TABLE) if kind == "table" else target)
    return made


def _checked(part: str, found: Any, at: str) -> Mapping[str, Any]:  # noqa: ANN401 - what YAML can hold
    needed, allowed = _KEYS[part]
    keys = set(found) if isinstance(found, dict) else set[str]()
    if wrong := sorted({*(needed - keys), *(keys - needed - allowed)}):
        what = f"a {part} has no {wrong[0]}" if wrong[0] in needed else f"a {part} knows no {wrong[0]}"
        may = f"; it may have {', '.join(sorted(allowed))}" if allowed else ""
        raise KickoffError(f"{at}: {what}", hint=f"it needs {', '.join(sorted(needed))}{may}")
    if part == "panel" and found.get("kind", "timeseries") not in _SIZES:
        raise KickoffError(f"{at}: not a kind of panel: {found['kind']}", hint=f"one of {', '.join(_SIZES)}")
    return dict(found) if keys else {}


if __name__ == "__main__":
    sys.exit(run(lambda: generated.main(Path(__file__), __doc__, ROOT, rendered)))
