"""The house: rooms that import one way, modules and functions that fit a reader, a map that is up to date."""

import ast
import importlib.util
from collections.abc import Iterator
from graphlib import CycleError
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "src" / "kickoff").rglob("*.py"))
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    path = ROOT / "scripts" / "docs" / "architecture.py"
    spec = importlib.util.spec_from_file_location("architecture", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rooms_import_one_way_and_the_map_shows_them(drawing: ModuleType) -> None:
    picture = drawing.picture(drawing.imports())
    assert picture in drawing.PAGE.read_text(encoding="utf-8"), "run scripts/docs/architecture.py"


def test_a_circle_is_found(drawing: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "__init__.py").write_text("def f():\n    from kickoff import two\n")
    (tmp_path / "two.py").write_text("from kickoff.one import thing\n")
    with pytest.raises(CycleError):
        drawing.layers(drawing.imports(tmp_path))


def test_verdicts_reach_the_engine_as_data(drawing: ModuleType) -> None:
    graph = drawing.imports()
    assert not {"performance", "checks", "report", "host", "cli"} & set(graph["release"])


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_modules_and_functions_fit_a_reader() -> None:
    long = []
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        name, lines = path.relative_to(ROOT), len(text.splitlines())
        long += [f"{name}: {lines} lines"] if lines > LONGEST_MODULE else []
        for one in functions(ast.parse(text)):
            lines = (one.end_lineno or 0) - one.lineno + 1
            long += [f"{name}:{one.lineno} {one.name}: {lines} lines"] if lines > LONGEST_FUNCTION else []
    assert long == []
