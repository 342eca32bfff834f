"""The verbs of an artefact: build it, prove it, and look its proof up."""

import argparse

from kickoff.cli.parser import Verbs, add_group, add_verb
from kickoff.cli.verbs import VERBS

_DEMANDING = "the environment that demands it (default: the only one that does)"


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    _build(verbs)
    prove = add_verb(
        verbs,
        "prove",
        VERBS["prove"].text,
        _prove,
        examples=("prove --deployments '[\"staging\"]' --digest sha256:… --commit 4f2c1ab",),
        codes=(0, 1, 2, 3),
        env="",
    )
    prove.add_argument("--commit", required=True, help="the commit the artefact was built from")
    prove.add_argument("--deployments", required=True, metavar="JSON", help='environments: ["staging"]')
    prove.add_argument("--digest", required=True, metavar="SHA256", help="digest of the artefact: sha256:…")
    prove.add_argument("--repository", default="", help="registry and name of an image, without tag")
    _proof(add_group(verbs, "proof", VERBS["proof"].text))


def _build(verbs: Verbs) -> None:
    build = add_verb(
        verbs,
        "build",
        VERBS["build"].text,
        _run_build,
        examples=("build", "build --env staging", "build --kind image --platforms native --commit v1.4.0"),
        codes=(0, 1, 2, 3, 4),
        env="",
    )
    build.add_argument("--commit", default="", help="tag or commit to build (default: the one checked out)")
    build.add_argument(
        "--output", default="", metavar="DIR", help="folder of artefacts (default: $KICKOFF_ARTIFACT_DIR)"
    )
    build.add_argument("--kind", default="bundle", help="bundle or image (default: bundle)")
    build.add_argument("--env", default="", metavar="NAME", help="build what this environment's target takes")
    build.add_argument(
        "--deployments", default="", metavar="JSON", help='build what all of these take: ["staging"]'
    )
    build.add_argument(
        "--platforms",
        default="",
        metavar="LIST",
        help="image: comma-separated, or native (default: configs/service.yml)",
    )
    build.add_argument("--repository", default="", help="image: where it goes (default: $IMAGE_REPOSITORY)")


def _proof(group: Verbs) -> None:
    find = add_verb(
        group,
        "find",
        "find the proof that an environment demands, waiting for a run in progress",
        _find,
        examples=("proof find --env production --commit 4f2c1ab…",),
        codes=(0, 1, 2, 3, 4),
        env="",
    )
    find.add_argument("--env", default="", metavar="NAME", help=_DEMANDING)
    find.add_argument("--commit", required=True, help="40 hexadecimal digits")
    find.add_argument(
        "--unproven-reason", default="", metavar="TEXT", help="why to do without a proof; recorded"
    )
    compare = add_verb(
        group,
        "compare",
        "refuse an artefact that is not the one that was proved",
        _compare,
        examples=("proof compare --built sha256:… --proved sha256:… --commit 4f2c1ab…",),
        codes=(0, 1, 2),
        env="",
    )
    compare.add_argument("--env", default="", metavar="NAME", help=_DEMANDING)
    compare.add_argument("--built", required=True, metavar="SHA256", help="digest of what was built")
    compare.add_argument("--commit", required=True, help="the commit it was built from")
    compare.add_argument("--proved", required=True, metavar="SHA256", help="digest of what was proved")


def _run_build(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import build

    return build.run(arguments)


def _prove(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import prove

    return prove.run(arguments)


def _find(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import proof

    return proof.find(arguments)


def _compare(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import proof

    return proof.compare(arguments)
