"""What runs, compared with the file on keyed hashes alone."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from kickoff.environment import drift, loader
from kickoff.environment import schema as schemas
from kickoff.environment.drift import Running, fingerprints
from kickoff.environment.findings import Finding
from kickoff.environment.validation import Checked
from kickoff.errors import ExitCode, KickoffError
from tests.unit.environment.support import GIVEN, ROOT, Loader, Project

KEY = b"k" * 32
ENVIRON = {**GIVEN, "KICKOFF_DATA_DIR": "/srv/data"}
PLACES = ("the record", "the start file", "the process")


def given() -> dict[str, str]:
    environment = loader.load("staging", ROOT, ENVIRON)
    return environment.service_values() | {"KICKOFF_RELEASE": "abc1234-00000000"}


def running(*places: Mapping[str, str], key: bytes = KEY, port: str = "8100") -> Running:
    record, start, process = places
    added = {"PATH": "/bin", "KICKOFF_DATA_DIR": "/srv/data"}
    values = (record, {**added, **start}, {**added, **process})
    return Running(
        release="abc1234-00000000",
        environment_hash=loader.load("staging", ROOT, ENVIRON).hash,
        variables={"KICKOFF_DATA_DIR": "/srv/data"},
        places={place: fingerprints(one, key) for place, one in zip(PLACES, values, strict=True)},
        added=frozenset(added),
        proxy=fingerprints({"PUBLIC_PORT": port}, key),
    )


def compare(found: Running, *, released: bool = False, unknown: str = "") -> list[Finding]:
    schema = schemas.read(ROOT)
    checked: Checked = loader.inspect("staging", ROOT, schema, ENVIRON, with_secrets=True)
    checked.values.pop(unknown, None)
    return drift.compare(checked, schema, found, KEY, released=released)


def changed(**values: str) -> dict[str, str]:
    return given() | values


def test_the_same_everywhere_is_no_drift() -> None:
    assert compare(running(given(), given(), given())) == []


@pytest.mark.parametrize(
    ("where", "places"),
    [
        ([0], "the record"),
        ([1], "the start file"),
        ([2], "the process"),
        ([1, 2], "the start file and the process"),
        ([0, 2], "the record and the process"),
    ],
)
@pytest.mark.parametrize("key", ["CACHE_TTL", "API_KEY", "KICKOFF_RELEASE", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_a_change_in_some_places_was_made_by_hand(key: str, where: list[int], places: str) -> None:
    values = [changed(**{key: "quarry"}) if index in where else given() for index in range(3)]
    found = compare(running(*values))
    assert [one.rule for one in found] == ["drift-by-hand"]
    if key != "KICKOFF_RELEASE":
        assert found[0].message == f"{key} was changed on the target, in {places} of abc1234-00000000"
        assert found[0].file == "configs/environments/staging.env"
        assert found[0].line > 1


def test_a_change_everywhere_means_that_the_file_was_not_deployed() -> None:
    other = changed(CACHE_TTL="quarry")
    assert [one.rule for one in compare(running(other, other, other))] == ["drift-undeployed"]
    # … unless the file is known to be what was released.
    by_hand = compare(running(other, other, other), released=True)
    assert [one.rule for one in by_hand] == ["drift-by-hand"]
    assert "in the record and the start file and the process" in by_hand[0].message


def test_a_missing_and_an_added_variable_are_changes() -> None:
    less = {key: value for key, value in given().items() if key != "CACHE_TTL"}
    assert [one.key for one in compare(running(given(), given(), less))] == ["CACHE_TTL"]
    found = compare(running(given(), changed(TZ="UTC"), changed(TZ="UTC")))
    assert [one.message.split()[0] for one in found] == ["TZ"]


def test_a_name_that_may_be_a_secret_is_not_shown() -> None:
    found = compare(running(given(), given(), changed(ghp_16C7e42F292c6912E7710c838347Ae178B4a="x")))
    assert found[0].message.startswith("a variable was changed")


def test_an_unknown_value_is_compared_on_the_target_alone() -> None:
    other = changed(API_KEY="quarry")
    assert compare(running(other, other, other), unknown="API_KEY") == []
    assert [one.key for one in compare(running(other, other, given()), unknown="API_KEY")] == ["API_KEY"]


def test_the_port_of_the_proxy() -> None:
    found = compare(running(given(), given(), given(), port="8101"))
    assert [(one.key, one.rule) for one in found] == [("PUBLIC_PORT", "drift-undeployed")]
    found = compare(running(given(), given(), given(), port="8101"), released=True)
    assert "PUBLIC_PORT was changed on the target, in the proxy of" in found[0].message


def test_hashes_depend_on_key_name_and_value() -> None:
    one = fingerprints({"A": "x", "B": "x"}, KEY)
    assert len({*one.values(), *fingerprints({"A": "x"}, b"other").values()}) == 3
    assert one == fingerprints({"B": "x", "A": "x"}, KEY)


def reader(*places: Mapping[str, str]) -> drift.Reader:
    return lambda _root, _name, key: running(*places, key=key)


def test_the_command_says_what_differs_and_keeps_it(loader: Loader, project: Project) -> None:
    secret = GIVEN
    same = loader("drift", "--env", "staging", environ=secret, read_running=reader(given(), given(), given()))
    assert (same.code, same.err) == (0, "")
    compared = f"{len(given()) + 2} values of abc1234-00000000 compared"
    assert f"✓ staging runs what its file says: {compared}" in same.out

    other = changed(CACHE_TTL="9m", API_KEY="quarry-lantern-47-slowly")
    summary = project.root / "summary.md"
    github = {**secret, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    found = loader(
        "drift", "--env", "staging", "--evidence", "kept",
        environ=github, read_running=reader(other, other, other),
    )  # fmt: skip
    assert found.code == ExitCode.REJECTED
    # The file and the secret hash to what was released, so it was the target that changed. What the file does not
    # name is shown at its end.
    file = "configs/environments/staging.env"
    end = len((project.root / file).read_text("utf-8").splitlines())
    assert f"::error file={file},line={end},col=1,title=drift-by-hand::CACHE_TTL" in found.out
    assert "| drift-by-hand | API_KEY was changed" in summary.read_text("utf-8")
    document = json.loads((project.root / "kept" / "drift.staging.json").read_text("utf-8"))
    assert document["verdict"] == "fail"
    assert {one["key"] for one in document["facts"]["findings"]} == {"API_KEY", "CACHE_TTL"}
    shown = found.out + found.err + json.dumps(document) + summary.read_text("utf-8")
    assert "lantern" not in shown
    assert "9m" not in shown


def test_a_secret_that_is_not_set_is_no_pass(loader: Loader) -> None:
    read = reader(given(), given(), given())
    database = {"DATABASE_URL": GIVEN["DATABASE_URL"]}
    unset = loader("drift", "--env", "staging", environ=database, read_running=read)
    assert unset.code == ExitCode.INCONCLUSIVE
    assert "inconclusive: the secret API_KEY is not set here" in unset.err
    assert "✓" not in unset.out
    shown = loader("drift", "--env", "staging", "--format", "markdown", environ=database, read_running=read)
    assert shown.out.startswith("**the secret API_KEY is not set here")
    left_out = loader("drift", "--env", "staging", "--without-secrets", read_running=read)
    assert left_out.code == 0
    assert "Secrets were compared on the target alone" in left_out.out


def test_a_broken_file_is_no_pass(loader: Loader, project: Project) -> None:
    project.replace("staging", "LOG_LEVEL", "LOG_LEVEL=loud")
    arguments = ("drift", "--env", "staging", "--without-secrets")
    assert loader(*arguments, read_running=reader(given(), given(), given())).code == ExitCode.BAD_INPUT
    other = loader(*arguments, read_running=reader(given(), given(), changed(LOG_LEVEL="info2")))
    assert other.code == ExitCode.REJECTED
    assert "allowed-values" in other.out
    assert "drift-by-hand: LOG_LEVEL was changed on the target, in the process" in other.out


def test_a_target_that_cannot_be_read_leaves_evidence(loader: Loader, project: Project) -> None:
    def unreachable(root: Path, name: str, key: bytes) -> Running:
        raise KickoffError("the process is gone", code=ExitCode.UNREACHABLE)

    outcome = loader("drift", "--env", "staging", "--evidence", "kept", read_running=unreachable)
    assert outcome.code == ExitCode.UNREACHABLE
    document = json.loads((project.root / "kept" / "drift.staging.json").read_text("utf-8"))
    assert (document["verdict"], document["summary"]) == ("inconclusive", "the process is gone")
    assert loader("drift", "--env", "stagin", read_running=unreachable).code == ExitCode.BAD_INPUT
