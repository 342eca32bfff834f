"""The members of an etcd cluster: their addresses, and the certificates to reach them by."""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from kickoff.errors import KickoffError
from kickoff.release.stores import MEMBERS

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_EXAMPLE = (
    '{"endpoints": ["https://10.0.0.1:2379"], "ca": "/etc/kickoff/etcd/ca.pem", '
    '"certificate": "/etc/kickoff/etcd/client.pem", "key": "/etc/kickoff/etcd/client.key"}'
)


@dataclass(frozen=True, slots=True)
class Members:
    """How a cluster is reached.

    Attributes:
        endpoints: Address of each member.
        ca: File of the authority of the members' certificates.
        certificate: File of the client's certificate.
        key: File of its key.
        edges: Address of the API of each Traefik that reads the route from etcd, beside that of the target;
            ``None`` where the route is in a file.
    """

    endpoints: tuple[str, ...]
    ca: str = ""
    certificate: str = ""
    key: str = ""
    edges: tuple[str, ...] | None = None

    @property
    def encrypted(self) -> bool:
        """True when a member is reached by TLS."""
        return any(one.startswith("https:") for one in self.endpoints)

    @classmethod
    def of(cls, root: Path) -> Self:
        """Return what ``etcd.json`` in a state folder names.

        The folder, not the environment's file: commands of an emergency must work without the project.

        Raises:
            KickoffError: The file is missing or says something else (exit 2).
        """
        path = root / MEMBERS
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            lists = {
                name: tuple(map(str, document[name])) for name in ("endpoints", "edges") if name in document
            }
            members = cls(**document | lists)
        except FileNotFoundError:
            raise _invalid(path, "there is no file that names the members of etcd") from None
        except (ValueError, KeyError, TypeError):
            raise _invalid(path, "not a valid list of the members of etcd") from None
        members.check(path)
        return members

    def check(self, path: Path) -> None:
        """Refuse what would send state, or the right to change it, in the clear.

        Raises:
            KickoffError: An address is not one, or a certificate is not named or missing (exit 2).
        """
        if not self.endpoints:
            raise _invalid(path, "no member of etcd is named")
        for edge in self.edges or ():
            if not _is_address(edge):
                raise _invalid(path, f"{edge!r} is not the address of an edge's API")
        for endpoint in self.endpoints:
            if not _is_address(endpoint):
                raise _invalid(path, f"{endpoint!r} is not the address of a member of etcd")
            parts = urlsplit(endpoint)
            if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
                raise _invalid(path, f"{endpoint} is not encrypted: without TLS only the loopback is asked")
        if self.encrypted:
            for what, file in {"ca": self.ca, "certificate": self.certificate, "key": self.key}.items():
                if not Path(file).is_file():
                    raise _invalid(path, f"{what} {file!r} is not a file, and members are reached by https")

    def context(self) -> ssl.SSLContext:
        """Return how a member's certificate is verified, and which one is shown to it.

        Raises:
            KickoffError: A file holds no certificate or key, or they do not belong together (exit 2).
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.certificate, self.key)
        except ssl.SSLError as error:
            raise KickoffError(
                f"the certificates for etcd cannot be used: {error.reason or error}",
                at=f"{self.ca}, {self.certificate}, {self.key}",
                hint="the three are PEM files; the key is that of the certificate",
            ) from None
        return context


def _is_address(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _invalid(path: Path, what: str) -> KickoffError:
    return KickoffError(what, at=str(path), hint=f"write it as {_EXAMPLE}")
