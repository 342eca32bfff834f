"""Proofs on GitHub: artefacts of the runs of ``cd.yml``, named after the environment and the commit.

Anyone who can open a pull request can make a run upload an artefact of any name, so a name proves nothing.
A proof counts only when GitHub itself says that its run was one of this repository's ``cd.yml`` on the
default branch, by push or dispatch, and ended with success.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Collection, Mapping
from typing import Any

from kickoff import gh
from kickoff.artifact import proof
from kickoff.artifact.ledger import Running
from kickoff.artifact.proof import Proof

WORKFLOW = "cd.yml"
_EVENTS = ("push", "workflow_dispatch")
_HINT = "the job needs `actions: read` and GH_TOKEN"
_LARGEST = 4 * 1024 * 1024
"""Bytes; a statement has some thousand."""
_SETTLE = 60.0


def artifact_name(environment: str, commit: str) -> str:
    """Return the name under which ``post-deployment`` keeps the proof of a commit."""
    return f"proof-{environment}-{commit}"


class GitHubLedger:
    """The proofs of one environment in one repository.

    Args:
        repository: ``owner/name``.
        default_branch: The branch whose runs count.
        environment: The environment whose proofs these are.
        names: Other names of the commit in question, such as its tags: what a dispatch may have been given.
    """

    settle = _SETTLE  # two events of one `git push` become runs one after the other

    def __init__(
        self, repository: str, default_branch: str, environment: str, names: Collection[str] = ()
    ) -> None:
        self._actions = f"repos/{repository}/actions"
        self._repository, self._branch, self._environment = repository, default_branch, environment
        self._names = frozenset(names)

    def running(self, commit: str) -> list[Running]:
        """Return the runs in progress, as :class:`~kickoff.artifact.ledger.Ledger` says.

        The newest hundred runs of the default branch are looked at; a run that is not seen is not waited for.
        """
        path = f"{self._actions}/workflows/{WORKFLOW}/runs?branch={self._branch}&per_page=100"
        listed = gh.api("GET", path, hint=_HINT)["workflow_runs"]
        return [
            Running(_actor(run), str(run["run_started_at"]), str(run["html_url"]))
            for run in listed
            if run["status"] != "completed" and self._own(run) and self._about(run, commit)
        ]

    def find(self, commit: str) -> Proof | None:
        """Return the newest proof, as :class:`~kickoff.artifact.ledger.Ledger` says."""
        name = artifact_name(self._environment, commit)
        listed = gh.api("GET", f"{self._actions}/artifacts?name={name}&per_page=100", hint=_HINT)
        kept = [one for one in listed["artifacts"] if one["name"] == name and not one["expired"]]
        for artifact in sorted(kept, key=lambda one: str(one["created_at"]), reverse=True):
            run = gh.api("GET", f"{self._actions}/runs/{int(artifact['workflow_run']['id'])}", hint=_HINT)
            if self._own(run) and run["conclusion"] == "success":
                return self._read(artifact, str(run["html_url"]), commit)
        return None

    def _own(self, run: Mapping[str, Any]) -> bool:
        """Whether a run is one that only people who may write to the repository can have started."""
        path = str(run["path"]).partition("@")[0]
        return (
            path == f".github/workflows/{WORKFLOW}"
            and run["event"] in _EVENTS
            and run["head_branch"] == self._branch
            and run["repository"]["full_name"] == self._repository
            and (run["head_repository"] or {}).get("full_name") == self._repository
        )

    def _about(self, run: Mapping[str, Any], commit: str) -> bool:
        """Whether a run ships ``commit`` to the environment; a dispatch says so in its title."""
        if run["event"] == "push":
            return bool(run["head_sha"] == commit)
        what, _, where = str(run["display_title"]).partition(" → ")
        if where != self._environment:
            return False
        if what == self._branch:
            return bool(run["head_sha"] == commit)
        release = re.fullmatch(r"([0-9a-f]{7})-[0-9a-f]{8}|([0-9a-f]{7,40})", what)
        return what in self._names or bool(release and commit.startswith(release[1] or release[2]))

    def _read(self, artifact: Mapping[str, Any], run_url: str, commit: str) -> Proof:
        data = gh.download(f"{self._actions}/artifacts/{int(artifact['id'])}/zip", hint=_HINT)
        expected = artifact.get("digest")
        if expected and expected != f"sha256:{hashlib.sha256(data).hexdigest()}":
            raise proof.unusable(run_url, "the artefact is damaged: its digest is not the one GitHub names")
        member = f"proof.{self._environment}.json"
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if archive.getinfo(member).file_size > _LARGEST:
                    raise ValueError("it is too large")
                document = json.loads(archive.read(member))
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise proof.unusable(run_url, f"the artefact does not hold {member}: {error}") from None
        return proof.read(document, environment=self._environment, commit=commit, source=run_url)


def _actor(run: Mapping[str, Any]) -> str:
    return str((run["triggering_actor"] or run["actor"] or {}).get("login") or "somebody")
