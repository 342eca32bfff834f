"""The verb ``kickoff build``: make the artefact of a commit, leave evidence and step outputs."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from kickoff import github, naming, service
from kickoff.artifact import artifact_type, bundle, image_build, registry, source
from kickoff.artifact.artifact_type import Kind
from kickoff.artifact.build_failure import BuildFailed
from kickoff.artifact.build_steps import Steps
from kickoff.artifact.image_build import Built
from kickoff.cli import output
from kickoff.description import SSH
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, now
from kickoff.release import targets
from kickoff.service import EVERYTHING


def run(given: argparse.Namespace) -> int:
    """Build the artefact that the arguments ask for; returns the exit code.

    Raises:
        KickoffError: Nothing was built; the message says why.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    started = now()
    try:
        return _KINDS[_kind(given)](given)
    except BuildFailed:
        raise  # with evidence of its own
    except KickoffError as error:
        _refused(error, started)
        raise


def _refused(error: KickoffError, started: str) -> None:
    """Write the evidence of a build that could not begin."""
    document = Evidence("build", "", Verdict.FAIL, str(error), started)
    document.facts = {"exit_code": int(error.code), "hint": error.advice}
    document.log_tail = list(error.causes)
    document.write(output.evidence_folder())


def _kind(given: argparse.Namespace) -> Kind:
    if given.env or given.deployments:
        names = [given.env] if given.env else artifact_type.parse(given.deployments)
        return targets.artifact_for(Path.cwd(), names)
    try:
        return Kind(given.kind)
    except ValueError:
        raise KickoffError(f"kind {given.kind[:80]!r} is unknown", hint="choose bundle or image") from None


def _bundle(given: argparse.Namespace) -> int:
    root, started = Path.cwd(), now()
    described = service.load(root)
    commit = source.resolve(root, given.commit or "HEAD")
    steps = Steps(described.build, described.environment, sys.stderr.write)
    changed = _uncommitted(root, [EVERYTHING] if steps.commands else described.bundle, commit)
    document = _document(described.name, Kind.BUNDLE, commit, started)
    try:
        with github.group("Build"):
            made = bundle.build(root, commit, described.bundle, _store(given), steps)
    except BuildFailed as error:
        _fail(document, "build.steps", "the build succeeds", error)
        raise
    # That it is there says nothing of change: an earlier job of the same run may have made it.
    state = "built" if made.created else "made before, verified"
    found, least = f"{made.files} file{'' if made.files == 1 else 's'}", "≥ 1 file"
    document.summary = f"{made.digest[:19]}… {state}: {found} of commit {commit[:7]}"
    document.inputs["bundle"] = list(described.bundle)
    document.rules = [RuleResult("build.paths", "the commit holds every path", Verdict.PASS, found, least, 1)]
    document.facts |= {
        "digest": made.digest,
        "created": made.created,
        "bytes": made.size,
        "uncommitted": changed,
    }
    document.write(output.evidence_folder())
    _outputs(
        document.summary,
        kind=Kind.BUNDLE,
        digest=made.digest,
        path=made.path,
        commit=commit,
        created=made.created,
        repository="",
    )
    return 0


def _document(name: str, kind: Kind, commit: str, started: str) -> Evidence:
    return Evidence(
        stage="build",
        environment="",
        verdict=Verdict.PASS,
        summary="",
        started=started,
        service=name,
        inputs={"commit": commit},
        facts={"kind": kind, "commit": commit},
    )


def _fail(document: Evidence, identity: str, rule: str, error: BuildFailed) -> None:
    """Write the evidence of a build that failed."""
    document.verdict, document.summary, document.log_tail = Verdict.FAIL, str(error), list(error.log)
    document.rules = [RuleResult(identity, rule, Verdict.FAIL, "it failed", "no error", 1, str(error))]
    document.write(output.evidence_folder())


