"""Proofs on GitHub: artefacts of the runs of ``cd.yml``, named after the environment and the commit.

Anyone who can open a pull request can make a run upload an artefact of any name, so a name proves nothing.
A proof counts only when GitHub itself says that its run was one of the project's ``cd.yml``, by a push
that the environment takes or a dispatch on its branch or the default branch, and ended with success; and,
where the repository has attestations, when that very run has signed it. A run of ``promote.yml`` is one of
``cd.yml``, which it calls, for the environments that it may be told to ship to.
"""

import hashlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kickoff import gh, naming
from kickoff.artifact import proof
from kickoff.artifact.ledger import Running
from kickoff.artifact.proof import Proof
from kickoff.environments import DeclaredEnvironment, resolve
from kickoff.errors import ExitCode, KickoffError

PREDICATE = "urn:kickoff:deployment-proof:v1"
"""Type of what ``actions/attest`` signs."""
_HINT = "the job needs `actions: read`, `attestations: read`, `contents: read` and GH_TOKEN"
_LARGEST = 4 * 1024 * 1024
"""Bytes; a statement has some thousand."""
_SETTLE = 60.0
_NOT_FOUND = 404


def artifact_name(environment: str, commit: str, label: str = "") -> str:
    """Return the name under which ``post-deployment`` keeps the proof of a commit."""
    return f"{naming.named('proof', label)}-{environment}-{commit}"


