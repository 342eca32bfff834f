"""Finding, checking and loading the environments of a project."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kickoff import masking
from kickoff.environment import env_file, secret_detection, secret_source
from kickoff.environment import schema as schemas
from kickoff.environment.findings import Finding, count
from kickoff.environment.model import Environment
from kickoff.environment.schema import FILE, FOLDER, Schema
from kickoff.environment.sops import SUFFIX, Sealed
from kickoff.environment.validation import Checked, check
from kickoff.errors import KickoffError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def load(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> Environment:
    """Load one environment with its secrets.

    Args:
        name: The environment: the file's name without ``.env``.
        root: The project's folder.
        environ: The process environment, from which secrets (``KEY`` or ``KEY_FILE``) and the variables
            that the release engine provides are taken.

    Raises:
        KickoffError: There is no such environment, or something is wrong with it; the causes list every
            finding with its place and fix. Exit code 2. No secret is ever part of it.
    """
    schema = schemas.read(root)
    checked = inspect(name, root, schema, environ, with_secrets=True)
    if checked.findings:
        raise refusal(name, checked.findings)
    masking.hide(*(checked.values[key] for key in schema.secrets & checked.values.keys()))
    keys = schema.keys
    return Environment(
        name=name,
        values=checked.values,
        secrets=schema.secrets,
        service=frozenset(key.name for key in keys.values() if key.audience == "service"),
    )


def inspect(
    name: str, root: Path, schema: Schema, environ: Mapping[str, str] = os.environ, *, with_secrets: bool
) -> Checked:
    """Check one environment and return everything that is known of it.

    Args:
        name: The environment.
        root: The project's folder.
        schema: The project's schema.
        environ: The process environment.
        with_secrets: Whether secrets are looked up and must be set; otherwise a reference is enough.

    Raises:
        KickoffError: There is no such environment.
    """
    path = root / FOLDER / f"{name}.env"
    known = available(root)
    if name not in known:
        raise KickoffError(
            f"there is no environment {named(name)}",
            causes=[f"{FOLDER} has {', '.join(known) or 'none'}"],
            hint="name one of them, or begin one with `kickoff env template --env qa`",
        )
    try:
        text = env_file.read(path, str(FOLDER / f"{name}.env"))
    except OSError as error:
        raise KickoffError(f"{FOLDER}/{name}.env cannot be read: {error.strerror}") from None
    runtime = {key: environ.get(key) or rule["default"] for key, rule in schema.runtime.items()}
    sealed = Sealed(root, name, environ)
    text.findings += sealed.findings(schema)
    lookup = (lambda key: secret_source.lookup(key, environ, sealed)) if with_secrets else None
    return check(name, text, schema, runtime, lookup)


def setting(name: str, key: str, root: Path, environ: Mapping[str, str] = os.environ) -> Any:  # noqa: ANN401
    """Return one value of an environment, converted (seconds, fraction, bytes, list), without any secret.

    Args:
        name: The environment.
        key: The key; not that of a secret.
        root: The project's folder.
        environ: The process environment.

    Raises:
        KickoffError: There is no such environment, or the file has no usable value for the key (exit code 2).
    """
    checked = inspect(name, root, schemas.read(root), environ, with_secrets=False)
    if key not in checked.typed:
        raise KickoffError(
            f"{name} has no usable {key}",
            at=f"{FOLDER}/{name}.env",
            hint=f"`kickoff env validate --env {name}` says what is wrong",
        )
    return checked.typed[key]


def available(root: Path) -> list[str]:
    """Return the names of the project's environments in alphabetical order."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.env") if _NAME.fullmatch(path.stem))


def strangers(root: Path) -> list[Finding]:
    """Return a finding for each file that no command would ever read, because of its name."""
    known, folder = available(root), root / FOLDER
    fixes = {
        path.name: "rename it: a small letter, then small letters, digits and hyphens, then .env"
        for path in folder.glob("*.env")
        if path.stem not in known
    } | {
        path.name: f"rename it: the name of an environment, then {SUFFIX}"
        for path in folder.glob(f"*{SUFFIX}")
        if path.name.removesuffix(SUFFIX) not in known
    }
    message = "the file's name is no environment's name"
    return [
        Finding(str(FOLDER / name), 1, 1, "file-name", "", message, fix)
        for name, fix in sorted(fixes.items())
    ]


def check_name(name: str) -> None:
    """Refuse a name that no environment can have.

    Raises:
        KickoffError: The name is not lower-case letters, digits and hyphens.
    """
    if _NAME.fullmatch(name) is None:
        raise KickoffError(
            f"{named(name)} cannot be an environment's name",
            hint="use a small letter, then small letters, digits and hyphens, e.g. qa",
        )


def named(argument: str) -> str:
    """Return a name given by a person for a message, unless it looks like a secret."""
    return "of that name" if secret_detection.secret_shape(argument) else env_file.shown(argument)


def suggestion(key: str, schema: Schema) -> str:
    """Return which key was probably meant, or where they are listed."""
    near = get_close_matches(key.upper(), schema.keys, 1)
    return f"did you mean {near[0]}?" if near else f"{FILE} lists every key"


def refusal(name: str, findings: list[Finding]) -> KickoffError:
    """Return the error for an environment with something wrong in it."""
    first = findings[0]
    single = len(findings) == 1
    return KickoffError(
        f"{name} cannot be loaded: {count(len(findings), 'problem')}",
        causes=[f"{first.rule}: {first.message}"] if single else [str(finding) for finding in findings],
        at=first.place,
        hint=first.fix
        if single
        else "each line names its fix; `kickoff env validate --with-secrets` lists them again",
    )
