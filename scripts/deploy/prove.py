#!/usr/bin/env python3
"""State that what was deployed passed every check, from the evidence of this run alone."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import json
import os

from kickoff import evidence, github, plan, service
from kickoff.artifact import proof
from kickoff.artifact.ledger import FolderLedger
from kickoff.errors import KickoffError, run
from kickoff.paths import state_root


def main() -> int:
    """Write ``proof.<environment>.json`` for each deployment, or say why there is no proof."""
    arguments = _parser().parse_args()
    folder = Path(os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence")
    documents = evidence.read(folder)
    described = service.load(Path.cwd())
    for environment in _names(arguments.deployments):
        statement = proof.state(
            documents,
            environment=environment,
            digest=arguments.digest,
            commit=arguments.commit,
            required_checks=described.checks_for(environment),
            repository=arguments.repository,
        )
        path = folder / f"proof.{environment}.json"
        evidence.write_atomic(path, json.dumps(statement, indent=1) + "\n")
        github.set_output(f"{environment}-proof", path)
        # On a machine that lasts the proof is found there; a runner of GitHub's is gone in a moment.
        if environment in plan.PROVED_IN.values() and not github.context().hosted:
            FolderLedger(state_root(described.name, "proofs"), environment).keep(statement)
        print(
            f"✓ {statement['release']} is proved in {environment}: {len(statement['stages'])} stages passed"
        )
    return 0


def _names(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise KickoffError(
            f"--deployments {text!r} is no JSON list of environments",
            hint="pass the output deployments of scripts/plan.py",
        )
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", required=True, help="the commit the artefact was built from")
    parser.add_argument("--deployments", required=True, help="environments as a JSON list")
    parser.add_argument("--digest", required=True, help="digest of the artefact")
    parser.add_argument("--repository", default="", help="registry and name of an image, without tag")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
