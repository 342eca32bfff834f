"""Certificates and servers behind TLS of tests; what they are told to trust is trusted by this process alone."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TRAEFIKS = "TRAEFIK DEFAULT CERT"
"""Common name of the certificate that Traefik makes for itself."""


def made(folder: Path, name: str, *, days: int = 30, common_name: str = "test") -> Path:
    """Write a certificate that signs itself, with its key, to one file.

    Args:
        folder: Where the file is written.
        name: The host name that it is made out to.
        days: Its validity from now; negative for one that has ended.
        common_name: Of subject and issuer.
    """
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.{days}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@contextmanager
def serving(certificate: Path) -> Iterator[int]:
    """Serve a certificate on a free port of the loopback; yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with suppress(OSError):  # until the listener is closed
            while True:
                plain = listener.accept()[0]
                plain.settimeout(5)
                with suppress(OSError), context.wrap_socket(plain, server_side=True) as encrypted:
                    encrypted.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@contextmanager
def trusting(certificate: Path) -> Iterator[None]:
    """Let this process trust one authority alone, as a host does that has it in its store."""
    with patch.dict(os.environ, {"SSL_CERT_FILE": str(certificate), "SSL_CERT_DIR": "/nonexistent"}):
        yield
