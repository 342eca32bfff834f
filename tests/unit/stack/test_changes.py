"""What a change of the compose file or of a mounted file means for the containers that run."""

from pathlib import Path
from typing import Any

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.stack import Change, Compose, Stack, declaration, differences, project_of
from kickoff.stack.compose import compose_files, install_files, source_files
from kickoff.stack.differences import run_once

FOLDER = "/state/stack/files"


def document(**services: dict[str, Any]) -> dict[str, Any]:
    return {"services": services}


def mounting(source: str) -> dict[str, Any]:
    return {"image": "x:1", "volumes": [{"type": "bind", "source": f"{FOLDER}/{source}", "target": "/x"}]}


DATABASE = {"image": "postgres:17", "labels": {"kickoff.stateful": "true"}}


def told(
    before: dict[str, Any], after: dict[str, Any], *touched: str, stopped: tuple[str, ...] = ()
) -> list[str]:
    changed = {f"{FOLDER}/{path}": path for path in touched}
    return [" ".join(str(change).split()) for change in differences(before, after, changed, stopped)]


def test_nothing_differs() -> None:
    same = document(proxy=mounting("configs/a.yml"), db=DATABASE)
    assert told(same, same) == []
    assert told(same, same, "configs/environments/x.env", "configs/a.yml.old") == []


def test_each_kind_of_change_names_its_reason() -> None:
    before = document(
        proxy=mounting("configs/a.yml"), db=DATABASE, old={"image": "old:1"}, cache={"image": "c:1"}
    )
    after = document(
        proxy=mounting("configs/a.yml"),
        db={**DATABASE, "mem_limit": "1", "image": "postgres:18"},
        cache={"image": "c:1"},
        new={"image": "new:1"},
    )
    assert told(before, after, "configs/a.yml", stopped=("cache",)) == [
        "restart proxy configs/a.yml changed",
        "recreate db image, mem_limit changed (holds data)",
        "start cache is not running",
        "create new is new",
        "remove old is no longer wanted",
    ]


def test_a_changed_folder_or_secret_restarts_what_mounts_it() -> None:
    same = document(watch=mounting("configs/rules"), alerts={"secrets": [{"source": "hook"}]})
    same["secrets"] = {"hook": {"file": f"{FOLDER}/secrets/hook"}}
    assert told(same, same, "configs/rules", "secrets/hook", "secrets/other") == [
        "restart watch configs/rules changed",
        "restart alerts secrets/hook changed",
    ]


def test_a_new_host_needs_everything() -> None:
    assert told({}, document(db=DATABASE)) == ["create db is new (holds data)"]


