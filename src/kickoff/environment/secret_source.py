"""Sources of secrets: the process environment, the file that ``KEY_FILE`` names, or a sealed file."""

from collections.abc import Mapping
from pathlib import Path

from kickoff import masking
from kickoff.environment.expansion import ExpansionError
from kickoff.environment.sops import Sealed

BESIDE_SCHEMA = (
    "DEPLOY_KNOWN_HOSTS",
    "DEPLOY_SSH_KEY",
    "REGISTRY_PASSWORD",
    "REGISTRY_USERNAME",
)
"""Secrets of the registry and the connection: the service itself never sees them."""
_PUBLIC = ("DEPLOY_KNOWN_HOSTS", "REGISTRY_USERNAME")
_LONGEST = 65_536


def lookup(key: str, environ: Mapping[str, str], sealed: Sealed | None = None) -> str | None:
    """Return the secret ``key``, hidden from now on; ``None`` when it is not set. Empty counts as not set.

    GitHub passes a secret that does not exist as an empty variable, which is why empty means unset.

    Args:
        key: Name of the secret.
        environ: The process environment.
        sealed: Encrypted secrets; what the process environment gives comes before them.

    Raises:
        ExpansionError: Both the variable and its file are given, or a file cannot be read or decrypted.
    """
    direct, file = environ.get(key, ""), environ.get(f"{key}_FILE", "")
    if direct and file:
        raise ExpansionError(
            "secret-source", f"both {key} and {key}_FILE are set", f"unset {key} or {key}_FILE"
        )
    found = _read(key, file) if file else direct or (sealed.lookup(key) if sealed is not None else None)
    if found and key not in _PUBLIC:
        masking.hide(found)
    return found


def origin(key: str, environ: Mapping[str, str], sealed: Sealed) -> str:
    """Return where ``key`` is given: ``KEY``, ``KEY_FILE``, the path of the sealed file, or nothing."""
    given = next((name for name in (key, f"{key}_FILE") if environ.get(name)), "")
    return given or (sealed.file if key in sealed.names else "")


def _read(key: str, file: str) -> str | None:
    fix = f"point {key}_FILE at a readable UTF-8 file that holds the secret and nothing else"
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        # The path is left out: somebody may have put the secret itself there.
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ExpansionError(
            "secret-source", f"the file in {key}_FILE cannot be read: {reason}", fix
        ) from None
    if len(data) > _LONGEST:
        raise ExpansionError("secret-source", f"the file in {key}_FILE is longer than 64 KiB", fix)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ExpansionError("secret-source", f"the file in {key}_FILE is not UTF-8", fix) from None
    return text.removesuffix("\n").removesuffix("\r") or None
