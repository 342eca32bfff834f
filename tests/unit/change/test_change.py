"""Two commits compared: each kind of difference by itself, and what must not be read, run or shown."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kickoff import change as changes
from kickoff.change import Artifact, Change, Delta, Keys, Migration, Part, Reached, Verdict
from kickoff.errors import KickoffError
from kickoff.report import change as told
from tests.unit.change.shop import COMMON, COMPOSE, DESCRIPTION, FILES, INTERFACE, Shop

Edits = Mapping[str, str | None]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


def changed(shop: Shop, edits: Edits) -> Change:
    return changes.compare(shop.root, *changes.commits(shop.root, "main", shop.change(edits)))


def of(change: Change, name: str) -> Reached:
    return next(one for one in change.environments if one.name == name)


def test_environments_stand_in_promotion_order_with_what_reaches_them(shop: Shop) -> None:
    found = changed(shop, {"shop/__init__.py": ""})
    assert [(one.name, one.branch, one.tag, one.after, one.kind) for one in found.environments] == [
        ("development", "", "", "", "bundle"),
        ("staging", "main", "", "", "bundle"),
        ("production", "", "v*", "staging", "image"),
    ]
    assert {one.artifact for one in found.environments} == {Artifact.CHANGED}


def test_keys_are_named_without_their_values(shop: Shop) -> None:
    text = "PUBLIC_PORT=8201\nDEPLOY_TARGET=compose\nBAKE_TIME=1234s\n"
    found = changed(shop, {"configs/environments/production.env": text})
    assert of(found, "production").keys == Keys(changed=("BAKE_TIME", "PUBLIC_PORT"))
    assert not of(found, "staging").affected
    assert "8201" not in told.render(found) and "8201" not in json.dumps(found.to_document())


def test_a_secret_that_somebody_wrote_into_a_file_is_not_shown(shop: Shop) -> None:
    secret = "ghp_" + "x1Y2" * 9
    text = f"PUBLIC_PORT=8200\nDEPLOY_TARGET=compose\nAPI_TOKEN={secret}\n"
    found = changed(shop, {"configs/environments/production.env": text})
    assert secret not in told.render(found) + json.dumps(found.to_document()) + "".join(told.lines(found))


def test_sealed_secrets_differ_as_a_file(shop: Shop) -> None:
    sealed = json.dumps({"API_KEY": "ENC[x]", "sops": {}})
    found = changed(shop, {"configs/environments/staging.secrets.json": sealed})
    assert of(found, "staging").keys == Keys(sealed=True)
    assert "| sealed secrets |" in told.render(found)


def test_another_trigger_or_proof_is_a_change_of_the_environment(shop: Shop) -> None:
    text = DESCRIPTION.replace(", after: staging", "")
    found = of(changed(shop, {"kickoff.yml": text}), "production")
    assert (found.declared, found.after) == ("changed", "")
    assert [(one.rule, str(one.change)) for one in found.rules] == [("proof", "weaker")]


def test_environments_come_and_go(shop: Shop) -> None:
    text = DESCRIPTION.replace("  development: {}\n", "  qa: {}\n")
    found = changed(
        shop, {"kickoff.yml": text, "configs/environments/qa.env": "PUBLIC_PORT=8300\nDEPLOY_TARGET=local\n"}
    )
    assert [(one.name, one.declared) for one in found.environments] == [
        ("qa", "added"),
        ("staging", "unchanged"),
        ("production", "unchanged"),
        ("development", "removed"),
    ]


@pytest.mark.parametrize(
    ("edits", "parts"),
    [
        (
            {"docker-compose.production.yml": COMPOSE.replace("redis:7.2", "redis:7.4")},
            [Part("redis", "changed", "image redis:7.2 → redis:7.4")],
        ),
        ({"configs/compose/common.yml": COMMON.replace("80", "81")}, [Part("web", "changed", "ports")]),
        (
            {"configs/redis/redis.conf": "maxmemory 2gb\n"},
            [Part("redis", "changed", "configs/redis/redis.conf")],
        ),
        (
            {"docker-compose.production.yml": COMPOSE.replace("front: {}", "back: {}")},
            [Part("network back", "added"), Part("network front", "removed")],
        ),
        (
            {"docker-compose.production.yml": COMPOSE.replace("  web:", "  job: {image: job}\n  web:")},
            [Part("job", "added")],
        ),
        (
            {
                "docker-compose.production.yml": "include: [configs/more.yml]\n" + COMPOSE,
                "configs/more.yml": "services: {}\n",
            },
            [Part("include configs/more.yml", "changed")],
        ),
        (
            {"docker-compose.production.yml": COMPOSE.replace("configs/compose", "../../../../etc")},
            [Part("web", "changed", "image, ports")],
        ),
    ],
    ids=[
        "image",
        "extended file",
        "mounted file",
        "network",
        "new service",
        "included file",
        "a file outside the project",
    ],
)
def test_a_stack_is_compared_as_it_is_written(shop: Shop, edits: Edits, parts: list[Part]) -> None:
    found = changed(shop, edits)
    assert list(of(found, "production").stack) == parts
    assert of(found, "staging").stack == ()


LOCKS: dict[str, tuple[str, str, list[Delta]]] = {
    "requirements.txt": (
        FILES["requirements.txt"],
        "Flask==3.1.0 ; python_version > '3' \\\n    --hash=sha256:11\nhttpx>=0.28\n",
        [
            Delta("requirements.txt", "flask", "3.0.0", "3.1.0"),
            Delta("requirements.txt", "httpx", "", ">=0.28"),
            Delta("requirements.txt", "redis", "5.0.0", ""),
        ],
    ),
    "web/package-lock.json": (
        json.dumps({"packages": {"": {"version": "1"}, "node_modules/a": {"version": "1.0.0"}}}),
        json.dumps(
            {
                "packages": {
                    "node_modules/a": {"version": "1.0.0"},
                    "node_modules/@x/b/node_modules/a": {"version": "2.0.0"},
                }
            }
        ),
        [Delta("web/package-lock.json", "a", "1.0.0", "1.0.0, 2.0.0")],
    ),
    "uv.lock": (
        '[[package]]\nname = "a"\nversion = "1"\n',
        '[[package]]\nname = "a"\nversion = "2"\n',
        [Delta("uv.lock", "a", "1", "2")],
    ),
    "go.mod": (
        "module x\n\nrequire (\n\tgolang.org/x/net v0.1.0\n)\n",
        "module x\n\nrequire golang.org/x/net v0.2.0\n",
        [Delta("go.mod", "golang.org/x/net", "v0.1.0", "v0.2.0")],
    ),
    "Gemfile.lock": (
        "GEM\n  specs:\n    rack (2.0)\n      x (>= 1)\n",
        "",
        [Delta("Gemfile.lock", "rack", "2.0", "")],
    ),
    "composer.lock": (
        json.dumps({"packages": [{"name": "a/b", "version": "v1"}]}),
        json.dumps({"packages": [], "packages-dev": [{"name": "a/b", "version": "v2"}]}),
        [Delta("composer.lock", "a/b", "v1", "v2")],
    ),
}


@pytest.mark.parametrize("name", LOCKS)
def test_packages_of_lock_files_are_compared(shop: Shop, name: str) -> None:
    old, new, deltas = LOCKS[name]
    shop.write(name, old)
    shop.commit()
    found = changed(shop, {name: new})
    assert (list(found.dependencies), found.locks_read) == (deltas, (name,))


@pytest.mark.parametrize(
    ("name", "text"), [("yarn.lock", "a@1:\n"), ("package-lock.json", "[]"), ("uv.lock", "package = 3")]
)
def test_a_lock_file_that_cannot_be_read_is_named(shop: Shop, name: str, text: str) -> None:
    found = changed(shop, {name: text})
    assert (found.locks_read, found.locks_unread) == ((), (name,))
    assert f"Lock files not read: {name}" in told.render(found)


ALEMBIC = '''"""DROP TABLE in prose is no statement."""
def upgrade():
    {}

def downgrade():
    op.drop_table("orders")
'''


@pytest.mark.parametrize(
    ("name", "text", "verdict", "words"),
    [
        ("2.sql", "-- DROP TABLE x;\nALTER TABLE o ADD COLUMN n TEXT;", Verdict.NOTHING_FOUND, ()),
        ("2.sql", "ALTER TABLE o ALTER COLUMN n DROP NOT NULL;", Verdict.NOTHING_FOUND, ()),
        ("2.sql", "CREATE TYPE mood AS ENUM ('a');", Verdict.NOTHING_FOUND, ()),
        ("2.sql", "alter table o\n rename column n to m;", Verdict.CONTRACTS, ("RENAME",)),
        ("2.sql", "ALTER TABLE o ALTER COLUMN n TYPE bigint;", Verdict.CONTRACTS, ("ALTER COLUMN N TYPE",)),
        ("2.down.sql", "DROP TABLE o;", Verdict.NOT_JUDGED, ()),
        ("2.py", ALEMBIC.format('op.create_table("x", sa.Column("y", nullable=False))'), Verdict.NOTHING_FOUND, ()),
        ("2.py", ALEMBIC.format('op.drop_column("o", "n")'), Verdict.CONTRACTS, ("drop_column",)),
        ("2.py", ALEMBIC.format('op.execute("DELETE FROM o")'), Verdict.CONTRACTS, ("DELETE FROM",)),
        ("2.py", ALEMBIC.format('op.alter_column("o", "n", nullable=True)'), Verdict.NOTHING_FOUND, ()),
        ("2.py", ALEMBIC.format('op.alter_column("o", "n", nullable=False)'), Verdict.CONTRACTS, ("alter_column nullable",)),
        (
            "2.py",
            ALEMBIC.format('op.add_column("o", sa.Column("n", nullable=False))'),
            Verdict.CONTRACTS,
            ("add_column without a default",),
        ),
        ("2.py", "operations = [migrations.RemoveField('o', 'n')]", Verdict.CONTRACTS, ("RemoveField",)),
        ("2.py", "def upgrade(:", Verdict.NOT_JUDGED, ()),
        ("2.rb", "drop_table :orders", Verdict.NOT_JUDGED, ()),
    ],
)  # fmt: skip
def test_a_migration_is_judged_as_it_reads(
    shop: Shop, name: str, text: str, verdict: Verdict, words: tuple[str, ...]
) -> None:
    found = changed(shop, {f"migrations/{name}": text})
    assert found.migrations == (Migration(f"migrations/{name}", "added", verdict, words),)


def test_a_migration_that_was_there_is_told_when_it_changes(shop: Shop) -> None:
    found = changed(shop, {"migrations/0001_orders.sql": "CREATE TABLE orders (id BIGINT);\n"})
    assert [(one.action, one.verdict) for one in found.migrations] == [("changed", Verdict.NOT_JUDGED)]
    assert "A migration that may have run already is another one, or gone" in told.render(found)


def test_no_line_of_the_change_is_run(shop: Shop, tmp_path: Path) -> None:
    trap = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    changed(shop, {"migrations/2.py": trap, "shop/__init__.py": trap, "conftest.py": trap})
    assert not (tmp_path / "ran").exists()


def test_interface_changes_stand_with_the_breaking_ones_first(shop: Shop) -> None:
    other: dict[str, Any] = {
        **INTERFACE,
        "paths": {"/orders": {"get": {"responses": {"200": {}}}, "put": {}}},
    }
    found = changed(shop, {"openapi.json": json.dumps(other)})
    assert [(one.breaking, one.place) for one in found.interface_changes] == [
        (True, "DELETE /orders"),
        (False, "PUT /orders"),
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"paths": []}', '{"paths": {"/x": {"get": 3}}}'])
def test_an_interface_that_cannot_be_compared_is_told(shop: Shop, text: str) -> None:
    found = changed(shop, {"openapi.json": text})
    assert "openapi.json cannot be compared" in found.interface_doubt
    assert found.affected and "Interface: openapi.json cannot be compared" in told.render(found)


@pytest.mark.parametrize("key", ["migrations", "openapi"])
def test_a_name_that_leads_nowhere_is_refused_at_its_line(shop: Shop, key: str) -> None:
    found = DESCRIPTION.splitlines()
    line = next(number for number, text in enumerate(found) if text.startswith(key))
    found[line] = f"{key}: elsewhere"
    with pytest.raises(KickoffError, match=f"{key} is elsewhere, which commit") as error:
        changed(shop, {"kickoff.yml": "\n".join(found)})
    assert (error.value.code, error.value.at) == (2, f"kickoff.yml:{line + 1}")


def test_what_nobody_declared_is_told_as_not_looked_at(shop: Shop) -> None:
    lines = [line for line in DESCRIPTION.splitlines() if not line.startswith(("migrations", "openapi"))]
    shop.write("kickoff.yml", "\n".join(lines))
    shop.commit()
    found = changed(shop, {"migrations/2.sql": "DROP TABLE x;", "shop/__init__.py": ""})
    assert found.migrations == ()
    assert "migrations (kickoff.yml has no `migrations`)" in "".join(told.notes(found))


def test_links_of_the_change_lead_nowhere(shop: Shop, tmp_path: Path) -> None:
    outside = tmp_path / "outside.env"
    outside.write_text("DEPLOY_TARGET=local\nPUBLIC_PORT=1\nLEAKED_NAME=1\n", encoding="utf-8")
    shop.git("checkout", "--quiet", "-B", "topic")
    (shop.root / "configs/environments/staging.env").unlink()
    (shop.root / "configs/environments/staging.env").symlink_to(outside)
    found = changes.compare(shop.root, shop.main, shop.commit())
    assert of(found, "staging").declared == "removed"
    assert "LEAKED_NAME" not in json.dumps(found.to_document())


def test_a_broken_base_is_not_compared_and_a_broken_head_is_an_error(shop: Shop) -> None:
    broken = shop.change({"kickoff.yml": "name: shop\n"})
    repaired = shop.change({"kickoff.yml": DESCRIPTION})
    found = changes.compare(shop.root, broken, repaired)
    assert f"{broken[:7]} cannot be compared" in "".join(told.notes(found))
    assert {one.artifact for one in found.environments} == {Artifact.CHANGED}
    with pytest.raises(KickoffError, match="'health' is a required property") as error:
        changes.compare(shop.root, shop.main, broken)
    assert error.value.code == 2


def test_a_project_that_begins_is_new_everywhere(shop: Shop) -> None:
    shop.git("checkout", "--quiet", "--orphan", "empty")
    shop.git("rm", "-r", "--force", "--quiet", ".")
    before = shop.commit("Nothing")
    shop.git("checkout", "--quiet", "main")
    found = changes.compare(shop.root, before, shop.main)
    assert {one.declared for one in found.environments} == {"added"}


def test_commits_without_a_common_one_are_refused(shop: Shop) -> None:
    shop.git("checkout", "--quiet", "--orphan", "other")
    shop.commit("Other")
    with pytest.raises(KickoffError, match="no commit in common"):
        changes.commits(shop.root, "main", "other")
    with pytest.raises(KickoffError, match="no commit is called '--all'"):
        changes.commits(shop.root, "--all")


def test_a_project_in_a_folder_has_its_files_and_the_repositorys_gates(shop: Shop) -> None:
    shop.git("checkout", "--quiet", "-B", "topic")
    (shop.root / "api").mkdir()
    for name in (
        "kickoff.yml",
        "shop",
        "configs",
        "migrations",
        "openapi.json",
        "requirements.txt",
        "Dockerfile",
        "docker-compose.production.yml",
    ):
        shop.git("mv", name, f"api/{name}")
    before = shop.commit()
    shop.write("api/shop/__init__.py", "")
    shop.write(".github/workflows/ci.yml", "name: other\n")
    shop.write("shop/beside.py", "")
    found = changes.compare(shop.root / "api", before, shop.commit())
    assert {one.artifact for one in found.environments} == {Artifact.CHANGED}
    assert found.gates.files == (".github/workflows/ci.yml",)


def test_code_owners_of_the_older_commit_count(shop: Shop) -> None:
    shop.write("CODEOWNERS", "* @ada\n")
    shop.commit()
    found = changed(shop, {"CODEOWNERS": None})
    assert (found.gates.files, found.gates.owned) == (("CODEOWNERS",), True)
    assert "needs a code owner**" in told.render(found)


def test_a_long_plan_is_cut_between_rows_and_says_how_many_are_missing(shop: Shop) -> None:
    pins = "".join(f"package-{number}==1.0\n" for number in range(900))
    found = changed(shop, {"requirements.txt": pins})
    text = told.render(found)
    assert len(text.encode()) <= told.LIMIT
    shown = text.count("| requirements.txt |")
    missing = len(found.dependencies) - shown
    assert (
        0 < shown < missing + shown
        and f"_{missing} rows left out here; `kickoff workflow change --base " in text
    )
    assert "left out" not in told.render(found, 1_000_000)


def test_names_of_files_cannot_write_markdown(shop: Shop) -> None:
    found = changed(shop, {"migrations/|<img src=x>@ada`.sql": "SELECT 1;", ".github/workflows/](x).yml": ""})
    text = told.render(found)
    assert "<img" not in text and "@ada" not in text and "`.sql" not in text and "](x)" not in text
