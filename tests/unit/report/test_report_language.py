"""The report in the reader's language: complete catalogues, and nothing that a program reads is translated."""
# ruff: noqa: RUF001 - Chinese has marks of its own

import ast
import importlib.util
import json
import re
import string
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import Environment as Jinja

from kickoff.cli.run import report as verb
from kickoff.report import index_page, language, load_page, page, summary, terminal
from kickoff.report.language import ENGLISH, chosen, matching, named, say, told, using
from kickoff.report.messages import columns_of
from kickoff.report.outcome import decide
from kickoff.report.past import Past
from kickoff.report.recorded import RULES
from kickoff.report.run import Run
from tests.unit.report import cases

ROOT = Path(__file__).resolve().parents[3]
REPORT = ROOT / "src/kickoff/report"
CHINESE = "zh_CN"
RUNS: tuple[Callable[[], Run], ...] = (
    cases.released,
    cases.first_release,
    cases.rejected_at_smoke,
    cases.rolled_back_after_bake,
    cases.taken_back_by_the_watch,
    cases.unchanged,
    cases.inconclusive,
)
TRANSLATED = [name for name in language.languages() if name != ENGLISH]


@pytest.fixture(scope="module")
def script() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("messages_script", ROOT / "scripts/docs/messages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def catalogue(name: str) -> dict[tuple[str, str], language.Entry]:
    text = (REPORT / "locale" / f"{name}.po").read_text(encoding="utf-8")
    return {(entry.source, entry.plural): entry for entry in language.entries(text)}


def values(text: str) -> set[str]:
    """Return the names of the values in a message; how one is written is each language's own affair."""
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_catalogue_has_every_message_once_translated_and_no_other(
    name: str, script: types.ModuleType
) -> None:
    found, wanted = catalogue(name), script.messages()
    assert len(wanted) > 500
    assert found.keys() == wanted.keys(), "run scripts/docs/messages.py"
    assert [entry.source for entry in found.values() if not entry.text] == []
    assert [entry.source for entry in found.values() if entry.fuzzy] == []
    assert [e.source for e in found.values() if values(e.source) != values(e.text)] == []
    # Spaces around a piece of a sentence are its own affair, too; those that part columns are not.
    assert [e.source for e in found.values() if e.source[:2] == "  " and e.text[:2] != "  "] == []


def test_a_missing_and_a_leftover_message_are_found(script: types.ModuleType) -> None:
    text = (REPORT / "locale/zh_CN.po").read_text(encoding="utf-8")
    blocks = text.split("\n\n")
    less = {entry.source for entry in language.entries("\n\n".join(blocks[:5] + blocks[6:]))}
    assert len({source for source, _ in script.messages()} - less) == 1
    fuzzy = text.replace(blocks[5], "#, fuzzy\n" + blocks[5])
    assert sum(entry.fuzzy for entry in language.entries(fuzzy)) == 1


def test_every_rule_with_a_fixed_wording_has_an_id_that_the_code_gives(script: types.ModuleType) -> None:
    code = "".join(
        path.read_text() for path in (ROOT / "src/kickoff").rglob("*.py") if REPORT not in path.parents
    )
    made = {f"judge.{name}-vs-live" for name in ("p50", "p95", "p99")} | {
        "perf.compared",
        "perf.p95",
        "perf.slowest",
    }
    made |= {f"perf.{name}-vs-live" for name in ("errors", "p50", "p95", "tail")} | {"environment.compared"}
    assert [name for name in RULES if f'"{name}"' not in code and name not in made] == []


def literals(path: Path) -> Iterator[str]:
    """Yield the sentences of a module that no translation is asked for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        above: ast.AST = node
        said = False
        while above in parents and not said:
            above = parents[above]
            if isinstance(above, ast.Call):
                name = getattr(above.func, "id", getattr(above.func, "attr", ""))
                said = name in (
                    "say",
                    "marked",
                    "headings",
                    "counted",
                    "plural",
                    "KickoffError",
                    "compile",
                    "tag",
                )
            said = said or (isinstance(above, ast.Expr) and above.value is node)
        if not said and re.search(r"[a-z]{2,} [a-z]{2,}", node.value):
            yield node.value


# Problems with the evidence itself, commands, classes of a style sheet, and directives of policies and charts.
PLAIN = re.compile(
    r"kickoff |gh |git checkout|^(?:line|area|mark|dot|fail-text|quiet|failed|decided)\b|the plan|the run made no plan"
    r"|is not JSON|default-src|style-src|script-src|img-src|dateFormat|axisFormat|section |logs --env|of the evidence"
)


def test_no_sentence_of_the_report_is_left_out() -> None:
    left = {
        f"{path.name}: {text}"
        for path in REPORT.rglob("*.py")
        if path.name != "recorded.py"
        for text in literals(path)
        if not PLAIN.search(text)
    }
    assert left == set()


class Visible(HTMLParser):
    """Collects what a page shows, and what is read out in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.said += [value or "" for name, value in attrs if name in ("aria-label", "title", "data-label")]

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script", "code", "pre"} & set(self.open):
            self.said.append(data)


def test_templates_hold_no_words_of_their_own() -> None:
    for path in REPORT.glob("templates/*.html"):
        Jinja(autoescape=True).parse(path.read_text(encoding="utf-8"))
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", path.read_text(encoding="utf-8"), flags=re.S)
        seen = Visible()
        seen.feed(text)
        words = set(re.findall("[A-Za-z]+", " ".join(seen.said)))
        assert words <= {"p50", "p", "n"}, path.name


@pytest.mark.parametrize("make", RUNS, ids=lambda make: make.__name__)
def test_only_what_evidence_recorded_is_left_in_english(make: Callable[[], Run]) -> None:
    run = make()
    with using(CHINESE):
        outcome = decide(run, report="report.html")
        shown = page.render(run, outcome)
        markdown = summary.render(run, outcome)
    seen = Visible()
    seen.feed(shown)
    assert '<html lang="zh-CN">' in shown
    recorded = json.dumps([asdict(entry) for entry in run.evidence]) + repr((run.plan, run.actor))
    known = set(re.findall("[A-Za-z]{3,}", recorded))
    known |= {
        "UTC",
        "JSON",
        "SBOM",
        "canary",
        "report",
        "html",
        "kickoff",
        "live",
        *outcome.verdict.word.split(),
    }
    known |= {name for stage in run.evidence for name in re.findall("[A-Za-z]{3,}", stage.stage)}
    known |= set(re.findall("[A-Za-z]{3,}", " ".join([*outcome.next, outcome.undo])))
    assert set(re.findall("[A-Za-z]{3,}", " ".join(seen.said))) - known == set()
    plain = re.sub(r"```.*?```|`[^`]*`|<[^>]*>", "", markdown, flags=re.S)
    assert set(re.findall("[A-Za-z]{3,}", plain)) - known == set()


@pytest.mark.parametrize("make", [*RUNS, cases.hostile], ids=lambda make: make.__name__)
def test_programs_never_see_a_difference(make: Callable[[], Run]) -> None:
    run = make()
    english = decide(run).to_document()
    with using(CHINESE):
        shown = page.render(run, decide(run))
        assert decide(run).to_document().keys() == english.keys()
    data = [
        re.search('href="(data:application/gzip[^"]*)"', text)
        for text in (shown, page.render(run, decide(run)))
    ]
    assert data[0] and data[1] and data[0][1] == data[1][1]
    assert decide(run).to_document() == english


@pytest.mark.parametrize("make", RUNS, ids=lambda make: make.__name__)
def test_the_block_in_chinese_fits_a_screen(make: Callable[[], Run]) -> None:
    with using(CHINESE):
        document = decide(make(), report=".kickoff/runs/7/report/report.html").to_document()
        document["why"] = "候选版本没有就绪，" * 40
        document["log_tail"] = ["错误：无法连接到数据库，" * 20] * 30
        block = terminal.closing_block(document, columns=80, rows=24)
    rows = block.split("\n")
    assert len(rows) <= 22
    assert [row for row in rows if columns_of(row) > 80] == []
    assert not any(row.strip()[:1] in tuple("，。；：、）") for row in rows)


def test_labels_stand_above_each_other() -> None:
    with using(CHINESE):
        rows = terminal.closing_block(decide(cases.released()).to_document()).split("\n")[1:]
    values = [re.match(r"  (\S+) +", row) for row in rows]
    assert {columns_of(found[0]) for found in values if found} == {12}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, ENGLISH),
        ({"LANG": "C"}, ENGLISH),
        ({"LANG": "C.UTF-8"}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "zh_CN.GBK"}, CHINESE),
        ({"LANG": "zh_CN"}, CHINESE),
        ({"LANG": "zh_TW.UTF-8"}, ENGLISH),
        ({"LANG": "de_DE.UTF-8"}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, ENGLISH),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, CHINESE),
        ({"LANG": "C", "KICKOFF_LANG": "zh_CN"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "KICKOFF_LANG": "en"}, ENGLISH),
    ],
)
def test_the_environment_chooses(environ: dict[str, str], wanted: str) -> None:
    assert chosen(environ) == wanted


