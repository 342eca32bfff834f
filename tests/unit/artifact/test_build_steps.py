"""The build of a service: in a clean checkout, once for what it is made of, and answered where it fails."""

import json
import os
from pathlib import Path

import pytest

from kickoff.artifact import bundle, source
from kickoff.artifact.build_failure import BuildFailed
from kickoff.artifact.build_steps import Steps
from kickoff.artifact.bundle import Bundle
from kickoff.cli import main
from kickoff.description import BuildStep
from kickoff.errors import ExitCode, KickoffError
from kickoff.service import parse
from tests.unit.artifact.repositories import Repository, commit
from tests.unit.processes import assert_gone

AT = "kickoff.yml:4"
MAKE = "mkdir -p dist/bin && cat app/main.py > dist/main.js && ln -s main.js dist/link && echo x >> $COUNT"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))


def step(script: str, *outputs: str, seconds: int = 60) -> BuildStep:
    return BuildStep(("sh", "-c", script), outputs, seconds, AT)


def build(root: Path, folder: Path, *commands: BuildStep, paths: tuple[str, ...] = (".",)) -> Bundle:
    steps = Steps(commands, ("COUNT",))
    return bundle.build(root, source.resolve(root), paths, folder / "store", steps)


def unpacked(made: Bundle, folder: Path) -> Path:
    bundle.unpack(made.path, folder)
    return folder


