"""The secrets of a stack: given by a person, kept from the last time, or made now; one file each."""

import re
import secrets
from collections.abc import Mapping
from json import dumps
from pathlib import Path
from urllib.parse import urlsplit

from kickoff import masking
from kickoff.environment import schema, secret_source
from kickoff.environment.expansion import ExpansionError
from kickoff.environment.sops import Sealed
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.stack.declaration import PLACE, Declaration, Secret

_PLAIN = r"[A-Za-z0-9._~-]+"
"""What stands in an address as it is, without being escaped."""
READABLE = 0o444
"""Mode of the files: containers run as other users. The folder keeps other users of the host out."""


class Held:
    """The secrets on this host.

    Args:
        folder: Where they are; no other user may get there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> str:
        """Return a secret; empty when there is none."""
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def keep(self, values: Mapping[str, str]) -> list[str]:
        """Write what differs; return the names of those that are new, in alphabetical order."""
        new = sorted(name for name in values if not (self.folder / name).is_file())
        for name, value in values.items():
            if name in new or value != self.get(name):
                write_atomic(self.folder / name, value, mode=READABLE)
        return new


def lookup(needs: Declaration, name: str, root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets that are given for an environment, by the names of their files.

    Raises:
        KickoffError: One is given twice, or cannot be read (exit code 2).
    """
    sealed, known = Sealed(root, name, environ), schema.read(root).secrets
    found = {}
    for key, file in needs.keys.items():
        try:
            value = secret_source.lookup(key, environ, sealed if key in known else None)
        except ExpansionError as error:
            raise KickoffError(f"{key} cannot be read: {error}") from None
        if value:
            found[file] = value
    return found


def resolve(needs: Declaration, given: Mapping[str, str], held: Held) -> dict[str, str]:
    """Return every secret of a stack; nothing is written.

    What another secret's form names is a password that a server was made with: it is never changed here.

    Args:
        needs: The declared secrets.
        given: Secrets that a person gives now, by name.
        held: The host's secrets.

    Raises:
        KickoffError: One has to be given and is not, has another form, or differs from the one that the stack
            was made with (exit code 2).
    """
    formed = [secret for secret in needs.secrets.values() if secret.form]
    plain = [secret for secret in needs.secrets.values() if not secret.form]
    values = {secret.name: given.get(secret.name) or held.get(secret.name) for secret in plain}
    for secret in formed:
        known = all(values[part] for part in secret.parts)
        text = given.get(secret.name) or ("" if known else held.get(secret.name))
        if text and isinstance(secret.form, str):
            for part, value in _parts(needs, secret, secret.form, text).items():
                values[part] = values[part] or value
                if values[part] != value:
                    raise _differs(secret, part, held)
    for secret in plain:
        fixed = any(secret.name in other.parts for other in formed)
        if fixed and held.get(secret.name) not in ("", values[secret.name]):
            raise _differs(secret, secret.name, held)
        if secret.given and not values[secret.name]:
            raise KickoffError(
                f"{secret.key} is not set: {secret.given}", hint=f"export {secret.key}, or {secret.key}_FILE"
            )
        if not values[secret.name]:
            first = needs.firsts.get(secret.name)
            values[secret.name] = secrets.token_hex(24) if first is None else first
    values |= filled(needs, values)
    masking.hide(*(value for name, value in values.items() if name not in needs.logins))
    return values


def filled(needs: Declaration, values: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets that are made of others, with those others in them.

    Raises:
        KickoffError: One has characters that an address must escape (exit code 2).
    """
    return {secret.name: _filled(secret, values) for secret in needs.secrets.values() if secret.form}


def _parts(needs: Declaration, secret: Secret, form: str, text: str) -> dict[str, str]:
    """Return the secrets that stand in a text of the secret's form."""
    names = {rule.login: "|".join(rule.names) for rule in needs.rotations.values() if rule.login}
    pattern, seen = "", set[str]()
    for index, piece in enumerate(PLACE.split(form)):
        if index % 2 == 0:
            pattern += re.escape(piece)
        else:
            pattern += f"(?P={piece})" if piece in seen else f"(?P<{piece}>{names.get(piece, _PLAIN)})"
            seen.add(piece)
    found = re.fullmatch(pattern, text)
    if found is None:
        shown = PLACE.sub(lambda place: needs.logins.get(place[1], "PASSWORD"), form)
        raise KickoffError(
            f"{secret.key or secret.name} does not lead to this stack's server with a password",
            hint=f"write it as {shown}, with letters, digits and -._~ alone; or unset it to have one made",
        )
    return found.groupdict()


def _filled(secret: Secret, values: Mapping[str, str]) -> str:
    """Return the secret's form with the other secrets in it."""

    def fill(text: str) -> str:
        return PLACE.sub(lambda place: values[place[1]], text)

    if not isinstance(secret.form, str):
        return dumps({key: fill(text) for key, text in secret.form.items()})
    for part in secret.parts:
        if urlsplit(secret.form).scheme and not re.fullmatch(_PLAIN, values[part]):
            raise KickoffError(
                f"{part} has characters that an address must escape, and {secret.name} is one",
                hint="use letters and digits, e.g. from `openssl rand -hex 24`",
            )
    return fill(secret.form)


def _differs(secret: Secret, part: str, held: Held) -> KickoffError:
    return KickoffError(
        f"{secret.key or secret.name} differs from the one this stack was made with, "
        "which its server still expects",
        at=str(held.folder / part),
        hint="unset it; docs/how-to/rotate-secrets.md says how a password is changed",
    )
