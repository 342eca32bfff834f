"""What a compose file says of its host: read, checked, and turned into secrets, networks and files."""

import re
from pathlib import Path

import pytest
import yaml

from kickoff import stack
from kickoff.errors import ExitCode, KickoffError
from kickoff.stack import source_of
from kickoff.stack.declaration import Declaration, parse
from kickoff.stack.secret_files import Held, resolve
from tests.unit.stack.stack_support import ROOT, STACKS

SOURCE = "docker-compose.staging.yml"
ADDRESS = "postgresql://clerk:{db_password}@database:5432/orders"
TEXT = f"""\
name: orders-staging
x-kickoff:
  names: [SITE_NAME]
  secrets:
    database_url: {{key: DATABASE_URL, form: "{ADDRESS}"}}
    pager: {{key: PAGER_URL, given: where alerts go}}
    token: {{key: TOKEN}}
    every: {{form: {{one: "{{db_password}}", two: "x-{{db_password}}"}}}}
  profiles: [observability]
services:
  database:
    image: postgres:17
    command: !reset []
  traefik:
    ports:
      - "${{HTTP:-80}}:8080"
      - "443:8443/tcp"
      - "127.0.0.1:${{PUBLIC_PORT:?export it}}:8083"
      - "127.0.0.1::8081"
      - {{target: 8080, published: "${{MORE}}"}}
networks:
  inside: {{internal: true}}
  outside: {{external: true, name: orders-front}}
  other: {{external: true}}
secrets:
  db_password: {{file: "${{KICKOFF_STACK_DIR:-./x}}/secrets/db_password"}}
  every: {{file: "${{KICKOFF_STACK_DIR}}/secrets/every"}}
  elsewhere: {{file: ./secrets/own}}
"""


def declared() -> Declaration:
    return parse(TEXT, SOURCE)


def made(held: Path, **given: str) -> dict[str, str]:
    return resolve(declared(), {"pager": "https://pager/17-lantern"} | given, Held(held))


def test_secrets_networks_and_files_are_read() -> None:
    found = declared()
    assert sorted(found.secrets) == ["database_url", "db_password", "every", "pager", "token"]
    assert list(found.networks) == ["orders-front", "other"]
    assert list(found.profiles) == ["observability"]
    assert found.keys == {"DATABASE_URL": "database_url", "PAGER_URL": "pager", "TOKEN": "token"}
    assert list(found.names) == ["SITE_NAME"]
    assert list(found.ports) == [("HTTP", 80), ("", 443), ("MORE", 0)]
    assert found.secrets["database_url"].parts == found.secrets["every"].parts == {"db_password"}


@pytest.mark.parametrize("text", ["", "name: x\n", "services: {a: {image: b}}\nx-other: 1\n"])
def test_a_file_without_a_declaration_needs_nothing(text: str) -> None:
    assert parse(text, SOURCE) == Declaration({}, (), {})


@pytest.mark.parametrize(
    ("old", "new", "line", "rule", "fix"),
    [
        ("key: TOKEN", "kye: TOKEN", 7, "additionalProperties: .*'kye'", "`key`, `given`, `form` and `optional`"),
        ("key: TOKEN", "key: token", 7, "pattern: 'token'", "capital letters"),
        ("{key: TOKEN}", "TOKEN", 7, "type: 'TOKEN'", "`key`, `given`, `form` and `optional`"),
        ("    token:", "    To-ken:", 7, "pattern: 'To-ken'", "small letters"),
        ("  secrets:\n    data", "  secret:\n    data", 2, "additionalProperties: .*'secret'", "`secrets`, `files`, `names`, `profiles`, `primary`, `restore` and `rotate`"),
        ("[observability]", "[release]", 9, "pattern: 'release'", "a list of profiles"),
        ("key: PAGER_URL, ", "", 6, "dependentRequired: 'key'", "`key`, `given`, `form` and `optional`"),
        ("{key: TOKEN}", "{}", 7, "secret-unused: nothing needs token", "/secrets/token"),
        ("clerk:{db_password}", "clerk:{db_pasword}", 5, r"form-names-a-secret: \{db_pasword\}", "/secrets/db_pasword"),
        ("clerk:{db_password}", "clerk:{every}", 5, "form-of-a-form: .*every", "made of"),
        ("clerk:{db_password}", "clerk:fixed", 5, "form-without-secret: 'postgresql:.*names no secret", "{password}"),
        ("{key: TOKEN}", "{key: PAGER_URL}", 6, "key-twice: PAGER_URL gives token", "another variable"),
        ("key: TOKEN", "key: A, given: x, form: '{db_password}'", 7, "given-or-made", "leave one"),
        ("every: {form", "every: {key: EVERY, form", 8, "given-or-made: EVERY", "`key` out"),
        ("name: orders-front", "name: '${FRONT}'", 23, r"network-name: '\$\{FRONT\}'", "write the name out"),
        ("  secrets:\n    data", "  rotate: {token: {services: [database]}}\n  secrets:\n    data", 4, "dependentRequired: .*'command'", "use the keys `services`, `command`"),
        ("  secrets:\n    data", "  rotate: {token: {services: [data], command: [a]}}\n  secrets:\n    data", 4, "rotates-on-a-service: data is not a service", "correct the name"),
        ("  secrets:\n    data", "  rotate: {pager: {services: [database], command: [a]}}\n  secrets:\n    data", 4, "rotates-a-secret: pager is made of others, or given", "name the secret"),
        ("  secrets:\n    data", "  rotate: {token: {next: tokens}}\n  secrets:\n    data", 4, "rotates-a-secret: tokens is not a secret", "correct the name"),
        ("  secrets:\n    data", "  rotate: {token: {}}\n  secrets:\n    data", 4, "rotated-by-whom", "name the servers and their command"),
        ("  secrets:\n    data", "  files: {lock: configs/a}\n  secrets:\n    data", 4, "not: 'lock'", "another name"),
        ("  secrets:\n    data", "  files: {a.yml: /etc/a}\n  secrets:\n    data", 4, "pattern: '/etc/a'", "below configs/"),
    ],
)  # fmt: skip
def test_each_mistake_names_file_line_rule_value_and_fix(
    old: str, new: str, line: int, rule: str, fix: str
) -> None:
    assert old in TEXT
    with pytest.raises(KickoffError, match=f"^{SOURCE}: .*is not valid") as caught:
        parse(TEXT.replace(old, new, 1), SOURCE)
    assert caught.value.code == ExitCode.BAD_INPUT
    assert re.search(f"^{rule}", caught.value.causes[0]), caught.value.render()
    assert fix in caught.value.hint
    assert caught.value.at == f"{SOURCE}:{line}"