def test_names_of_languages() -> None:
    assert [matching(name) for name in ("zh_CN", "zh-CN", "zh-Hans", "zh", "en", "C")] == [
        *[CHINESE] * 4,
        ENGLISH,
        ENGLISH,
    ]
    assert matching("fr") == matching("zh_HK.UTF-8") == ""


def test_recorded_phrases_are_told_and_others_left_alone() -> None:
    assert told("smoke: p95 of GET /teams") == "smoke: p95 of GET /teams"
    with using(CHINESE):
        assert told("smoke: p95 of GET /teams") == "smoke：GET /teams 的 p95"
        assert told("3.10% (62 of 2010)") == "3.10%（2010 个中 62 个）"
        assert (
            told("no request was seen; users and probe together decide")
            == "没有看到请求；由用户和探测共同决定"
        )
        assert told("limit 194 ms") == "限制 194 ms"
        assert told("the pool of {workers} is 12 of those") == "the pool of {workers} is 12 of those"
        assert told("Unit tests") == "Unit tests"
        assert named("error rate", "judge.error-rate") == "错误率"
        assert named("p95 within 1000 ms") == "p95 不超过 1000 毫秒"
        assert (
            named("ready", "smoke.status")
            == named("memory", "smoke.status").replace("memory", "ready")
            == "ready"
        )
        assert say("{seconds:.0f} s", seconds=7) == "7 秒"
    assert say("{seconds:.0f} s", seconds=7) == "7 s"


