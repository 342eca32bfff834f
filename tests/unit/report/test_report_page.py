"""The report page: complete without scripts, free of requests, safe with hostile text, within its budget."""

import base64
import gzip
import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from kickoff.report import page
from kickoff.report.language import ENGLISH, told, using
from kickoff.report.outcome import decide
from kickoff.report.past import Past
from kickoff.report.run import Run
from kickoff.report.verdicts import RunVerdict
from tests.unit.report import cases
from tests.unit.report.test_report_summary import enormous

ALL = [
    cases.released,
    cases.first_release,
    cases.rejected_at_smoke,
    cases.rolled_back_after_bake,
    cases.unchanged,
    cases.inconclusive,
    cases.hostile,
    enormous,
]
ADDRESS = "http://127.0.0.1:8100"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """A page as a browser reads it: elements with their attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def rendered(run: Run) -> str:
    return page.render(run, decide(run))


@pytest.mark.parametrize("make", ALL)
def test_the_page_is_well_formed_and_asks_nobody_for_anything(make: Callable[[], Run]) -> None:
    html = rendered(make())
    found = Page(html)
    assert found.unbalanced == []
    assert found.open == []
    assert len(html.encode()) < page.LIMIT
    for tag, attributes in found.elements:
        assert tag not in (
            "img",
            "iframe",
            "object",
            "embed",
            "form",
            "base",
            "use",
            "image",
            "foreignobject",
        )
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("style", "src", "srcset", "action", "xlink:href")
            if name == "href":
                # The release's own address is the only one in these runs; nothing loads it.
                assert value.startswith(("data:,", "data:application/gzip;base64,")) or value == ADDRESS
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.parametrize("make", ALL)
def test_every_reference_within_the_page_holds(make: Callable[[], Run]) -> None:
    found = Page(rendered(make()))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in found.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            if name in attributes:
                assert attributes[name] in ids


def test_the_policy_allows_our_style_and_script_only() -> None:
    html = rendered(cases.released())
    policy = next(a["content"] for a in Page(html).all("meta") if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    for tag in ("style", "script"):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert len(bodies) == 1
        digest = base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert len(bodies[0].encode()) < {"style": 12_000, "script": 10_000}[tag]


def test_the_page_tells_its_story_in_order() -> None:
    text = Page(rendered(cases.rolled_back_after_bake())).text
    order = [
        "ROLLED BACK",
        "more errors than allowed",
        "Serving now",
        "Failures and logs",
        "Facts",
        "Gates",
        "Timeline",
        "Traffic during the cutover",
        "Response times of the candidate",
        "Endpoints",
        "Last releases",
        "Stages",
        "Provenance",
    ]
    body = text[text.index("ROLLED BACK", 40) :]
    places = [body.index(part) for part in order]
    assert places == sorted(places)
    for fact in (cases.NEW, cases.OLD, "ada", "canary", cases.DIGEST, "http://127.0.0.1:8100", "staging"):
        assert fact in text
    assert f"git checkout {cases.COMMIT} && kickoff deploy --env staging" in text


def test_the_journal_and_the_provenance_hold_the_details() -> None:
    text = Page(rendered(cases.released())).text
    assert "ready, 0.9 s, colour green" in text
    assert "shift, green 5.0" in text
    for name, value in (
        ("environment hash", "e" * 64),
        ("stack hash", "5" * 64),
        ("schema revision", "0003"),
    ):
        assert f"{name} {value}" in text


def test_failed_gates_come_first() -> None:
    rows = re.findall(r'<tr role="row" class="([a-z-]+)">', rendered(cases.rolled_back_after_bake()))
    assert rows[0] == "fail"
    assert "fail" not in rows[1:18]


@pytest.mark.parametrize(
    ("make", "opened"),
    [
        (cases.rejected_at_smoke, {"log-1", "gates-5"}),
        (cases.inconclusive, {"gates-6"}),
        (cases.released, set()),
    ],
)
def test_what_explains_a_failure_is_open_and_nothing_else(make: Callable[[], Run], opened: set[str]) -> None:
    found = Page(rendered(make()))
    assert {attributes["id"] for attributes in found.all("details") if "open" in attributes} == opened


def test_a_log_is_cut_by_lines_and_says_how_many_and_where_the_rest_is() -> None:
    long = [f"line {number}" for number in range(page.LEVELS[0].log + 7)]
    flood = ["x" * 5000]
    run = cases.run_of(*cases.before(), cases.staged(log_tail=long), cases.smoked(log_tail=flood))
    shown = re.findall(r"<pre[^>]*>(.*?)</pre>", rendered(run), re.DOTALL)
    assert shown[0].startswith(
        f"… 7 more lines; all: kickoff logs --env staging --process {cases.NEW}\nline 7\n"
    )
    assert shown[1].endswith("xxx … 3,000 more characters")
    failed = cases.rejected_at_smoke()
    at = next(i for i, entry in enumerate(failed.evidence) if entry.stage == "smoke-candidate")
    failed.evidence[at].log_tail[:] = ["ERROR no", *(f"INFO step {i}" for i in range(400))]
    text = re.findall(r"<pre[^>]*>(.*?)</pre>", rendered(failed), re.DOTALL)[0]
    assert re.search(r"\n… [\d,]+ more lines; all: kickoff logs --env staging --process ", text)


def test_gates_are_folded_by_stage() -> None:
    text = Page(rendered(cases.rejected_at_smoke())).text
    assert "smoke-candidate 1 failed, 1 passed" in text
    assert "quality-gate 5 passed" in text


def test_every_chart_has_a_name_a_description_and_its_numbers() -> None:
    html = rendered(cases.released())
    charts = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(charts) == 8  # four charts, each wide and narrow
    for chart in charts:
        assert re.search(r'<title id="[^"]+">[^<]{10,}</title><desc id="[^"]+">[^<]{20,}</desc>', chart)
        assert 'role="img"' in chart
    figures = re.findall(r"<figure.*?</figure>", html, re.DOTALL)
    assert sum("<summary>Data</summary>" in figure for figure in figures) == 3


def test_thin_data_says_so_instead_of_empty_axes() -> None:
    found = Page(rendered(cases.first_release()))
    assert "Too little to draw the cutover: nothing was measured" in found.text
    assert "There was no live release to compare with." in found.text
    rejected = Page(rendered(cases.rejected_at_smoke()))
    assert "No traffic was moved: nothing was promoted" in rejected.text
    assert len(rejected.all("svg")) == 2


def test_hostile_text_is_shown_and_never_obeyed() -> None:
    html = rendered(cases.hostile())
    found = Page(html)
    assert len(found.all("script")) == 1
    assert "<script>alert" not in html
    assert "<script>alert(1)</script></details>|`x`" in found.text
    assert "{{ 7*7 }}" in found.text
    assert "49" not in re.findall(r"\$x\$ (\S+)", found.text)
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "git checkout" not in found.text


def test_only_a_plain_address_becomes_a_link() -> None:
    assert next(a["href"] for a in Page(rendered(cases.released())).all("a")) == ADDRESS
    for odd in (
        "javascript:alert(1)",
        'http://a"onclick=x',
        "http://user:word@host/",
        "//host",
        "data:text/html,x",
    ):
        run = cases.released()
        run.evidence[6].facts["address"] = odd
        assert [a["href"][:5] for a in Page(rendered(run)).all("a")] == ["data:"]


def test_commit_run_and_load_test_are_linked_and_the_commit_is_named() -> None:
    run = replace(
        cases.released(),
        subject="Make the tea",
        author="Ada",
        commit_url="https://github.com/o/r/commit/4f2c1ab",
        run_url="https://github.com/o/r/actions/runs/7",
        pages={"staging": "performance.staging.html"},
    )
    found = Page(rendered(run))
    assert {run.commit_url, run.run_url, ADDRESS, "performance.staging.html"} <= {
        a["href"] for a in found.all("a")
    }
    assert "Make the tea" in found.text
    assert "author Ada" in found.text


def test_only_a_real_run_address_becomes_a_link() -> None:
    good = replace(cases.released(), run_url="https://github.com/o/r/actions/runs/7")
    links = [a["href"] for a in Page(rendered(good)).all("a")]
    assert links[1] == "https://github.com/o/r/actions/runs/7"
    bad = replace(cases.released(), run_url="javascript:alert(1)")
    assert all(not a["href"].startswith("javascript") for a in Page(rendered(bad)).all("a"))


def test_the_data_file_holds_all_evidence_and_the_page_depends_on_nothing_else() -> None:
    run = cases.released()
    html = rendered(run)
    assert html == rendered(run)
    href = next(a["href"] for a in Page(html).all("a") if a.get("download"))
    document = json.loads(gzip.decompress(base64.b64decode(href.partition(",")[2])))
    assert [entry["stage"] for entry in document["evidence"]] == [d.stage for d in run.evidence]
    assert len(document["evidence"][6]["series"]["traffic"]) == 132
    assert document["outcome"]["verdict"] == "released"


def test_a_long_run_stays_within_the_budget_and_says_what_it_left_out() -> None:
    run = cases.released()
    points = [
        {"t": i / 2, "release": cases.NEW, "colour": "green", "rps": math.sin(i) * 50 + 100.123, "failed": i % 3,
         "p95_ms": math.cos(i) * 9 + 20.01}
        for i in range(20_000)
    ]  # fmt: skip
    promote = replace(
        run.evidence[6],
        series={"traffic": points, "weights": run.evidence[6].series["weights"]},
        timeline=[{"at": cases.at(i), "event": "e" * 900} for i in range(2_000)],
    )
    long = replace(run, evidence=(*run.evidence[:6], promote, *run.evidence[7:]))
    html = rendered(long)
    assert len(html.encode()) < page.LIMIT
    assert "rows; the data file has all" in html or "in the evidence folder" in html
    assert "19,999 of about" in html  # merging points loses no failure


def test_missing_evidence_is_visible() -> None:
    run = cases.released()
    lost = replace(run, evidence=tuple(d for d in run.evidence if d.stage != "promote"))
    assert "left no evidence" in Page(rendered(lost)).text


def test_several_deployments_are_all_shown() -> None:
    found = Page(rendered(replace(cases.released(), plan=cases.plan("staging", "production"))))
    assert "Traffic during the cutover in staging" in found.text
    assert "Traffic during the cutover in production" in found.text


def test_no_evidence_still_gives_a_page() -> None:
    found = Page(rendered(Run((), cases.plan("staging"), ("promote.json is not JSON",))))
    assert "no data is never a pass" in found.text
    assert "promote.json is not JSON" in found.text


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, two: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_that_people_need(theme: int) -> None:
    style = files("kickoff.report").joinpath("templates", "page.css").read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block))
    for text in ("ink", "quiet", "pass", "fail", "doubt", "none"):
        assert _contrast(colours[text], colours["page"]) >= 4.5
    for kind in ("pass", "fail", "doubt", "none"):
        for text in ("ink", "quiet", kind):
            assert _contrast(colours[text], colours[f"{kind}-soft"]) >= 4.5
        assert _contrast(colours[kind], colours["card"]) >= 4.5
    for line in ("one", "two", "three"):
        assert _contrast(colours[line], colours["page"]) >= 3


def test_a_page_is_reproduced_by_a_command_that_the_project_has() -> None:
    assert (
        "kickoff release --env staging"
        in Page(rendered(replace(cases.released(), workflows=frozenset()))).text
    )


def test_print_hides_what_only_a_screen_can_do_and_parts_no_heading_from_what_it_heads() -> None:
    html = rendered(cases.released())
    css = html[html.index("@media print") :]
    assert ".download { display: none; }" in css and 'class="download"' in html
    assert re.search(r"h2, h3, figcaption, summary, thead \{ break-after: avoid; \}", css)
    assert re.search(r"details::details-content \{ content-visibility: visible", css)


def test_the_run_of_the_page_is_named_in_its_language() -> None:
    past = [
        Past(f"{n}", "staging", "released", 0, cases.OLD, cases.at(-n), 9.0, 20.0, "", "") for n in (1, 2)
    ]
    run = replace(cases.released(), past=tuple(past))
    for language, name in ((ENGLISH, "this"), ("zh_CN", "本次")):
        with using(language):
            assert f">{name}</text>" in rendered(run)


def test_every_outcome_of_an_earlier_run_is_named_in_the_language_of_the_page() -> None:
    for verdict in RunVerdict:
        word = Past("1", "staging", verdict.value, 0, cases.OLD, cases.at(0), 9.0, None, "", "").word
        with using("zh_CN"):
            assert told(word) != word
