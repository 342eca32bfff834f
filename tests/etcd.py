"""Members of etcd on free ports of the loopback, alone or three of them, with client certificates if asked for."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kickoff.release.stores.etcd_client import Client
from kickoff.release.stores.etcd_members import Members
from kickoff.release.targets.ports import free_port
from tests.tools import tool

_STARTS_SECONDS = 60


@dataclass
class Member:
    """A member: its program, and how it is reached."""

    name: str
    folder: Path
    scheme: str
    host: str = "127.0.0.1"
    client: int = field(default_factory=free_port)
    peer: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://{self.host}:{self.client}"

    @property
    def data(self) -> Path:
        return self.folder / self.name

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer}"


@dataclass
class Cluster:
    """Members that find each other."""

    folder: Path
    members: list[Member]
    certificates: Mapping[str, Path]
    token: str = "first"
    options: tuple[str, ...] = ()

    @property
    def endpoints(self) -> list[str]:
        return [member.endpoint for member in self.members]

    @property
    def initial(self) -> str:
        return ",".join(f"{member.name}={member.peer_url}" for member in self.members)

    def start(self, *members: Member) -> None:
        """Start members, all by default, and wait until a quorum serves."""
        for member in members or self.members:
            with (self.folder / f"{member.name}.log").open("ab") as log:
                member.process = subprocess.Popen(
                    [tool("etcd"), *self._arguments(member)], stdout=log, stderr=log, cwd=self.folder,
                    env={"PATH": os.defpath, "ETCD_UNSUPPORTED_ARCH": "arm64"},
                )  # fmt: skip
        self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + _STARTS_SECONDS
        while True:
            try:
                with self.client() as client:
                    client.get("kickoff-tests/ready")
                return
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    @contextmanager
    def client(self, patience: float = 5) -> Iterator[Client]:
        ca, certificate, key = (str(self.certificates.get(name, "")) for name in ("ca", "certificate", "key"))
        client = Client(Members(tuple(self.endpoints), ca, certificate, key), patience)
        try:
            yield client
        finally:
            client.close()

    def kill(self, *members: Member) -> None:
        """End members as a lost host does; all by default."""
        for member in members or self.members:
            if member.process is not None:
                member.process.kill()
                member.process.wait()
                member.process = None

    def leader(self) -> Member:
        """Return the member that leads."""
        for member in self.members:
            status = httpx.post(f"{member.endpoint}/v3/maintenance/status", json={}, trust_env=False).json()
            if status["header"]["member_id"] == status["leader"]:
                return member
        raise AssertionError("nobody leads")

    def named_in(self, root: Path, edges: Sequence[str] | None = None) -> Path:
        """Name the members, and edges if there are any, in a state folder; return it."""
        root.mkdir(parents=True, exist_ok=True)
        document = {"endpoints": self.endpoints} | {n: str(path) for n, path in self.certificates.items()}
        more = {} if edges is None else {"edges": list(edges)}
        (root / "etcd.json").write_text(json.dumps(document | more))
        return root

    def _arguments(self, member: Member) -> list[str]:
        arguments = {
            "name": member.name, "data-dir": str(member.data), "initial-cluster": self.initial,
            "initial-cluster-token": self.token, "listen-client-urls": member.endpoint,
            "advertise-client-urls": member.endpoint, "listen-peer-urls": member.peer_url,
            "initial-advertise-peer-urls": member.peer_url, "heartbeat-interval": "100",
            "election-timeout": "1000", "logger": "zap", "log-level": "error",
        }  # fmt: skip
        if self.certificates:
            arguments |= {
                "cert-file": str(self.folder / "member.pem"), "key-file": str(self.folder / "member.key"),
                "trusted-ca-file": str(self.certificates["ca"]),
            }  # fmt: skip
        given = [f"--{name}={value}" for name, value in arguments.items()]
        return [*given, *(["--client-cert-auth"] if self.certificates else []), *self.options]


@contextmanager
def cluster(
    folder: Path,
    size: int = 1,
    *,
    tls: bool = False,
    options: tuple[str, ...] = (),
    host: str = "127.0.0.1",
) -> Iterator[Cluster]:
    """Run a cluster; at the end of the block its members are ended."""
    tool("etcd")
    folder.mkdir(parents=True, exist_ok=True)
    members = [Member(f"m{number}", folder, "https" if tls else "http", host) for number in range(size)]
    found = Cluster(folder, members, certificates(folder, host) if tls else {}, options=options)
    try:
        found.start()
        yield found
    finally:
        found.kill()


def certificates(folder: Path, host: str = "127.0.0.1") -> dict[str, Path]:
    """Write an authority, and of it a member's and a client's certificate; return what a client needs."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("authority", ca_key, None, host)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    for name in ("member", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(name, key, (ca, ca_key), host)
        (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return {"ca": folder / "ca.pem", "certificate": folder / "client.pem", "key": folder / "client.key"}


Issuer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: Issuer | None, host: str
) -> x509.Certificate:
    now, subject = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = issuer[1] if issuer else key
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
        )
        .add_extension(_usage(authority=issuer is None), critical=True)
        .sign(authority, hashes.SHA256())
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
