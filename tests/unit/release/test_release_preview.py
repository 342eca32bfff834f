"""What a plan tells before anything is changed."""

from dataclasses import replace

from kickoff.judging import Comparison
from kickoff.release.model import Facts
from kickoff.release.preview import KeyChanges, Preview
from kickoff.release.strategy import Step

OLD = Facts("sha256:" + "a" * 64, "e" * 64, "5" * 64, "0002")
PREVIEW = Preview(
    release="2222222-bbbbbbbb",
    live="1111111-aaaaaaaa",
    before=OLD,
    after=replace(OLD, artifact="sha256:" + "b" * 64, schema="0003"),
    keys=KeyChanges(("NEW",), ("LOG_LEVEL",), ()),
    judged=Comparison("1111111-aaaaaaaa", recorded=True, changes=()),
    candidate="green",
    serving="blue",
    gives_way="0000000-cccccccc",
    command=("python", "-m", "app"),
    hook=("alembic", "upgrade", "head"),
    checks=("smoke-candidate",),
    no_load="",
    steps=[Step(5, 30.0), Step(100, 60.0)],
)


def test_keys_are_compared_by_name_and_the_release_id_is_no_change() -> None:
    before = {"A": "1", "B": "hunter2", "GONE": "x", "KICKOFF_RELEASE": "r1"}
    after = {"A": "1", "B": "hunter3", "NEW": "y", "KICKOFF_RELEASE": "r2"}
    changes = KeyChanges.between(before, after)
    assert changes == KeyChanges(added=("NEW",), changed=("B",), removed=("GONE",))
    assert str(changes) == "added NEW; changed B; removed GONE"
    assert str(KeyChanges.between(before, before)) == "no key changes"


def test_the_lines_tell_what_would_happen_in_order() -> None:
    text = "\n".join(PREVIEW.lines())
    for expected in (
        "release      1111111-aaaaaaaa → 2222222-bbbbbbbb",
        "environment  unchanged",
        "schema       0002 → 0003",
        "keys         added NEW; changed LOG_LEVEL",
        "hook         `alembic upgrade head` (migrates)",
        "stop         0000000-cccccccc on green, drained",
        "start        `python -m app` on green",
        "checks       smoke-candidate",
        "traffic      green 5%, blue 95%, watched for 30 s",
        "traffic      green 100%, watched for 60 s",
        "keep         1111111-aaaaaaaa warm on blue",
    ):
        assert expected in text
    assert text.index("start ") < text.index("checks ") < text.index("traffic ")
    assert PREVIEW.to_document()["held_seconds"] == 90.0


def test_a_freeze_is_told_first() -> None:
    frozen = replace(PREVIEW, frozen="frozen until Mon 2026-11-30 08:00 UTC: nobody is here")
    assert frozen.lines()[1] == "refused      frozen until Mon 2026-11-30 08:00 UTC: nobody is here"


def test_a_first_release_has_nothing_to_compare_with_or_to_keep() -> None:
    first = replace(PREVIEW, live="", before=None, candidate="blue", serving="", gives_way="", steps=[])
    text = "\n".join(first.lines())
    assert "release      nothing → 2222222-bbbbbbbb" in text
    assert "schema       nothing → 0003" in text
    assert first.migrates
    assert "keep" not in text
    assert "stop" not in text


def test_the_release_that_serves_already_is_nothing_to_do() -> None:
    same = replace(PREVIEW, release=PREVIEW.live)
    assert not same.changes
    assert same.lines() == ["1111111-aaaaaaaa serves already: nothing to do"]


def test_an_artefact_without_schema_does_not_migrate() -> None:
    assert not replace(PREVIEW, after=replace(OLD, schema="")).migrates
    assert "finds the schema as it should be" in "\n".join(replace(PREVIEW, after=OLD).lines())


def test_a_plan_without_a_load_test_says_so() -> None:
    why = "no load test (load: none in kickoff.yml)"
    assert f"load         {why}" in replace(PREVIEW, no_load=why).lines()
    assert not [line for line in PREVIEW.lines() if line.startswith("load ")]
