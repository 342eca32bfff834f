"""The verbs that check a commit or a release, and that report."""

import argparse
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from kickoff.bootstrap import ROOT
from kickoff.cli.parser import Parser, Verbs
from kickoff.cli.verbs import VERBS

_SCRIPTS = {
    "check": "quality/run_quality_gate.py",
    "smoke": "smoke/run_smoke_tests.py",
    "functional": "smoke/run_functional_tests.py",
    "perf": "performance/run_performance_tests.py",
    "trend": "performance/trend.py",
    "probe": "health/probe.py",
    "report": "report/build_report.py",
}


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    for name in _SCRIPTS:
        verbs._parser_class = _Whole
        verbs.add_parser(name, help=VERBS[name].text)
        verbs._parser_class = Parser


class _Whole(Parser):
    """A parser that leaves every word to the script."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401
        """Keep the words as they are."""
        found = namespace or argparse.Namespace()
        found.run, found.command, found.words, found.env = _run, self.prog.split()[-1], list(args or ()), ""
        return found, []


def _run(arguments: argparse.Namespace) -> int:
    script = Path(ROOT) / "scripts" / _SCRIPTS[arguments.command]
    sys.argv = [str(script), *arguments.words]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return os.EX_OK
