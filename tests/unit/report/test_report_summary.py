"""The job summary: verdict first, within its limit, and nothing hostile in it means anything."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from kickoff.evidence import RuleResult, Verdict
from kickoff.report import summary
from kickoff.report.messages import line
from kickoff.report.outcome import decide
from kickoff.report.run import Run
from tests.unit.report import cases


def rendered(run: Run, limit: int = summary.LIMIT) -> str:
    return summary.render(run, decide(run, "report.html"), limit)


def tokens(markdown: str) -> list[Token]:
    """Return all tokens as GitHub would read them: CommonMark with HTML and tables."""
    found = MarkdownIt("commonmark").enable("table").parse(markdown)
    return [*found, *(child for token in found for child in token.children or [])]


@pytest.mark.parametrize(
    ("make", "first"),
    [
        (cases.released, f"**✓ RELEASED** shop {cases.NEW} → staging, 2m 34s"),
        (
            cases.rejected_at_smoke,
            f"**✗ REJECTED at smoke-candidate** shop {cases.NEW} → staging, 57 s: POST ",
        ),
        (cases.rolled_back_after_bake, f"**↶ ROLLED BACK** staging {cases.NEW} → {cases.OLD}, 2m 32s: "),
        (cases.unchanged, f"**◇ UNCHANGED** shop {cases.NEW} in staging, 2m 34s"),
        (cases.inconclusive, f"**&#63; INCONCLUSIVE at perf-baseline** shop {cases.NEW} → staging, 1m 28s: "),
    ],
)
def test_the_verdict_is_the_first_line_and_who_serves_the_second(make: Callable[[], Run], first: str) -> None:
    lines = [entry for entry in rendered(make()).splitlines() if entry]
    assert lines[0].startswith(first.replace("&#63;", "?"))
    assert lines[1].startswith("Serving now")


def test_failures_come_first_among_the_gates() -> None:
    rows = [entry for entry in rendered(cases.rejected_at_smoke()).splitlines() if entry.startswith("| ")]
    assert rows[2].startswith("| ✗ | smoke-candidate | POST /predictions | 500 in 11 ms | 200 | 1 | **fail**")


def test_the_log_is_folded_and_the_next_command_is_last() -> None:
    text = rendered(cases.rejected_at_smoke())
    assert "<details><summary>Log of smoke-candidate</summary>" in text
    assert "KeyError: 'ratings'" in text
    assert text.index("### Stages") < text.index("Next: `kickoff logs --env staging --process candidate`")


def test_a_good_run_shows_no_log() -> None:
    assert "of the log" not in rendered(cases.released())


def test_the_timeline_is_an_extra_in_valid_mermaid() -> None:
    text = rendered(cases.rejected_at_smoke())
    chart = re.search(r"```mermaid\n(.*?)\n```", text, re.DOTALL)
    assert chart is not None
    tasks = [entry for entry in chart[1].splitlines() if ":" in entry and "Format" not in entry]
    assert len(tasks) == 6
    for task in tasks:
        assert re.fullmatch(r"  [a-z-]+ :(?:(?:done|crit|active), )?\d{13}, \d{13}", task)
    assert any(task.startswith("  smoke-candidate :crit") for task in tasks)


def test_missing_evidence_is_listed_among_the_stages() -> None:
    run = cases.released()
    text = rendered(replace(run, evidence=tuple(d for d in run.evidence if d.stage != "promote")))
    assert "| ? | promote | \N{EN DASH} | left no evidence |" in text


def test_hostile_text_is_only_text() -> None:
    found = tokens(rendered(cases.hostile()))
    kinds = {token.type for token in found}
    assert not kinds & {
        "image",
        "link_open",
        "code_block",
        "blockquote_open",
        "bullet_list_open",
    }
    # The only HTML is ours.
    assert {token.content for token in found if token.type == "html_inline"} <= {"<code>", "</code>"}
    html = [token.content.strip() for token in found if token.type == "html_block"]
    assert all(re.fullmatch(r"<details><summary>[^<>]*</summary>|</details>", text) for text in html)
    headings = [found[index + 1].content for index, token in enumerate(found) if token.type == "heading_open"]
    assert headings == ["Gates: 4 failed, 4 inconclusive, 4 passed", "Stages"]


def test_a_hostile_cell_stays_one_cell_and_reads_as_written() -> None:
    found = tokens(rendered(cases.hostile()))
    rows = "".join({"tr_open": "\n", "td_open": "|"}.get(token.type, "") for token in found)
    widths = {len(row) for row in rows.split("\n") if row}
    assert widths == {7, 4}
    cells = [
        "".join(child.content for child in token.children or [])
        for token in found
        if token.type == "inline" and "alert" in token.content
    ]
    assert line(cases.HOSTILE).replace("@", "@\u2060") in cells


def test_hostile_log_lines_cannot_close_their_block() -> None:
    fences = [token for token in tokens(rendered(cases.hostile())) if token.type == "fence"]
    assert [token.info for token in fences] == ["text", "mermaid"]
    assert "</pre></details>" in fences[0].content
    assert "\x1b" not in fences[0].content


def test_nobody_is_notified_and_no_formula_is_set() -> None:
    text = rendered(cases.hostile())
    outside = re.sub(
        r"^(`{3,})text\n.*?^\1$|<code>.*?</code>|(?<!`)`[^`\n]+`(?!`)", "", text, flags=re.DOTALL | re.M
    )
    assert "@" not in outside
    assert "$" not in outside


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://x>y", "http://x/ <b>", "https://a)b", "data:text/html,x"]
)
def test_an_address_that_is_none_is_no_link(address: str) -> None:
    run = cases.released()
    documents = tuple(
        replace(d, facts=d.facts | {"address": address}) if d.stage == "promote" else d for d in run.evidence
    )
    assert "link_open" not in {token.type for token in tokens(rendered(replace(run, evidence=documents)))}


def enormous() -> Run:
    """Return a run with far more of everything than fits."""
    run = cases.rejected_at_smoke()
    rules = [
        RuleResult(
            "a.rule", f"rule {i} " + "r" * 280, Verdict.FAIL, "m" * 400, "t" * 400, i, "because " + "|" * 280
        )
        for i in range(3000)
    ]
    log = ["`" * 390 for _ in range(4000)]
    documents = [
        replace(d, rules=[*d.rules, *rules], log_tail=log, summary="s" * 5000)
        if d.stage == "smoke-candidate"
        else d
        for d in run.evidence
    ]
    return replace(run, evidence=tuple(documents))


def test_the_limit_holds_and_cuts_neither_the_verdict_nor_the_next_command() -> None:
    text = rendered(enormous())
    assert 150_000 < len(text.encode()) <= summary.LIMIT
    whole = rendered(cases.rejected_at_smoke())
    assert text.splitlines()[0] == whole.splitlines()[0].partition(" (cause: ")[0]
    assert text.splitlines()[2:4] == whole.splitlines()[2:4]
    assert text.rstrip().splitlines()[-3:] == whole.rstrip().splitlines()[-3:]
    cut = re.search(r"_([\d,]+) more gates in the report page\._", text)
    assert cut is not None
    shown = sum(entry.startswith("| ") for entry in text.split("### Stages")[0].splitlines()) - 2
    assert shown + int(cut[1].replace(",", "")) == 3010


@pytest.mark.parametrize("limit", [900, 2_000, 5_000, 20_000, 60_000])
def test_any_limit_holds_and_leaves_whole_blocks(limit: int) -> None:
    text = rendered(enormous(), limit)
    assert len(text.encode()) <= limit
    assert text.startswith("**✗ REJECTED at smoke-candidate**")
    assert "Next: `kickoff logs --env staging --process candidate`" in text
    assert text.count("<details>") == text.count("</details>")


def test_several_deployments_each_say_who_serves() -> None:
    text = rendered(replace(cases.released(), plan=cases.plan("staging", "production")))
    assert f"staging: Serving now to everybody: **{cases.NEW} (green)**" in text
    assert "production: Serving now: **not known from the evidence**" in text


def test_the_commit_is_named_and_the_steps_are_a_table() -> None:
    run = replace(
        cases.released(), subject="Make [tea](x)", author="Ada", commit_url="https://github.com/o/r/commit/4f"
    )
    text = rendered(run)
    assert "Commit: [`4f2c1ab00000`](https://github.com/o/r/commit/4f) Make &#91;tea&#93;(x), by Ada" in text
    assert "| 25% | error rate of users | 0.00% (0 of 940) | limit 1% | pass |" in text
