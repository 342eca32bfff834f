"""Production's Traefik and a real certificate authority: a certificate is obtained, renewed, and seen to expire.

The authority is Pebble, Let's Encrypt's small one for tests; it asks Traefik by HTTP, as the real one does.
"""

import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from kickoff.probing.certificate import CertificateProblem, valid_until
from kickoff.release.model import Colour
from kickoff.release.route import Route, to_yaml
from kickoff.release.targets.ports import free_port
from tests import certificates
from tests.tools import tool

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
NAME = "football.example"
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Authority:
    """A running Pebble: its directory, the file of what it trusts itself by, and that of its root."""

    directory: str
    own: Path
    root: Path


@contextmanager
def running(log: Path, *command: str, **environ: str) -> Iterator[None]:
    with (
        log.open("ab") as stream,
        subprocess.Popen(command, stdout=stream, stderr=stream, env=environ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def until(what: Callable[[], str], wanted: Callable[[str], bool]) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted(last := what()):
        assert time.monotonic() < deadline, f"still {last!r} after {PATIENCE_SECONDS:g} s"
        time.sleep(0.2)
    return last


@contextmanager
def authority(folder: Path, answers_at: int, validity: int) -> Iterator[Authority]:
    """Start an authority that looks for every name at a port of the loopback.

    Args:
        folder: For its files.
        answers_at: The port where it asks for the proof of a name.
        validity: Seconds that its certificates are valid.
    """
    own, names, api, management = (
        certificates.made(folder, "127.0.0.1"),
        free_port(),
        free_port(),
        free_port(),
    )
    (folder / "pebble.json").write_text(
        json.dumps(
            {
                "pebble": {
                    "listenAddress": f"127.0.0.1:{api}",
                    "managementListenAddress": f"127.0.0.1:{management}",
                    "certificate": str(own),
                    "privateKey": str(own),
                    "httpPort": answers_at,
                    "tlsPort": answers_at,
                    "certificateValidityPeriod": validity,
                }
            }
        )
    )
    nameserver = [tool("pebble-challtestsrv"), "-dns01", f"127.0.0.1:{names}", "-defaultIPv6", ""]
    nameserver += ["-management", f"127.0.0.1:{free_port()}", "-http01", "", "-https01", "", "-tlsalpn01", ""]
    pebble = [tool("pebble"), "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}"]
    with (
        running(folder / "names.log", *nameserver),
        running(folder / "pebble.log", *pebble, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"),
        httpx.Client(verify=ssl.create_default_context(cafile=str(own)), trust_env=False) as client,
    ):

        def root() -> str:
            try:
                return client.get(f"https://127.0.0.1:{management}/roots/0").text
            except httpx.HTTPError:
                return ""

        (folder / "root.pem").write_text(until(root, bool))
        yield Authority(f"https://127.0.0.1:{api}/dir", own, folder / "root.pem")


def options(folder: Path, **variables: object) -> list[str]:
    """Return Traefik's options of production, on ports and in folders of the test."""
    text = (ROOT / "docker-compose.production.yml").read_text("utf-8")
    found = re.findall(r"^ +- (--.+)$", text, re.MULTILINE)
    filled = [_filled(option, variables, folder) for option in found]
    assert len(filled) > 20
    return filled


def _filled(option: str, variables: Mapping[str, object], folder: Path) -> str:
    ports = {"8080": variables["HTTP_PORT"], "8443": variables["HTTPS_PORT"]}

    def address(place: re.Match[str]) -> str:
        return f"{place[1]}=127.0.0.1:{ports.get(place[2]) or free_port()}"

    text = re.sub(r"\$\{(\w+)[^}]*\}", lambda place: str(variables[place[1]]), option)
    text = re.sub(r"(entryPoints\.\w+\.address)=:(\d+)", address, text)
    return text.replace("/etc/traefik/dynamic", str(folder / "dynamic")).replace(
        "/acme/acme.json", str(folder / "acme.json")
    )


class Traefik:
    """Production's Traefik as processes of the test, one after the other, with one store of certificates."""

    def __init__(self, folder: Path, http: int, authority_: Authority) -> None:
        self.https, self.authority, self.folder = free_port(), authority_, folder
        (folder / "dynamic").mkdir()
        common = (ROOT / "configs/traefik/dynamic/common.yml").read_text("utf-8")
        (folder / "dynamic" / "common.yml").write_text(common)
        route = Route(
            {Colour.BLUE: ("http://127.0.0.1:9",)}, {Colour.BLUE: 100}, None, False, {Colour.BLUE: "/"}
        )
        (folder / "dynamic" / "route.yml").write_text(to_yaml(route))
        self.command = [
            str(Path(sys.executable).parent / "traefik"),
            *options(
                folder, HTTP_PORT=http, HTTPS_PORT=self.https, PUBLIC_HOST=NAME, ACME_EMAIL="",
                ACME_CA=authority_.directory, APP_ENV="production", OTEL_TRACES_SAMPLER_ARG=0,
                OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
            ),
        ]  # fmt: skip

    @contextmanager
    def up(self, *more: str) -> Iterator[None]:
        environ = {"LEGO_CA_CERTIFICATES": str(self.authority.own), "HOME": str(self.folder)}
        with running(self.folder / "traefik.log", *self.command, *more, **environ):
            yield

    def met(self) -> str:
        """Return until when the certificate is valid that users meet, or what is wrong with it."""
        with certificates.trusting(self.authority.root):
            try:
                return valid_until(NAME, ("127.0.0.1", self.https)).isoformat()
            except CertificateProblem as problem:
                return str(problem)


@contextmanager
def ground(folder: Path, validity: int) -> Iterator[Traefik]:
    http = free_port()
    with authority(folder, http, validity) as authority_:
        yield Traefik(folder, http, authority_)


def valid(met: str) -> bool:
    return met.startswith("20")


def test_the_certificate_of_the_public_name_is_obtained_and_renewed(tmp_path: Path) -> None:
    with ground(tmp_path, validity=15 * 60) as traefik:
        with traefik.up("--certificatesResolvers.acme.acme.certificatesDuration=1"):
            first = until(traefik.met, valid)
        # One that lasts for a quarter of an hour is renewed at once; Traefik looks when it starts, then by the minute.
        with traefik.up("--certificatesResolvers.acme.acme.certificatesDuration=1"):
            assert until(traefik.met, lambda met: valid(met) and met > first) > first


def test_the_one_that_traefik_makes_itself_and_one_that_has_expired_are_refused(tmp_path: Path) -> None:
    with ground(tmp_path, validity=10) as traefik, traefik.up():
        seen = []

        def met() -> str:
            seen.append(traefik.met())
            return seen[-1]

        until(met, lambda found: "expired" in found)
    kinds = list(dict.fromkeys("valid" if valid(found) else found for found in seen))
    # Who made it is looked up by a second connection, and by then the right one may be there.
    kinds = [kind for kind in kinds if kind != "self-signed certificate"]
    assert kinds[-3:] == [
        "it is the one that Traefik makes for itself while it has no other", "valid", "certificate has expired",
    ], kinds  # fmt: skip
