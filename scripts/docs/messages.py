#!/usr/bin/env python3
"""Bring the report's catalogues of messages up to date; with --check only say whether they are."""

import ast
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
from kickoff import generated
from kickoff.evidence import Verdict, fields
from kickoff.evidence.rules import NO_DIFFERENCE, WARNING, WITHIN_NOISE
from kickoff.evidence.stages import STAGES
from kickoff.program import run
from kickoff.report import language
from kickoff.report.recorded import RECORDED
from kickoff.report.verdicts import RunVerdict

REPORT = ROOT / "src/kickoff/report"
_HEAD = """# Messages of the report: scripts/docs/messages.py collects the sources and keeps the translations.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Language: {language}\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"
"""


def messages() -> dict[tuple[str, str], list[str]]:
    """Return every message, source and plural, with the files it stands in."""
    found: dict[tuple[str, str], list[str]] = {}
    for place, message in (*_in_modules(), *_in_templates(), *_of_evidence()):
        places = found.setdefault(message, [])
        if place not in places:
            places.append(place)
    return found


def rendered() -> Mapping[str, str]:
    """Return each catalogue as it should be."""
    found = messages()
    return {
        path.relative_to(ROOT).as_posix(): _catalogue(path, found)
        for path in sorted(REPORT.glob("locale/*.po"))
    }


def _catalogue(path: Path, found: Mapping[tuple[str, str], list[str]]) -> str:
    known = {entry.source: entry for entry in language.entries(path.read_text(encoding="utf-8"))}
    blocks = [_HEAD.format(language=path.stem)]
    for (source, several), places in found.items():
        entry = known.get(source)
        rows = [
            f"#: {' '.join(places)}",
            *["#, fuzzy"] * bool(entry and entry.fuzzy),
            f"msgid {_quoted(source)}",
        ]
        rows += [f"msgid_plural {_quoted(several)}"] if several else []
        rows += [f"msgstr{'[0]' if several else ''} {_quoted(entry.text if entry else '')}"]
        blocks.append("\n".join(rows) + "\n")
    return "\n".join(blocks)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _in_modules() -> Iterator[tuple[str, tuple[str, str]]]:
    for path in sorted(REPORT.rglob("*.py")):
        place = path.relative_to(REPORT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                texts = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args]
                for message in _of_call(name, texts):
                    yield place, message


def _in_templates() -> Iterator[tuple[str, tuple[str, str]]]:
    for path in sorted(REPORT.glob("templates/*.html")):
        tree = Environment(autoescape=True).parse(path.read_text(encoding="utf-8"))
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name):
                texts = [arg.value if isinstance(arg, nodes.Const) else None for arg in call.args]
                for message in _of_call(call.node.name, texts):
                    yield f"templates/{path.name}", message


def _of_call(name: str, texts: Sequence[object]) -> Iterator[tuple[str, str]]:
    """Yield the messages among the arguments of a call."""
    literal = [text for text in texts if isinstance(text, str)]
    if name in ("say", "marked", "headings"):
        yield from ((text, "") for text in literal)
    elif name == "plural" and literal:
        yield f"{{amount:,}} {literal[0]}", f"{{amount:,}} {literal[0]}s"
    elif name == "counted" and len(literal) == 2:
        yield literal[0], literal[1]


def _of_evidence() -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield what evidence says in words of a fixed vocabulary."""
    yield from (("evidence/verdicts.py", (verdict.word, "")) for verdict in Verdict)
    yield from (("verdicts.py", (verdict.word, "")) for verdict in RunVerdict)
    yield from (("evidence/rules.py", (finding, "")) for finding in (NO_DIFFERENCE, WITHIN_NOISE, WARNING))
    yield from (("evidence/stages.py", (stage.title, "")) for stage in STAGES)
    for node in ast.walk(ast.parse(Path(fields.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Shown", "Identity"):
            yield "evidence/fields.py", (ast.literal_eval(node.args[0]), "")
    yield from (("recorded.py", (text, "")) for text in RECORDED)


if __name__ == "__main__":
    sys.exit(run(lambda: generated.main(Path(__file__), __doc__, ROOT, rendered)))
