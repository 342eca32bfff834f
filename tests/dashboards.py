"""Grafana's dashboards as tests read them: their panels, and what each of these asks Prometheus."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "configs" / "grafana" / "dashboards"


@dataclass(frozen=True)
class Asked:
    """One query of a panel, or of an annotation, which ``marks`` moments."""

    board: str
    panel: str
    expr: str
    marks: bool = False


def boards(*folders: str) -> dict[str, dict[str, Any]]:
    """Return the dashboards of these folders by their paths; without any, all."""
    found = sorted(path for folder in folders or [""] for path in (FOLDER / folder).rglob("*.json"))
    return {str(path.relative_to(FOLDER)): json.loads(path.read_text("utf-8")) for path in found}


def asked(*folders: str) -> Iterator[Asked]:
    """Yield the queries of all panels and annotations; Grafana's variable is a minute."""
    for board, document in boards(*folders).items():
        for panel in document["panels"]:
            for query in panel["targets"]:
                yield Asked(board, panel["title"], query["expr"].replace("$__rate_interval", "1m"))
        for one in document["annotations"]["list"]:
            yield Asked(board, one["name"], one["expr"], marks=True)
