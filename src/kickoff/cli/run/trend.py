"""Show how response times moved over the releases whose evidence is given; find steps and creep."""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from kickoff import evidence
from kickoff import service as services
from kickoff.cli import output
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence
from kickoff.performance import scenarios, trend
from kickoff.report import language, trend_page

_STAGE = "perf-baseline"


def run(arguments: argparse.Namespace) -> int:
    """Write ``trend.html`` and ``trend.json``; return 0 when steady, 1 after a drift, 3 with too little."""
    documents = [document for folder in arguments.evidence for document in _read(folder)]
    chosen = [entry for entry in documents if not arguments.env or entry.environment == arguments.env]
    root = Path.cwd()
    service = services.load(root)
    file = root / service.scenarios if service.scenarios else None
    settings = scenarios.load(file, arguments.env, service.scenarios).comparison
    found = trend.trends(chosen, {"p50": settings.p50.margin, "p95": settings.p95.margin})
    arguments.output.mkdir(parents=True, exist_ok=True)
    page = arguments.output / "trend.html"
    with language.using(language.chosen(os.environ)):
        evidence.write_atomic(page, trend_page.render(found, service.name))
    text = json.dumps([asdict(entry) for entry in found], indent=1, ensure_ascii=False) + "\n"
    evidence.write_atomic(arguments.output / "trend.json", text)
    verdict = trend_page.verdict(found)
    document = {"verdict": verdict.value, "trends": json.loads(text), "report": str(page)}
    output.result(document, f"{verdict.upper()}  {trend_page.sentence(found)}\n  report    {page}")
    return verdict.exit_code


def _read(folder: Path) -> list[Evidence]:
    if not folder.is_dir():
        raise KickoffError(f"there is no folder {folder}", hint="give --evidence DIR of earlier runs")
    return [document for document in evidence.read(folder) if document.stage == _STAGE]
