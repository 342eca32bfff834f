"""Two services of one repository, each a project of its own: shipped, changed and rolled back side by side."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kickoff.artifact.ledger import FolderLedger
from kickoff.errors import KickoffError
from tests.e2e.monorepo import NAMES, Monorepo
from tests.e2e.ssh_host import ssh_host

pytestmark = pytest.mark.e2e


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Monorepo]:
    made = Monorepo(tmp_path)
    yield made
    made.close()


def test_each_project_is_shipped_by_itself_and_only_what_changed(both: Monorepo) -> None:
    assert both.planned("api")["deployments"] == ["qa"], "nothing is live, so everything is new"
    api, web = both.release("api", "qa"), both.release("web", "staging")
    assert (both.says("api", "qa"), both.says("web", "staging")) == ("api one", "web one")
    assert {path.name for path in both.state.iterdir()} == {"api", "web"}
    digests = {name: both.digest(name) for name in NAMES}
    first = both.git("rev-parse", "HEAD").strip()

    # Production takes the proved commit of this project, wherever the tag stands that asks for it.
    both.serve("api", "two")
    both.write("README.md", "# Both\n")
    second = both.commit("Change api")
    assert both.release("web", "production").startswith(first[:7])
    assert "never proved" in both.kickoff("api", "release", "--env", "live", code=1)

    nothing = both.planned("web", before=first)
    assert nothing["deployments"] == []
    assert nothing["reason"] == f"nothing changed in services/web since the live release {web}"
    assert both.planned("api")["deployments"] == ["qa"]
    assert both.digest("web") == digests["web"]
    assert both.digest("api") != digests["api"]
    said = both.kickoff("web", "plan", "--env", "staging")
    assert "nothing changed in services/web since the live release" in said

    changed = both.release("api", "qa")
    assert changed.startswith(second[:7]) and changed != api
    assert both.live("web", "staging") == web
    assert (both.says("api", "qa"), both.says("web", "production")) == ("api two", "web one")

    both.kickoff("api", "rollback", "--env", "qa")
    assert (both.says("api", "qa"), both.live("api", "qa")) == ("api one", api)
    assert both.says("web", "staging") == "web one"


def test_only_the_project_has_to_be_clean_and_has_to_be_its_own(both: Monorepo) -> None:
    both.release("api", "qa")
    commit = both.git("rev-parse", "HEAD").strip()
    kept = both.state / "api" / "proofs" / "qa" / f"{commit}.json"
    assert json.loads(kept.read_text())["statement"]["service"] == "api"
    with pytest.raises(KickoffError, match="its service is 'api', not 'web'"):
        FolderLedger(kept.parent, "qa", "web").find(commit)

    both.serve("web", "dirty")
    assert "changed since the commit" not in both.kickoff("api", "build")
    both.serve("api", "dirty")
    assert "services/api/server.py changed since the commit" in both.kickoff("api", "build")
    both.serve("api", "one")
    both.write("services/web/kickoff.yml", "name: api\nrun: x\nhealth: /\n")
    for words in (("validate",), ("release", "--env", "qa"), ("deploy",)):
        said = both.kickoff("api", *words, code=2)
        assert "services/web/kickoff.yml has the name 'api', too" in said


def test_a_host_gets_the_project_in_its_place_and_nothing_beside_it(both: Monorepo, tmp_path: Path) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed")
    with ssh_host(tmp_path / "host") as host:
        keys = {"DEPLOY_SSH_KEY": host.key, "DEPLOY_KNOWN_HOSTS": host.known_hosts}
        for environment in NAMES["api"]:
            path = both.root / "services/api/configs/environments" / f"{environment}.env"
            path.write_text(f"{path.read_text()}DEPLOY_HOST={host.address}\n")
        commit = both.commit()
        both.serve("web", "beside it")
        both.commit()
        try:
            for environment in NAMES["api"]:
                said = both.kickoff("api", "release", "--env", environment, environ=keys)
                assert "RELEASED" in said and commit[:7] in said
                assert both.says("api", environment) == "api one"
            assert not (both.state / "api" / "live").exists()
            handed = next(host.home.glob(".cache/kickoff/handed/*/project"))
            assert [path.name for path in (handed / "services").iterdir()] == ["api"]
            assert {path.name for path in handed.iterdir()} == {".git", "services"}
            assert f"{commit[:7]}-" in both.kickoff("api", "status", "--env", "live", environ=keys)
        finally:
            for environment in NAMES["api"]:
                if (host.state / "api" / environment).is_dir():
                    both.kickoff("api", "stop", "--env", environment, environ=keys)


def test_a_push_is_compared_with_what_the_branch_was_at_where_the_live_release_is_elsewhere(
    both: Monorepo,
) -> None:
    before = both.git("rev-parse", "HEAD").strip()
    both.serve("web", "two")
    both.commit()
    assert both.planned("web", before)["deployments"] == ["staging"]
    nothing = both.planned("api", before)
    assert nothing["deployments"] == []
    assert (
        nothing["reason"]
        == f"nothing changed in services/api since {before[:7]}, where the branch was before"
    )
    for unknown in ("", "0" * 40, "f" * 40):
        assert both.planned("api", unknown)["deployments"] == ["qa"]
