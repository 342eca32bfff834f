"""Migrations that a change brings, judged as they read: no line of them is run.

A migration *expands* when the release before it goes on serving while it runs and afterwards. What takes
something away from that release, or makes it wait, is found in SQL and in the operations of Alembic and
Django. That nothing is found is no proof.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from kickoff.change.model import Migration, Verdict
from kickoff.change.sides import Side

_SQL = re.compile(
    r"\b(DROP\s+(?!NOT\s+NULL)\w+|RENAME|SET\s+NOT\s+NULL|ALTER\s+COLUMN\s+\S+\s+(?:SET\s+DATA\s+)?TYPE"
    r"|TRUNCATE|DELETE\s+FROM)\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_STRICTER = ("nullable", "type_", "new_column_name")
"""Arguments of Alembic's ``alter_column`` that the release before feels."""
_DJANGO = ("RemoveField", "DeleteModel", "RenameField", "RenameModel", "AlterField", "AlterModelTable")
_WAY_BACK = ("downgrade", "down")
"""Functions that lead back, and never run in a release."""
_CODE = (".py", ".sql")


def changed(before: Side | None, after: Side, folder: str, paths: Mapping[str, str]) -> tuple[Migration, ...]:
    """Return the migrations that differ, by path.

    Args:
        before: The older commit; ``None`` without one.
        after: The newer commit.
        folder: Where the migrations are; empty when nobody says.
        paths: What became of each changed file of the project.
    """
    if not folder:
        return ()
    below = {path: action for path, action in paths.items() if path.startswith(f"{folder.rstrip('/')}/")}
    return tuple(
        _judged(after if action != "removed" else before or after, path, action)
        for path, action in sorted(below.items())
        if PurePosixPath(path).stem != "__init__"
    )


def _judged(side: Side, path: str, action: str) -> Migration:
    text = side.text(path) if action == "added" and path.endswith(_CODE) else None
    if text is None or PurePosixPath(path).stem.endswith(_WAY_BACK):
        return Migration(path, action, Verdict.NOT_JUDGED)
    try:
        words = list(dict.fromkeys(_of_python(text) if path.endswith(".py") else _of_sql(text)))
    except (SyntaxError, ValueError, RecursionError):
        return Migration(path, action, Verdict.NOT_JUDGED)
    return Migration(path, action, Verdict.CONTRACTS if words else Verdict.NOTHING_FOUND, tuple(words))


def _of_sql(text: str) -> Iterator[str]:
    for found in _SQL.finditer(_COMMENT.sub(" ", text)):
        yield " ".join(found[1].upper().split())


def _of_python(text: str) -> Iterator[str]:
    module = ast.parse(text)
    for statement in module.body:
        if not (isinstance(statement, ast.FunctionDef) and statement.name in _WAY_BACK):
            yield from _of_node(statement)


def _of_node(node: ast.AST) -> Iterator[str]:
    prose = {id(one.value) for one in ast.walk(node) if isinstance(one, ast.Expr)}
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in prose:
            yield from _of_statement(one.value)
        if not isinstance(one, ast.Call):
            continue
        name = one.func.attr if isinstance(one.func, ast.Attribute) else getattr(one.func, "id", "")
        if name in _DJANGO or name.startswith(("drop_", "rename_")):
            yield name
        elif name == "alter_column":
            yield from (f"alter_column {key}" for key in _tightened(one.keywords))
        elif name == "add_column" and _demanding(one):
            yield "add_column without a default"


def _of_statement(text: str) -> Iterator[str]:
    """Yield what a text takes away if it is SQL; other texts begin with another word."""
    if re.match(r"\s*(ALTER|DROP|TRUNCATE|DELETE|RENAME)\b", text, re.IGNORECASE):
        yield from _of_sql(text)


def _tightened(keywords: Sequence[ast.keyword]) -> Iterator[str]:
    for one in keywords:
        allowed = one.arg == "nullable" and isinstance(one.value, ast.Constant) and one.value.value is True
        if one.arg in _STRICTER and not allowed:
            yield str(one.arg)


def _demanding(call: ast.Call) -> bool:
    """Return whether a new column must have a value that older code does not give."""
    for column in (one for one in ast.walk(call) if isinstance(one, ast.Call) and one is not call):
        given = {one.arg: one.value for one in column.keywords}
        nullable = given.get("nullable")
        if isinstance(nullable, ast.Constant) and nullable.value is False and "server_default" not in given:
            return True
    return False
