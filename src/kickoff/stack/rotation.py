"""The rotation of a secret that a running stack holds: both values are valid until none needs the former.

A file on the host says which rotations are under way, and is written before anything else: whatever is
interrupted is done again from it. Each step may be done any number of times.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.stack import declaration, secret_files
from kickoff.stack.changes import Stack
from kickoff.stack.declaration import Declaration, Rule
from kickoff.stack.secret_files import Held

FILE: Final = "rotations.json"
"""In the stack's folder: the rotations that are under way."""
_REFERENCE: Final = "docs/how-to/rotate-secrets.md says how"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A rotation that was begun.

    Attributes:
        new: The new values, by file.
        former: Those that they replace.
        handed_on: The service was given the new value for its first one; before, it takes it beside that.
    """

    new: Mapping[str, str]
    former: Mapping[str, str]
    handed_on: bool = False


class Rotation:
    """The rotation of one secret of a stack.

    Args:
        stack: The stack, as it was brought up.
        secret: Name of the secret.

    Raises:
        KickoffError: Nothing says how it is rotated (exit 2).
    """

    def __init__(self, stack: Stack, secret: str) -> None:
        self.stack, self.secret = stack, secret
        self._needs = declaration.read(stack.root, stack.name)
        if secret not in self._needs.rotations:
            known = ", ".join(sorted(self._needs.rotations)) or "none"
            raise KickoffError(
                f"nothing says how {secret} is rotated in {stack.name}; known: {known}",
                hint="x-kickoff.rotate says it, docs/reference/stack.md",
            )
        self._rule: Rule = self._needs.rotations[secret]
        self._held = Held(stack.folder / "secrets")

    @property
    def under_way(self) -> UnderWay | None:
        """The rotation as it stands; ``None`` for none."""
        return under_way(self.stack.folder).get(self.secret)

    @cached_property
    def keys(self) -> dict[str, str]:
        """Files that change with the secret and that the service is given, by its variables."""
        return {key: file for key, file in self._needs.keys.items() if file in self._files}

    @property
    def values(self) -> dict[str, str]:
        """What the service is to be given, by variable."""
        return {key: self._held.get(file) for key, file in self.keys.items()}

    @property
    def needs_callers(self) -> bool:
        """True while callers of the service are to be told of the new value."""
        begun = self.under_way
        return begun is not None and bool(self._rule.next) and not begun.handed_on

    @property
    def place_of_new(self) -> Path:
        """The file with the new value, for the person who tells callers."""
        return self._held.folder / (self._rule.next or self.secret)

    def require_ready(self, root: Path, environ: Mapping[str, str]) -> None:
        """Refuse before anything is touched.

        Raises:
            KickoffError: The secret is given by a person (exit 2), or a server that knows it differs from the
                project's files (1) or does not run (4).
        """
        given = secret_files.lookup(self._needs, self.stack.name, root, environ)
        for key, file in self.keys.items():
            if file in given:
                raise KickoffError(
                    f"{key} is given here, so it is changed where it is given",
                    hint=f"{_REFERENCE}; or unset it, for the one that the stack holds",
                )
        if not self.stack.is_up:
            raise KickoffError(
                f"the stack of {self.stack.name} was never brought up here",
                code=ExitCode.UNREACHABLE,
                hint=f"`kickoff stack apply --env {self.stack.name}` does it; nothing was changed",
            )
        remade = [str(one) for one in self.stack.plan() if one.name in self._rule.services and one.remakes]
        if remade:
            raise KickoffError(
                "a server that knows the secret is not yet what the project says",
                code=ExitCode.REJECTED,
                causes=remade,
                hint=f"`kickoff stack apply --env {self.stack.name}` first; nothing was changed",
            )
        running = {row["Service"] for row in self.stack.compose.containers() if row["State"] == "running"}
        if missing := [service for service in self._rule.services if service not in running]:
            raise KickoffError(
                f"{', '.join(missing)} must be told of the new value, and does not run",
                code=ExitCode.UNREACHABLE,
                hint=f"`kickoff stack apply --env {self.stack.name}` starts it; nothing was changed",
            )

    def begin(self) -> None:
        """Make the new value, unless the rotation was begun before."""
        if self.under_way is not None:
            return
        former = {self.secret: self._held.get(self.secret)}
        new = {self.secret: secrets.token_hex(24)}
        if self._rule.login:
            former[self._rule.login] = self._held.get(self._rule.login)
            new[self._rule.login] = next(n for n in self._rule.names if n != former[self._rule.login])
        self._record(UnderWay(new, former))

    def allow_both(self, tell: Callable[[str], object]) -> None:
        """Write the values that hold now, and have the servers take the former one as well."""
        begun = self._begun
        self._write(self._current(begun))
        self._tell_servers([begun.new, begun.former] if self._takes_two else [begun.new], tell)
        self._restart(tell)

    def hand_on(self) -> bool:
        """Make the new value the service's first one; return whether that was still to be done."""
        begun = self._begun
        if not self._rule.next or begun.handed_on:
            return False
        self._record(UnderWay(begun.new, begun.former, handed_on=True))
        return True

    def withdraw(self, tell: Callable[[str], object]) -> None:
        """Have nobody take the former value any more, and end the rotation."""
        if self._takes_two:
            self._tell_servers([self._begun.new], tell)
        if self._rule.former:
            self._write({self._rule.former: ""})
        self._restart(tell)
        self._record(None)

    @property
    def _takes_two(self) -> bool:
        """True where a server takes both values for a time."""
        return bool(self._rule.former or self._rule.login)

    @property
    def _begun(self) -> UnderWay:
        return under_way(self.stack.folder)[self.secret]

    @cached_property
    def _files(self) -> set[str]:
        """Files that change with the secret."""
        plain = {self.secret, self._rule.former, self._rule.login, self._rule.next} - {""}
        return plain | {name for name, one in self._needs.secrets.items() if one.parts & plain}

    def _current(self, begun: UnderWay) -> dict[str, str]:
        """Return what the files of the secret hold while the rotation stands as it does."""
        if not self._rule.next:
            former = {self._rule.former: begun.former[self.secret]} if self._rule.former else {}
            return {**begun.new, **former}
        if begun.handed_on:
            return {self.secret: begun.new[self.secret], self._rule.next: ""}
        return {self.secret: begun.former[self.secret], self._rule.next: begun.new[self.secret]}

    def _write(self, values: Mapping[str, str]) -> None:
        self._held.keep(values)
        there = {name: self._held.get(name) for name in self._needs.secrets}
        made = secret_files.filled(self._needs, there)
        self._held.keep({name: text for name, text in made.items() if name in self._files})

    def _tell_servers(self, valid: list[Mapping[str, str]], tell: Callable[[str], object]) -> None:
        lines = [" ".join(filter(None, (one.get(self._rule.login), one[self.secret]))) for one in valid]
        count = "one value" if len(valid) == 1 else "both values"
        for service in self._rule.services:
            tell(f"accept    {service} takes {count} of {self.secret}")
            given = "".join(f"{line}\n" for line in lines)
            hint = f"`kickoff logs --env {self.stack.name} --process {service}`; then do the same again"
            self.stack.compose.run("exec", "-T", service, *self._rule.command, given=given, hint=hint)

    def _restart(self, tell: Callable[[str], object]) -> None:
        files = [self._held.folder / name for name in self._files]
        for service in self.stack.take_over(files, self._rule.services):
            tell(f"restart   {service} uses the new value")

    def _record(self, begun: UnderWay | None) -> None:
        there = {name: asdict(one) for name, one in under_way(self.stack.folder).items()}
        there.pop(self.secret, None)
        known = there | ({self.secret: asdict(begun)} if begun is not None else {})
        write_atomic(self.stack.folder / FILE, json.dumps(known, indent=1), mode=0o600)


def under_way(folder: Path) -> dict[str, UnderWay]:
    """Return the rotations that a stack's folder knows of, by secret; their values are hidden from now on.

    Raises:
        KickoffError: The file is damaged (exit 4).
    """
    try:
        document: dict[str, Any] = json.loads((folder / FILE).read_text("utf-8"))
        found = {name: UnderWay(**one) for name, one in document.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        raise KickoffError(
            f"{FILE} is damaged: which values are valid is not known",
            code=ExitCode.UNREACHABLE,
            at=str(folder / FILE),
            hint="move it away, then rotate each secret again that was being rotated",
        ) from None
    for name, one in found.items():
        masking.hide(one.new[name], one.former[name])
    return found


def require_current(folder: Path, needs: Declaration, given: Mapping[str, str]) -> None:
    """Refuse a value that is given and that a rotation has replaced.

    Raises:
        KickoffError: One is (exit 2).
    """
    for name, one in under_way(folder).items():
        key = needs.secrets[name].key if name in needs.secrets else ""
        if key and one.handed_on and given.get(name) == one.former[name]:
            raise KickoffError(
                f"{key} gives the value that was replaced",
                hint=f"give the new one, or unset it: the stack holds it; {_REFERENCE}",
            )