def _image(given: argparse.Namespace) -> int:
    root, started = Path.cwd(), now()
    described = service.load(root)
    commit = source.resolve(root, given.commit or "HEAD")
    context = github.context()
    environ = dict(os.environ) | ({"IMAGE_REPOSITORY": given.repository} if given.repository else {})
    on_github = context.repository if context.active and not context.act else ""
    if on_github and (label := naming.label(root, described.name)):
        on_github += f"/{label}"
    repository = image_build.repository_of(described.image, environ, on_github, described.name)
    pushed = "" if described.image.over_ssh else repository
    platforms = [
        name.strip() for name in given.platforms.split(",") if name.strip()
    ] or described.image.platforms
    changed = _uncommitted(root, (*described.image.paths, described.image.dockerfile), commit)
    document = _document(described.name, Kind.IMAGE, commit, started)
    document.inputs |= {"repository": pushed, "platforms": list(platforms)}
    transport = SSH if described.image.over_ssh else ""
    document.facts |= {"repository": pushed, "transport": transport, "uncommitted": changed}
    try:
        with github.group("Build"), registry.logged_in(pushed, environ) as docker:
            made = image_build.build(
                root,
                commit,
                described.image,
                repository=repository,
                platforms=platforms,
                store=_store(given),
                docker=docker,
            )
    except BuildFailed as error:
        _fail(document, "build.image", "the image builds", error)
        raise
    state = f"built for {', '.join(made.built)}" if made.built else "joined" if made.created else "unchanged"
    place = pushed or "in the artefact folder,"
    document.summary = f"{made.image.digest[:19]}… {state}: {place} of commit {commit[:7]}"
    document.rules = _rules(made)
    document.facts |= _facts(made)
    document.write(output.evidence_folder())
    _outputs(
        document.summary,
        kind=Kind.IMAGE,
        digest=made.image.digest,
        path=made.record,
        commit=commit,
        created=made.created,
        repository=pushed,
    )
    return 0


def _facts(made: Built) -> dict[str, Any]:
    return {
        "digest": made.image.digest,
        "created": made.created,
        "built": list(made.built),
        "tag": made.recipe.tag(made.image.platforms),
        "revision": made.recipe.revision,
        "bytes": sum(entry.size for entry in made.index.platforms),
        "platforms": [image_build.described(entry, made) for entry in made.index.platforms],
    }


def _rules(made: Built) -> list[RuleResult]:
    entries = made.index.platforms
    proved = sum(entry.has(registry.PROVENANCE) for entry in entries)
    listed = sum(bool(sentence) for sentence in made.sboms.values())
    every = f"{len(entries)} of {len(entries)}"
    return [
        RuleResult(
            "build.platforms", "the index holds every platform", Verdict.PASS, every, every, len(entries)
        ),
        _attached("build.provenance", "provenance", proved, len(entries), "it was pushed without"),
        _attached(
            "build.sbom", "an SBOM", listed, len(entries), "neither BuildKit's scanner nor syft is at hand"
        ),
    ]


def _attached(identity: str, what: str, found: int, of: int, why: str) -> RuleResult:
    if found == of:
        return RuleResult(
            identity, f"every platform has {what}", Verdict.PASS, f"{found} of {of}", f"{of} of {of}", of
        )
    github.annotate("warning", f"{of - found} of {of} platforms have no {what}: {why}")
    return RuleResult(
        identity,
        f"every platform has {what}",
        Verdict.NOT_APPLICABLE,
        f"{found} of {of}",
        f"{of} of {of}",
        of,
        why,
    )


def _uncommitted(root: Path, paths: Sequence[str], commit: str) -> list[str]:
    changed = source.changes(root, paths)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        warning = f"{changed[0]}{more} changed since the commit; only commit {commit[:7]} is shipped"
        output.say(f"warning: {warning}")
        github.annotate("warning", warning, changed[0])
    return changed


def _store(given: argparse.Namespace) -> Path:
    return (Path(given.output) if given.output else bundle.directory()).resolve()


def _outputs(text: str, **values: object) -> None:
    for name, value in values.items():
        github.set_output(name, value)
    output.result({name: str(v) if isinstance(v, Path) else v for name, v in values.items()}, text)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    # A login must not outlive a cancelled run.
    raise KeyboardInterrupt


_KINDS: dict[Kind, Callable[[argparse.Namespace], int]] = {Kind.BUNDLE: _bundle, Kind.IMAGE: _image}
