"""State that what was deployed passed every check, from the evidence of this run alone."""

import argparse
import json
from pathlib import Path

from kickoff import environments, evidence, github, naming, service
from kickoff.artifact import artifact_type, ledger, proof
from kickoff.artifact.github_ledger import artifact_name
from kickoff.cli import output
from kickoff.errors import KickoffError


def run(arguments: argparse.Namespace) -> int:
    """Write ``proof.<environment>.json`` for each deployment; keep the one that another environment demands.

    Raises:
        KickoffError: The evidence proves nothing; the message says why.
    """
    folder = output.evidence_folder()
    proofs, lines = [], []
    documents = evidence.read(folder)
    root = Path.cwd()
    described = service.load(root)
    demanded = environments.proving(described.environments)
    for environment in _names(arguments.deployments):
        statement = proof.state(
            documents,
            service=described.name,
            environment=environment,
            digest=arguments.digest,
            commit=arguments.commit,
            required_checks=described.checks_for(environment),
            repository=arguments.repository,
        )
        path = folder / f"proof.{environment}.json"
        evidence.write_atomic(path, json.dumps(statement, indent=1) + "\n")
        # What a comment deploys is not merged: no other environment shall take it for proved.
        if environment in demanded and github.context().comment is None:
            label = naming.label(root, described.name)
            github.set_output("proof", path.absolute())  # steps that take it stand in the repository's top
            github.set_output("proof-name", artifact_name(environment, arguments.commit, label))
            # On a machine that lasts the proof is found there; a runner of GitHub's is gone in a moment.
            if not github.context().hosted:
                ledger.kept(described.name, environment).keep(statement)
        proofs.append({"environment": environment, "release": statement["release"], "file": str(path)})
        stages = len(statement["stages"])
        lines.append(f"✓ {statement['release']} is proved in {environment}: {stages} stages passed")
    output.result({"proofs": proofs}, "\n".join(lines))
    return 0


def _names(text: str) -> list[str]:
    names = artifact_type.parse(text)
    if not names:
        raise KickoffError(
            "--deployments names no environment",
            hint="pass the output deployments of `kickoff workflow plan`",
        )
    return names
