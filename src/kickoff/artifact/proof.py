"""Proof: the statement that an artefact went through an environment with every check passed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kickoff import judging
from kickoff.artifact.bundle import checked
from kickoff.artifact.image import checked_repository
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict, judged, now, promoted_before
from kickoff.evidence.stages import proving
from kickoff.judging import Rules


@dataclass(frozen=True, slots=True)
class Proof:
    """The content of a proof that was found and checked.

    Attributes:
        environment: Where the artefact was proved.
        commit: The commit it was built from, 40 hexadecimal digits.
        digest: The artefact, ``sha256:<hex>``.
        repository: For an image, the registry and name it is kept under; empty where no registry has it.
        release: The release id it had there.
        proved: When, ISO 8601 UTC.
        source: Where the statement was found: a file or the address of a run.
        statement: All that it says.
    """

    environment: str
    commit: str
    digest: str
    repository: str
    release: str
    proved: str
    source: str
    statement: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rules(self) -> Rules | None:
        """The rules it was judged by there; ``None`` where an older version recorded none."""
        return judging.recorded(self.statement.get("judged_by"))


def state(
    documents: Sequence[Evidence],
    *,
    service: str,
    environment: str,
    digest: str,
    commit: str,
    required_checks: Sequence[str],
    repository: str = "",
) -> dict[str, Any]:
    """Return the statement for one environment, from the evidence of one run.

    Args:
        documents: All evidence of the run, oldest first.
        service: Name of the service.
        environment: Where the artefact was deployed.
        digest: The artefact.
        commit: The commit it was built from.
        required_checks: The checks without which nothing is promoted.
        repository: For an image, the registry and name it is kept under.

    Raises:
        KickoffError: A stage left no evidence, did not pass, or spoke of another release; or what was live
            already was never promoted.
    """
    found = {document.stage: document for document in documents if document.environment == environment}
    before = promoted_before(found.get("stage")) if "promote" not in found else None
    # A release that was promoted before went through its checks then; only its health is news.
    needed = proving(required_checks, promoted_before=before is not None)
    problems = [problem for name in needed if (problem := _problem(name, found.get(name)))]
    releases = {found[name].release for name in needed if name in found} - {""}
    if len(releases) > 1:
        problems.append(f"the stages speak of different releases: {', '.join(sorted(releases))}")
    facts = found["stage"].facts if "stage" in found else {}
    staged, rules = facts.get("facts"), judging.recorded(facts.get("judged_by"))
    if isinstance(staged, Mapping) and staged.get("artifact") != digest:
        problems.append(f"what was staged is {staged.get('artifact')}, not {digest}")
    if problems:
        raise KickoffError(
            f"{environment} is not proved: {problems[0]}",
            code=ExitCode.REJECTED,
            causes=problems[1:],
            hint="the report shows every stage with its verdict",
        )
    return {
        "version": 1,
        "service": service,
        "environment": environment,
        "digest": digest,
        "repository": checked_repository(repository) if repository else "",
        "commit": commit,
        "release": next(iter(releases), ""),
        "changed": before is None,
        "promoted": before or _promotion(found["promote"]),
        "proved": now(),
        "judged_by": judging.record(rules) if rules is not None else None,
        "stages": {name: [asdict(rule) for rule in found[name].rules] for name in needed},
    }


def read(document: object, *, environment: str, commit: str, source: str, service: str = "") -> Proof:
    """Return the proof in a statement, or refuse one that is damaged or speaks of something else.

    Args:
        document: The parsed statement.
        environment: Where the artefact must have been proved.
        commit: The commit it must have been built from.
        source: Where the statement was found.
        service: The service it must be of, where it names one: earlier versions did not, and knew but one in
            a repository.

    Raises:
        KickoffError: The statement cannot be trusted (exit code 1).
    """
    try:
        if not isinstance(document, Mapping) or document["version"] != 1:
            raise ValueError("it is no statement of version 1")
        texts = {key: document[key] for key in ("environment", "commit", "digest", "release", "proved")}
        texts["repository"] = document.get("repository", "")
        if not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("a field is no text")
        of = str(document.get("service", service))
        for key, found, expected in (
            ("service", of, service or of),
            ("environment", texts["environment"], environment),
            ("commit", texts["commit"], commit),
        ):
            if found != expected:
                raise ValueError(f"its {key} is {found[:80]!r}, not {expected!r}")
        stages = document["stages"]
        if not isinstance(stages, Mapping) or not {"stage", "smoke-live"} <= set(stages):
            raise ValueError("it names no stages that passed")
        if "promote" not in stages and judged(document.get("promoted")) is None:
            raise ValueError("it names no promotion that passed")
        checked(texts["digest"])
        if texts["repository"]:
            checked_repository(texts["repository"])
    except (KeyError, ValueError, KickoffError) as error:
        reason = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise unusable(source, reason) from None
    return Proof(**texts, source=source, statement=document)


def _promotion(document: Evidence) -> dict[str, str]:
    return {"attempt": document.attempt, "at": document.finished, "verdict": str(document.verdict)}


def unusable(source: str, reason: str) -> KickoffError:
    """Return the refusal of a proof that was found and cannot be trusted (exit code 1)."""
    return KickoffError(
        f"the proof cannot be trusted: {reason}",
        code=ExitCode.REJECTED,
        at=source,
        hint="ship the commit there again, which writes a new one",
    )


def taken_back(found: Proof, how: str) -> KickoffError:
    """Return the refusal of what was proved last and taken back since (exit code 1); ``how`` says by whom."""
    return KickoffError(
        f"{found.environment} was rolled back after it had proved {found.commit[:7]}",
        code=ExitCode.REJECTED,
        causes=[how],
        hint=f"name the commit that is to be promoted, or ship a good one to {found.environment} first",
    )


def _problem(name: str, document: Evidence | None) -> str:
    if document is None:
        return f"{name} left no evidence"
    if document.verdict is not Verdict.PASS:
        return f"{name} ended with {document.verdict}: {document.summary}"
    return ""
