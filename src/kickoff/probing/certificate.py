"""The certificate that users of a name meet, verified as a browser does."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

_HTTPS = 443
_OF_TRAEFIK = b"TRAEFIK DEFAULT CERT"
"""In the certificate that Traefik makes for itself while it has no other."""
_SECONDS = 5.0
"""Limit for connecting, and for each read and write."""


class CertificateProblem(Exception):
    """No valid certificate was met; the message says why, in words for people."""


class NoAnswer(CertificateProblem):
    """Nobody answers by TLS, so that there is no certificate to speak of."""


def place_of(public_host: str) -> tuple[str, int]:
    """Return host and port of a public name, which may name another port than that of HTTPS."""
    host, _, port = public_host.partition(":")
    return host, int(port or _HTTPS)


def valid_until(name: str, server: tuple[str, int]) -> datetime:
    """Return until when the certificate is valid that a server has for a name.

    It must come from an authority that this machine trusts, be made out to the name, and be valid today.

    Args:
        name: The host name that users ask for.
        server: Host and port to ask.

    Raises:
        CertificateProblem: It is not valid, or (:class:`NoAnswer`) there is none.
    """
    try:
        with _connection(ssl.create_default_context(), name, server) as encrypted:
            found = encrypted.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        if _OF_TRAEFIK in _unverified(name, server):
            why = "it is the one that Traefik makes for itself while it has no other"
            raise CertificateProblem(why) from None
        raise CertificateProblem(error.verify_message.rstrip(".")) from None
    except OSError as error:
        raise NoAnswer(f"{server[0]}:{server[1]} does not answer by TLS: {error}") from None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)


def _unverified(name: str, server: tuple[str, int]) -> bytes:
    """Return the certificate as it is sent; nothing when the server does not answer again."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError), _connection(context, name, server) as encrypted:
        return encrypted.getpeercert(binary_form=True) or b""
    return b""


@contextmanager
def _connection(context: ssl.SSLContext, name: str, server: tuple[str, int]) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(server, timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as encrypted,
    ):
        yield encrypted
