"""No form of a secret gets through, wherever it stands in a record."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff.pipeline.masking import MASK, Masker

SECRET = 'a"b\\c é/1234'


@pytest.mark.parametrize(
    "shape",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_usual_forms_are_hidden(shape: str) -> None:
    assert Masker([SECRET]).text(f"before {shape} after") == f"before {MASK} after"


def test_every_field_of_a_record_is_masked() -> None:
    record = {
        "msg": "x hunter22 x",
        "arg": "hunter22",
        "raw": "::debug::hunter22",
        "content": ["hunter22", {"hunter22": 1, "deep": {"kvPairs": "hunter22"}}],
        "executionTime": 12,
    }
    masked = Masker(["hunter22"]).record(record)
    assert "hunter22" not in json.dumps(masked)
    assert masked["executionTime"] == 12
    assert masked["msg"] == f"x {MASK} x"


def test_each_line_of_a_secret_is_hidden_by_itself() -> None:
    masker = Masker(["-----BEGIN-----\nabcdef\n-----END-----\n"])
    assert masker.text("  abcdef") == f"  {MASK}"


def test_the_password_of_an_address_is_hidden_alone_too() -> None:
    masker = Masker(["postgresql+psycopg://shop:p%40ssword@db/shop"])
    assert masker.text("p%40ssword and p@ssword") == f"{MASK} and {MASK}"


def test_the_longer_of_two_secrets_wins() -> None:
    assert Masker(["token", "token-with-more"]).text("token-with-more") == MASK


def test_blank_secrets_hide_nothing() -> None:
    assert Masker(["", "  ", "\n"]).text("a b\nc") == "a b\nc"


@given(secret=st.text(min_size=1).filter(str.strip), before=st.text(), after=st.text())
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    masked = Masker([secret]).text(before + secret + after)
    if secret not in MASK:
        assert secret not in masked.replace(MASK, "\0") or secret == "\0"
