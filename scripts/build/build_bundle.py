#!/usr/bin/env python3
"""Build the content-addressed bundle of a commit; the same content gives the same digest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import os

from kickoff import artifact, github, service
from kickoff.artifact import source
from kickoff.errors import run
from kickoff.evidence import Evidence, RuleResult, Verdict, now


def main() -> int:
    """Build, say what was built, and write evidence and step outputs."""
    arguments = _parser().parse_args()
    root, started = Path.cwd(), now()
    described = service.load(root)
    commit = source.resolve(root, arguments.commit or "HEAD")
    changed = source.changes(root, described.bundle)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        warning = f"{changed[0]}{more} changed since the commit; only commit {commit[:7]} is shipped"
        sys.stderr.write(f"warning: {warning}\n")
        github.annotate("warning", warning, changed[0])
    store = Path(arguments.output) if arguments.output else artifact.directory()
    bundle = artifact.build(root, commit, described.bundle, store.resolve())
    state = "built" if bundle.created else "unchanged, nothing to build"
    summary = f"{bundle.digest[:19]}… {state}: {bundle.files} files of commit {commit[:7]}"
    Evidence(
        stage="build",
        environment="",
        verdict=Verdict.PASS,
        summary=summary,
        started=started,
        service=described.name,
        inputs={"commit": commit, "bundle": list(described.bundle)},
        rules=[
            RuleResult("the commit holds every path", Verdict.PASS, f"{bundle.files} files", "≥ 1 file", 1)
        ],
        facts={
            "digest": bundle.digest,
            "commit": commit,
            "created": bundle.created,
            "bytes": bundle.size,
            "uncommitted": changed,
        },
    ).write(Path(os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence"))
    github.set_output("digest", bundle.digest)
    github.set_output("path", bundle.path)
    github.set_output("commit", commit)
    github.set_output("created", bundle.created)
    print(summary)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", help="tag or commit to build (default: the one checked out)")
    parser.add_argument("--output", help="folder of bundles (default: $KICKOFF_ARTIFACT_DIR)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
