"""The certificate of a public name, met as a browser meets it."""

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kickoff.probing.certificate import CertificateProblem, valid_until
from tests.certificates import TRAEFIKS, made, serving, trusting


def test_a_valid_certificate_says_until_when(tmp_path: Path) -> None:
    certificate = made(tmp_path, "shop.example", days=30)
    with serving(certificate) as port, trusting(certificate):
        until = valid_until("shop.example", ("127.0.0.1", port))
    assert (until - datetime.now(UTC)).days in (29, 30)


@pytest.mark.parametrize(
    ("certificate", "trusted", "why"),
    [
        ({"days": -1}, True, "certificate has expired"),
        ({"name": "other.example"}, True, "not valid for 'shop.example'"),
        ({}, False, "self-signed certificate"),
        ({"common_name": TRAEFIKS}, False, "Traefik makes for itself"),
    ],
    ids=["expired", "another name", "an authority nobody knows", "Traefik's own"],
)
def test_any_other_is_refused_with_the_reason(
    certificate: dict[str, Any], trusted: bool, why: str, tmp_path: Path
) -> None:
    file = made(tmp_path, **{"name": "shop.example"} | certificate)
    with (
        serving(file) as port,
        trusting(file) if trusted else nullcontext(),
        pytest.raises(CertificateProblem, match=why),
    ):
        valid_until("shop.example", ("127.0.0.1", port))


def test_nobody_there_is_no_certificate() -> None:
    with pytest.raises(CertificateProblem, match="does not answer by TLS"):
        valid_until("shop.example", ("127.0.0.1", 9))