def project(root: Path) -> Path:
    for path, text in {
        "docker-compose.staging.yml": "name: x\n",
        "configs/compose/common.yml": "services: {}\n",
        "configs/redis/start.sh": "echo\n",
        "configs/environments/staging.env": "A=1\n",
        "configs/limits.yml": "name: x\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "configs/redis/start.sh").chmod(0o755)
    return root


def test_files_are_installed_once_and_those_that_are_gone_are_removed(tmp_path: Path) -> None:
    root, there = project(tmp_path / "project"), tmp_path / "there"
    wanted = source_files(root, "staging")
    assert Path("configs/environments/staging.env") not in wanted
    assert compose_files(root, "staging") == [
        Path("docker-compose.staging.yml"), Path("configs/compose/common.yml"),
    ]  # fmt: skip
    assert install_files(root, "staging", there) == wanted
    assert (there / "configs/redis/start.sh").stat().st_mode & 0o777 == 0o755
    assert (there / "configs/limits.yml").stat().st_mode & 0o777 == 0o644
    inode = (there / "configs/limits.yml").stat().st_ino
    (root / "configs/redis/start.sh").unlink()
    (root / "configs/compose/common.yml").write_text("services: {a: {}}\n")
    assert install_files(root, "staging", there) == [
        Path("configs/compose/common.yml"), Path("configs/redis/start.sh"),
    ]  # fmt: skip
    assert (there / "configs/limits.yml").stat().st_ino == inode  # a mounted file must stay the same one
    assert not (there / "configs/redis/start.sh").exists()
    assert install_files(root, "staging", there) == []


def describe(root: Path, entry: str) -> None:
    (root / "kickoff.yml").write_text(
        "name: x\nbundle: [x]\nprocesses: {web: {command: [x]}}\nhealth: {live: /, ready: /}\n"
        f"required_checks: []\nsmoke: [{{name: x, path: /}}]\nenvironments: {{uat: {entry}}}\n"
    )


def test_an_environment_without_a_compose_file_says_what_to_do(tmp_path: Path) -> None:
    describe(project(tmp_path), "{}")
    with pytest.raises(KickoffError, match=r"docker-compose\.uat\.yml is missing") as caught:
        source_files(tmp_path, "uat")
    assert "environments.uat.compose" in caught.value.hint
    assert "DEPLOY_TARGET=local" in caught.value.hint


def test_an_environment_may_share_the_compose_file_of_another_one(tmp_path: Path) -> None:
    root, there = project(tmp_path / "project"), tmp_path / "there"
    (root / "docker-compose.staging.yml").write_text(
        "name: x-${APP_ENV:-staging}\nx-kickoff: {names: [SITE]}\n"
    )
    describe(root, "{compose: docker-compose.staging.yml}")
    assert compose_files(root, "uat")[0] == Path("docker-compose.staging.yml")
    assert declaration.read(root, "uat").names == ("SITE",)
    assert install_files(root, "uat", there)[0] == Path("docker-compose.uat.yml")
    assert install_files(root, "uat", there) == []
    assert Compose(there, "docker-compose.uat.yml", []).project == "x-uat"
    assert project_of(root / "docker-compose.staging.yml", "staging") == "x-staging"
    (root / "docker-compose.uat.yml").write_text("name: own\n")
    assert compose_files(root, "uat")[0] == Path("docker-compose.uat.yml"), "its own comes first"


@pytest.mark.parametrize(("text", "name"), [("name: a-b_1\n", "a-b_1"), ("x: 1\nname: 'abc' # why\n", "abc")])
def test_the_project_has_the_name_that_its_file_says(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "docker-compose.staging.yml").write_text(text + "services: {a: {command: !reset []}}\n")
    assert Compose(tmp_path, "docker-compose.staging.yml", []).project == name


@pytest.mark.parametrize("text", ["services: {}\n", "services:\n  name: x\n", "name: ${X}\n", "name:\n"])
def test_a_project_without_a_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "docker-compose.staging.yml").write_text(text)
    with pytest.raises(KickoffError, match="no name of its own"):
        _ = Compose(tmp_path, "docker-compose.staging.yml", []).project


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"resolved": {}}', '{"resolved": 1, "mounted": {}}'])
def test_a_damaged_record_of_what_was_applied_is_an_error(tmp_path: Path, text: str) -> None:
    stack = Stack(project(tmp_path / "project"), "staging", tmp_path, tmp_path / "routes")
    (tmp_path / "applied.json").write_text(text)
    with pytest.raises(KickoffError, match="is damaged") as caught:
        stack._last()
    assert caught.value.at == str(tmp_path / "applied.json")


@pytest.mark.parametrize("action", ["recreate", "remove"])
def test_what_holds_data_is_not_touched_unless_it_is_named(
    tmp_path: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(project(tmp_path / "project"), "staging", tmp_path, tmp_path / "routes")
    monkeypatch.setattr(Stack, "plan", lambda _self: [Change("db", action, "differs", "holds data")])
    with pytest.raises(KickoffError, match=f"db would be {action}d") as caught:
        stack.apply(["cache"], lambda _text: None)
    assert caught.value.code == ExitCode.REJECTED
    assert "--recreate db" in caught.value.hint
    assert not (tmp_path / "files").exists()


def test_a_network_that_differs_is_made_anew_only_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend: dict[str, Any] = {"name": "x_backend", "internal": True}
    before = document(db=DATABASE) | {"networks": {"backend": backend}}
    after = before | {"networks": {"backend": backend | {"ipam": {"config": []}}, "new": {"name": "x_new"}}}
    (change,) = differences(before, after, {}, ())
    assert str(change).startswith("recreate  network backend          ipam changed (every container")
    stack = Stack(project(tmp_path / "project"), "staging", tmp_path, tmp_path / "routes")
    monkeypatch.setattr(Stack, "plan", lambda _self: [change])
    with pytest.raises(KickoffError, match="backend would be recreated") as caught:
        stack.apply(["db"], lambda _text: None)
    assert "--recreate backend" in caught.value.hint


def test_what_cuts_users_off_is_said() -> None:
    proxy = {"image": "traefik:v3"}
    changed = document(traefik=proxy | {"image": "traefik:v4"})
    assert told(document(traefik=proxy), changed) == [
        "recreate traefik image changed (users are cut off for some seconds)"
    ]
    assert told(document(traefik=proxy), document(traefik=proxy), stopped=("traefik",)) == [
        "start traefik is not running"
    ]


def test_what_runs_once_is_what_another_service_waits_for_the_end_of() -> None:
    waiting = {
        "depends_on": {"init": {"condition": "service_completed_successfully"}, "db": {"condition": "x"}}
    }
    assert run_once(document(init={}, db=DATABASE, proxy=waiting)) == {"init"}