class GitHubLedger:
    """The proofs of one environment in one repository.

    Args:
        repository: ``owner/name``.
        default_branch: A branch whose dispatches count, whichever branch the environment takes.
        environment: The environment whose proofs these are.
        names: Other names of the commit in question, such as its tags: what a dispatch may have been given.
        attested: Whether a proof needs an attestation in a private repository, too; in a public one it always
            does.
        service: The service whose proofs these are; empty for any.
        label: Tells the workflow and the proofs of a project from its neighbours', as
            :func:`kickoff.naming.label` does.
        commit_of: Returns the commit that a run on another one ships; by default that very one.
    """

    settle = _SETTLE  # two events of one `git push` become runs one after the other

    def __init__(
        self,
        repository: str,
        default_branch: str,
        environment: DeclaredEnvironment,
        names: Collection[str] = (),
        *,
        attested: bool = False,
        service: str = "",
        label: str = "",
        commit_of: Callable[[str], str] = str,
    ) -> None:
        self._root, self._actions = f"repos/{repository}", f"repos/{repository}/actions"
        self._repository, self._environment = repository, environment.name
        [self._source] = resolve([environment], default_branch)
        self._branches = tuple(dict.fromkeys(filter(None, (default_branch, self._source.branch))))
        self._names, self._attested = frozenset(names), attested
        self._service, self._label, self._commit_of = service, label, commit_of
        self._path = naming.workflow("cd", label)
        kinds = ("cd", "promote") if environment.after else ("cd",)
        self._files = tuple(naming.file(kind, label) for kind in kinds)

    def running(self, commit: str) -> list[Running]:
        """Return the runs in progress, as :class:`~kickoff.artifact.ledger.Ledger` says.

        The newest hundred runs of each ref are looked at; a run that is not seen is not waited for.
        """
        path = f"{self._actions}/workflows/{naming.file('cd', self._label)}/runs?branch="
        refs = [*self._branches, *sorted(filter(self._source.takes_tag, self._names))]
        return [
            Running(_actor(run), str(run["run_started_at"]), str(run["html_url"]))
            for ref in refs
            for run in gh.api("GET", f"{path}{quote(ref)}&per_page=100", hint=_HINT)["workflow_runs"]
            if run["status"] != "completed" and self._own(run) and self._about(run, commit)
        ]

    def find(self, commit: str) -> Proof | None:
        """Return the newest proof, as :class:`~kickoff.artifact.ledger.Ledger` says."""
        kept = self._artifacts(artifact_name(self._environment, commit, self._label))
        for artifact in sorted(kept, key=lambda one: str(one["created_at"]), reverse=True):
            run = gh.api("GET", f"{self._actions}/runs/{int(artifact['workflow_run']['id'])}", hint=_HINT)
            if self._own(run) and run["conclusion"] == "success" and self._on_branch(run):
                return self._read(artifact, run, commit)
        return None

    def newest(self) -> Proof | None:
        """Return the proof that was made last, as :class:`~kickoff.artifact.ledger.Ledger` says.

        The newest hundred runs that ended well are looked at, of each workflow that may have made it.
        """
        ended = [run for file in self._files for run in self._ended(file)]
        for run in sorted(ended, key=lambda one: str(one["run_started_at"]), reverse=True):
            commit = self._proved_by(run) if self._own(run) and self._into(run) else ""
            found = self.find(commit) if commit else None
            if found is not None:
                self._refuse_taken_back(found)
                return found
        return None

    def _ended(self, file: str) -> list[Mapping[str, Any]]:
        """Return the newest runs of a workflow that ended well; none where there is no such workflow."""
        try:
            path = f"{self._actions}/workflows/{file}/runs?status=success&per_page=100"
            return list(gh.api("GET", path, hint=_HINT)["workflow_runs"])
        except gh.GitHubError as error:
            if error.status == _NOT_FOUND:
                return []
            raise

    def _into(self, run: Mapping[str, Any]) -> bool:
        """True when a run shipped to the environment; one by hand says so in its title."""
        return run["event"] == "push" or str(run["display_title"]).partition(" → ")[2] == self._environment

    def _proved_by(self, run: Mapping[str, Any]) -> str:
        """Return the commit whose proof a run has kept; empty for none."""
        begin = artifact_name(self._environment, "", self._label)
        path = f"{self._actions}/runs/{int(run['id'])}/artifacts"
        names = (str(one["name"]) for one in gh.listed(path, "artifacts", hint=_HINT))
        kept = (name.removeprefix(begin) for name in names if name.startswith(begin))
        return next((commit for commit in kept if re.fullmatch(r"[0-9a-f]{40}", commit)), "")

    def _refuse_taken_back(self, found: Proof) -> None:
        """Refuse what was proved last when somebody has rolled the environment back since.

        Raises:
            KickoffError: Somebody has (exit code 1).
        """
        for run in self._ended(naming.file("rollback", self._label)):
            began = datetime.fromisoformat(str(run["run_started_at"]))
            titled = run["display_title"] == f"Roll back {self._environment}"
            if titled and began > datetime.fromisoformat(found.proved):
                raise proof.taken_back(found, f"{run['html_url']} by {_actor(run)}")

    def _artifacts(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Yield what was kept under ``name`` by this repository's own runs, however much others kept."""
        for one in gh.listed(f"{self._actions}/artifacts?name={name}", "artifacts", hint=_HINT):
            origin = one["workflow_run"]
            own = origin.get("head_repository_id") == origin.get("repository_id")
            if one["name"] == name and not one["expired"] and own:
                yield one

    def _own(self, run: Mapping[str, Any]) -> bool:
        """True when a run is one that only people who may write to the repository can have started."""
        path, head = str(run["path"]).partition("@")[0], str(run["head_branch"])
        ours = {f"{naming.WORKFLOWS}/{file}" for file in self._files}
        pushed = run["event"] == "push" and (head == self._source.branch or self._source.takes_tag(head))
        return (
            path in ours
            and (pushed or (run["event"] == "workflow_dispatch" and head in self._branches))
            and run["repository"]["full_name"] == self._repository
            and (run["head_repository"] or {}).get("full_name") == self._repository
        )

    def _on_branch(self, run: Mapping[str, Any]) -> bool:
        """True when a run was on a commit of its branch; for a tag, of the default branch.

        ``head_branch`` is but a name, which a tag may have as well.

        Raises:
            KickoffError: There is such a tag, so nobody can tell whose run this is (exit code 1).
        """
        head = str(run["head_branch"])
        branch = head if head in self._branches else self._branches[0]
        tag = f"refs/tags/{branch}"
        for found in gh.api("GET", f"{self._root}/git/matching-refs/tags/{quote(branch)}", hint=_HINT):
            if found["ref"] == tag:
                raise KickoffError(
                    f"a tag is called {branch}, like the branch: nobody can tell which of them a run was of",
                    code=ExitCode.REJECTED,
                    at=str(run["html_url"]),
                    hint=f"see who made it, and delete it: git push origin :{tag}",
                )
        tip = gh.api("GET", f"{self._root}/branches/{quote(branch, safe='')}", hint=_HINT)["commit"]["sha"]
        try:
            path = f"{self._root}/compare/{tip}...{run['head_sha']}?per_page=1"
            return gh.api("GET", path, hint=_HINT)["status"] in ("identical", "behind")
        except gh.GitHubError as error:
            if error.status == _NOT_FOUND:  # a commit that is gone is on no branch
                return False
            raise

    def _about(self, run: Mapping[str, Any], commit: str) -> bool:
        """True when a run ships ``commit`` to the environment; a dispatch says so in its title."""
        if run["event"] == "push":
            return self._commit_of(str(run["head_sha"])) == commit
        what, _, where = str(run["display_title"]).partition(" → ")
        if where != self._environment:
            return False
        if what == run["head_branch"]:
            return self._commit_of(str(run["head_sha"])) == commit
        release = re.fullmatch(r"([0-9a-f]{7})-[0-9a-f]{8}|([0-9a-f]{7,40})", what)
        return what in self._names or bool(release and commit.startswith(release[1] or release[2]))

    def _read(self, artifact: Mapping[str, Any], run: Mapping[str, Any], commit: str) -> Proof:
        source = str(run["html_url"])
        data = gh.download(f"{self._actions}/artifacts/{int(artifact['id'])}/zip", hint=_HINT)
        expected = artifact.get("digest")
        if expected and expected != f"sha256:{hashlib.sha256(data).hexdigest()}":
            raise proof.unusable(source, "the artefact is damaged: its digest is not the one GitHub names")
        member = f"proof.{self._environment}.json"
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if archive.getinfo(member).file_size > _LARGEST:
                    raise ValueError("it is too large")
                text = archive.read(member)
            document = json.loads(text)
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise proof.unusable(source, f"the artefact does not hold {member}: {error}") from None
        found = proof.read(
            document, environment=self._environment, commit=commit, source=source, service=self._service
        )
        # Whoever is not said to be private is public.
        if self._attested or run["repository"].get("private") is not True:
            head = str(run["head_branch"])
            self._verify(text, found, f"refs/{'heads' if head in self._branches else 'tags'}/{head}")
        return found

    def _verify(self, text: bytes, found: Proof, ref: str) -> None:
        """Make sure that the run which kept a proof has signed it, on its ref.

        Raises:
            KickoffError: It has not (exit code 1), or GitHub cannot be asked (4).
        """
        with tempfile.TemporaryDirectory(prefix="kickoff-proof-") as folder:
            file = Path(folder) / "proof.json"
            file.write_bytes(text)
            try:
                verified = gh.attestations(
                    file, repository=self._repository, workflow=self._path, predicate=PREDICATE, hint=_HINT
                )
            except gh.GitHubError:
                raise
            except KickoffError as error:
                why = " ".join(error.causes)
                raise proof.unusable(found.source, f"it has no good attestation: {why}") from None
        if not any(_signed(one, found, ref) for one in verified):
            raise proof.unusable(found.source, "its attestation is of another run, ref or content")


def _signed(attestation: Mapping[str, Any], found: Proof, ref: str) -> bool:
    result = attestation["verificationResult"]
    certificate = result["signature"]["certificate"]
    return (
        certificate["sourceRepositoryRef"] == ref
        and str(certificate["runInvocationURI"]).startswith(f"{found.source}/")
        and result["statement"]["predicate"] == found.statement
    )


def _actor(run: Mapping[str, Any]) -> str:
    return str((run["triggering_actor"] or run["actor"] or {}).get("login") or "somebody")