def test_dates_are_written_as_the_language_writes_them() -> None:
    from kickoff.report.messages import duration, minute, second

    at = "2026-11-26T04:05:06.123+00:00"
    assert (minute(at), second(at), duration(192)) == (
        "2026-11-26 04:05",
        "2026-11-26 04:05:06 UTC",
        "3m 12s",
    )
    with using(CHINESE):
        assert minute(at) == "2026年11月26日 04:05"
        assert second(at) == "2026年11月26日 04:05:06（UTC）"
        assert duration(192) == "3 分 12 秒"
        assert minute("") == second("") == ""


def test_the_index_and_the_page_of_a_load_test() -> None:
    one = Past("7", "staging", "rolled-back", 5, "4f2c1ab", cases.at(0), 61.0, 21.0, "why", "7/report.html")
    perf = next(entry for entry in cases.released().evidence if entry.stage == "perf-baseline")
    with using(CHINESE):
        pages = index_page.render([one, one]), load_page.render(perf)
    assert all('<html lang="zh-CN">' in text for text in pages)
    assert "已回滚" in pages[0] and "2 次运行" in pages[0] and "2026年11月24日 14:00" in pages[0]
    assert "与线上版本的比较" in pages[1] and "候选版本" in pages[1]


def report(folder: Path, *words: str, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    evidence = folder / "evidence"
    if not evidence.is_dir():
        for entry in cases.rejected_at_smoke().evidence:
            entry.write(evidence)
    command = [sys.executable, str(ROOT / "src/kickoff"), "report", "--evidence", str(evidence), *words]
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "KICKOFF_VENV": sys.prefix}
    return subprocess.run(
        command, cwd=folder, env=kept | environ, capture_output=True, check=False, timeout=60
    )