def test_outputs_are_shipped_with_what_is_committed(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    (root / "ignored").write_text("not committed\n")
    script = f"{MAKE} && test ! -e ignored && chmod +x dist/main.js"
    made = build(root, tmp_path, step(script, "dist"), paths=("app", "dist"))
    found = unpacked(made, tmp_path / "out")
    assert (found / "dist" / "link").read_text() == "print(1)\n"
    assert os.access(found / "dist" / "main.js", os.X_OK)
    assert (found / "app" / "main.py").is_file()
    assert not (found / "other.txt").exists()


def test_all_that_is_committed_is_the_default_and_outputs_alone_are_possible(
    repository: Repository, tmp_path: Path
) -> None:
    root = repository("one")
    every = unpacked(build(root, tmp_path, step(MAKE, "dist")), tmp_path / "every")
    assert {path.name for path in every.iterdir()} == {"app", "dist", "other.txt"}
    alone = unpacked(build(root, tmp_path, step(MAKE, "dist"), paths=("dist",)), tmp_path / "alone")
    assert [path.name for path in alone.iterdir()] == ["dist"]


def test_a_build_runs_once_for_what_it_is_made_of(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, count = repository("one"), tmp_path / "count"
    first = build(root, tmp_path, step(MAKE, "dist"), paths=("dist",))
    again = build(root, tmp_path, step(MAKE, "dist"), paths=("dist",))
    assert (first.digest, first.created, again.created) == (again.digest, True, False)
    assert count.read_text() == "x\n"
    build(root, tmp_path, step(f"{MAKE} && true", "dist"), paths=("dist",))  # another command
    (root / "other.txt").write_text("changed\n")
    commit(root)
    changed = build(root, tmp_path, step(MAKE, "dist"), paths=("dist",))  # another commit, the same content
    assert changed.digest == first.digest
    monkeypatch.setenv("COUNT", str(tmp_path / "other"))
    build(root, tmp_path, step(MAKE, "dist"), paths=("dist",))  # another value of a variable
    assert count.read_text() == "x\n" * 3
    assert (tmp_path / "other").read_text() == "x\n"


def test_the_key_of_a_build_is_no_place_to_try_secrets_on(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, steps = repository("one"), Steps((step(MAKE, "dist"),), ("TOKEN",))
    given = {"TOKEN": "hunter2"}
    hashed: list[str] = []
    dumps = json.dumps

    def spy(parts: object, **options: bool) -> str:
        hashed.append(str(parts))
        return dumps(parts, sort_keys=options["sort_keys"])

    monkeypatch.setattr("kickoff.artifact.build_steps.json.dumps", spy)
    steps.key(root, source.resolve(root), ["."], given)
    assert "hunter2" not in hashed[0]
    assert "TOKEN" in hashed[0]


def test_a_damaged_bundle_is_built_anew(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    first = build(root, tmp_path, step(MAKE, "dist"))
    first.path.write_bytes(b"damaged")
    assert build(root, tmp_path, step(MAKE, "dist")).digest == first.digest
    assert bundle.find(tmp_path / "store", first.digest) == first.path


def test_nothing_of_a_build_is_left(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    build(root, tmp_path, step(MAKE, "dist"))
    assert [
        path for path in (tmp_path / "cache").rglob("*") if path.suffix != ".lock" and path.is_file()
    ] == []
    assert not (root / "dist").exists()


@pytest.mark.parametrize(
    ("given", "words", "log"),
    [
        (step("echo why; exit 3", "dist"), "failed with exit code 3", ("why",)),
        (step("true", "dist"), "left no dist", ()),
        (step("echo slow; sleep 60", "dist", seconds=1), "did not end within 1 s", ("slow",)),
    ],
)
def test_a_failure_is_shown_with_its_line_and_its_last_words(
    repository: Repository, tmp_path: Path, given: BuildStep, words: str, log: tuple[str, ...]
) -> None:
    with pytest.raises(BuildFailed, match=words) as caught:
        build(repository("one"), tmp_path, given)
    assert (caught.value.code, caught.value.at, caught.value.log) == (ExitCode.REJECTED, AT, log)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_failed_build_leaves_evidence_with_its_last_words(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository("one")
    build = "build: [{run: [sh, -c, 'echo why; exit 3'], outputs: [dist]}]"
    (root / "kickoff.yml").write_text(f"name: things\nrun: x\nhealth: /h\n{build}\n")
    commit(root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("KICKOFF_EVIDENCE_DIR", str(tmp_path / "evidence"))
    assert main.main(["build"]) == 1
    document = json.loads((tmp_path / "evidence" / "build.json").read_text())
    assert (document["verdict"], document["log_tail"]) == ("fail", ["why"])
    assert [rule["id"] for rule in document["rules"]] == ["build.steps"]
    assert document["facts"] == {"kind": "bundle", "commit": source.resolve(root)}


def test_a_build_does_not_wait_for_what_a_step_leaves_running(repository: Repository, tmp_path: Path) -> None:
    script = "mkdir dist && touch dist/x; sleep 600 & echo $! > $COUNT"
    assert build(repository("one"), tmp_path, step(script, "dist", seconds=30)).created
    assert_gone(int((tmp_path / "count").read_text()))


def test_a_missing_program_is_named(repository: Repository, tmp_path: Path) -> None:
    missing = BuildStep(("no-such-program", "x"), ("dist",), 60, AT)
    with pytest.raises(KickoffError, match="'no-such-program' was not found in PATH") as caught:
        build(repository("one"), tmp_path, missing)
    assert (caught.value.code, caught.value.at) == (ExitCode.BAD_INPUT, AT)


def test_the_description_names_steps_in_either_form() -> None:
    text = (
        "name: things\nrun: x\nhealth: /h\nbuild:\n  - npm ci\n"
        "  - {run: npm run build, outputs: [dist/], timeout_seconds: 9}\n"
    )
    one, two = parse(text, "kickoff.yml").build
    assert one == BuildStep(("npm", "ci"), (), 1800, "kickoff.yml:5")
    assert two == BuildStep(("npm", "run", "build"), ("dist",), 9, "kickoff.yml:6")
    with pytest.raises(KickoffError, match="names no `outputs`") as caught:
        parse("name: things\nrun: x\nhealth: /h\nbuild: [npm ci]\n", "kickoff.yml")
    assert caught.value.at == "kickoff.yml:4"