def test_what_is_not_yaml_names_its_line() -> None:
    with pytest.raises(KickoffError, match="is not YAML") as caught:
        parse(TEXT + "a: [\n", SOURCE)
    assert caught.value.at == f"{SOURCE}:30"


def test_a_missing_template_is_named(tmp_path: Path) -> None:
    (tmp_path / SOURCE).write_text("name: x\nx-kickoff:\n  files: {limits.yml: configs/limits.yml}\n")
    with pytest.raises(KickoffError) as caught:
        stack.read(tmp_path, "staging")
    assert caught.value.causes == ("file-template: configs/limits.yml is not a file",)
    assert caught.value.at == f"{SOURCE}:3"


def test_secrets_are_made_once_and_fit_together(tmp_path: Path) -> None:
    first = made(tmp_path)
    password = first["db_password"]
    assert re.fullmatch("[0-9a-f]{48}", password) and first["token"] != password
    assert first["database_url"] == ADDRESS.replace("{db_password}", password)
    assert first["every"] == f'{{"one": "{password}", "two": "x-{password}"}}'
    assert Held(tmp_path).keep(first) == sorted(first)
    assert resolve(declared(), {}, Held(tmp_path)) == first
    assert Held(tmp_path).keep(first) == []


def test_a_given_address_gives_the_password_of_its_server(tmp_path: Path) -> None:
    assert made(tmp_path, database_url=ADDRESS.format(db_password="quarry-17"))["db_password"] == "quarry-17"


def test_what_no_server_was_made_with_may_be_given_anew(tmp_path: Path) -> None:
    Held(tmp_path).keep(made(tmp_path))
    again = made(tmp_path, token="another-lantern", pager="https://pager/other")
    assert (again["token"], again["pager"]) == ("another-lantern", "https://pager/other")


def test_a_new_form_keeps_the_password(tmp_path: Path) -> None:
    before = made(tmp_path)
    Held(tmp_path).keep(before)
    moved = parse(TEXT.replace("@database:5432/orders", "@database:5432,replica:5432/orders"), SOURCE)
    after = resolve(moved, {}, Held(tmp_path))
    assert after["db_password"] == before["db_password"]
    assert after["database_url"].endswith("@database:5432,replica:5432/orders")


def test_a_lost_password_is_taken_from_the_address_that_holds_it(tmp_path: Path) -> None:
    before = made(tmp_path)
    Held(tmp_path).keep(before)
    (tmp_path / "db_password").unlink()
    assert resolve(declared(), {}, Held(tmp_path)) == before


def test_what_nobody_gave_and_nobody_can_make_is_missed(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match="PAGER_URL is not set: where alerts go") as caught:
        resolve(declared(), {}, Held(tmp_path))
    assert "PAGER_URL_FILE" in caught.value.hint


@pytest.mark.parametrize("way", ["address", "itself"])
def test_a_password_that_a_server_was_made_with_stays(tmp_path: Path, way: str) -> None:
    text = TEXT.replace("    token:", "    db_password: {key: DB_PASSWORD}\n    token:")
    needs, pager = parse(text, SOURCE), {"pager": "https://pager/17-lantern"}
    Held(tmp_path).keep(resolve(needs, pager, Held(tmp_path)))
    other = (
        {"database_url": ADDRESS.format(db_password="other-17")}
        if way == "address"
        else {"db_password": "other-17"}
    )
    with pytest.raises(KickoffError, match="differs from the one this stack was made with") as caught:
        resolve(needs, pager | other, Held(tmp_path))
    assert caught.value.at == str(tmp_path / "db_password")
    assert "other-17" not in caught.value.render()


@pytest.mark.parametrize("password", ["a%20b", "a/b", "a@b", ""])
def test_a_password_that_an_address_must_escape_is_refused(tmp_path: Path, password: str) -> None:
    with pytest.raises(KickoffError, match="does not lead to this stack's server"):
        made(tmp_path, database_url=ADDRESS.format(db_password=password))


@pytest.mark.parametrize("name", STACKS)
def test_the_exporter_has_a_password_for_each_server_that_prometheus_names(name: str) -> None:
    shared = source_of(ROOT, name).name.split(".")[1]
    groups = yaml.safe_load((ROOT / "configs/prometheus/targets" / shared / "redis.yml").read_text())
    form = stack.read(ROOT, name).secrets["redis_passwords"].form
    assert isinstance(form, dict)
    assert list(form) == [target for group in groups for target in group["targets"]]