def test_the_command_speaks_the_readers_language_and_writes_the_same_outcome(tmp_path: Path) -> None:
    results = {}
    for name, words, environ in (
        ("english", (), {"LANG": "C.UTF-8"}),
        ("locale", (), {"LANG": "zh_CN.UTF-8", "PYTHONUTF8": "1"}),
        ("option", ("--lang", "zh_CN"), {"LANG": "C.UTF-8"}),
        ("json", ("--lang", "zh_CN", "--json"), {"LANG": "C.UTF-8"}),
    ):
        done = report(tmp_path, *words, f"--output={tmp_path / 'report'}", **environ)
        assert done.returncode == 1, done.stderr.decode()
        outcome = (tmp_path / "report/outcome.json").read_text(encoding="utf-8")
        results[name] = (outcome, done.stdout.decode(), (tmp_path / "report/report.html").read_text())
    assert len({outcome for outcome, *_ in results.values()}) == 1
    assert "REJECTED" in results["english"][0] and not re.search("[\u4e00-\u9fff]", results["english"][0])
    assert "被拒绝" in results["locale"][1] and "被拒绝" in results["option"][1]
    assert json.loads(results["json"][1]) == json.loads(results["english"][0])
    assert 'lang="en"' in results["english"][2] and 'lang="zh-CN"' in results["json"][2]


def test_gbk_shows_what_it_can_and_spells_the_rest(tmp_path: Path) -> None:
    environ = {"LANG": "zh_CN.GBK", "PYTHONIOENCODING": "gbk", "PYTHONUTF8": "0"}
    done = report(tmp_path, f"--output={tmp_path / 'report'}", **environ)
    shown = done.stdout.decode("gbk")
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert shown.startswith("x 被拒绝 REJECTED 停在 smoke-candidate")
    assert "\\u" not in shown and "\N{REPLACEMENT CHARACTER}" not in shown


def test_the_outcome_of_a_run_is_said_again_from_its_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "KICKOFF_LANG"):
        monkeypatch.delenv(name, raising=False)
    for entry in cases.rejected_at_smoke().evidence:
        entry.write(tmp_path / "evidence")
    outcome = verb.write(tmp_path / "evidence", tmp_path / "report").outcome.to_document()
    assert verb.shown(tmp_path / "evidence", outcome) is outcome
    with using(CHINESE):
        again = verb.shown(tmp_path / "evidence", outcome)
        other = verb.shown(tmp_path / "evidence", outcome | {"verdict": "released"})
    assert again["headline"].startswith("✗ 被拒绝 REJECTED 停在 smoke-candidate")
    for key in (
        "verdict",
        "exit_code",
        "release",
        "serving_release",
        "report",
        "log_tail",
        "next",
        "finished",
    ):
        assert again[key] == outcome[key]
    assert other["verdict"] == "released" and "REJECTED at" in other["headline"]


def test_chinese_uses_no_character_that_gbk_lacks() -> None:
    assert [
        entry.text
        for entry in catalogue(CHINESE).values()
        if entry.text.encode("gbk").decode("gbk") != entry.text
    ] == []


def test_an_unknown_language_is_bad_input(tmp_path: Path) -> None:
    done = report(tmp_path, "--lang", "tlh", LANG="C.UTF-8")
    assert done.returncode == 2 and b"en, zh_CN" in done.stderr


def test_a_catalogue_is_read_when_it_is_needed() -> None:
    code = "import sys, kickoff.report.messages as m; m.duration(3); print(sorted(n for n in sys.modules if 'jinja' in n))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "[]"
    with using(ENGLISH):
        assert say("why") == "why"
