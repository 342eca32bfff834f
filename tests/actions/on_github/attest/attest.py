"""Writes down what a run would have signed: a file for each attestation, with its subjects and its predicate."""

import hashlib
import json
import os
import sys
from pathlib import Path

GIVEN = os.environ
STORE = Path(GIVEN["GITHUB_STAND_IN"], "attestations")
PROVENANCE = "https://slsa.dev/provenance/v1"


def subjects() -> dict[str, str]:
    """Return SHA-256 by name; there are three ways to say them, of which one must be used."""
    if [bool(GIVEN[key]) for key in ("DIGEST", "FILES", "CHECKSUMS")].count(True) != 1:
        sys.exit("::error::Only one of subject-path, subject-digest, or subject-checksums may be provided")
    if GIVEN["DIGEST"]:
        if not GIVEN["NAME"]:
            sys.exit("::error::subject-name must be provided when using subject-digest")
        return {GIVEN["NAME"]: GIVEN["DIGEST"].removeprefix("sha256:")}
    if GIVEN["CHECKSUMS"]:
        lines = Path(GIVEN["CHECKSUMS"]).read_text("utf-8").splitlines()
        return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    files = sorted(Path().glob(GIVEN["FILES"]))
    if not files:
        sys.exit(f"::error::Could not find subject at path {GIVEN['FILES']}")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """Check the inputs as the action does, and write the statement down."""
    if bool(GIVEN["TYPE"]) != bool(GIVEN["PREDICATE"]):
        sys.exit("::error::predicate-type and predicate-path go together")
    pushed, registry = {"true": True, "false": False}[GIVEN["PUSH"]], GIVEN["NAME"].partition("/")[0]
    logins = Path.home() / ".docker" / "config.json"
    if pushed and registry not in json.loads(logins.read_text("utf-8"))["auths"]:
        sys.exit(f"::error::No credentials found for registry {registry}")
    statement = {
        "run": GIVEN["GITHUB_RUN_ID"],
        "ref": GIVEN["GITHUB_REF"],
        "subjects": subjects(),
        "type": GIVEN["TYPE"] or PROVENANCE,
        "predicate": json.loads(Path(GIVEN["PREDICATE"]).read_text("utf-8")) if GIVEN["PREDICATE"] else {},
        "pushed": pushed,
    }
    STORE.mkdir(parents=True, exist_ok=True)
    number = len(list(STORE.iterdir()))
    STORE.joinpath(f"{number}.json").write_text(json.dumps(statement), encoding="utf-8")


if __name__ == "__main__":
    main()
