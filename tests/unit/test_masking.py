"""No form of a secret gets through, wherever it stands in a record."""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff import masking
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, RuleResult, Verdict, now
from kickoff.masking import MASK, Masker
from kickoff.program import run

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


def test_blank_and_trivial_secrets_hide_nothing() -> None:
    assert Masker(["", "  ", "\n", "1", "abc"]).text("a b\nc 1 abc") == "a b\nc 1 abc"


def test_a_short_secret_is_hidden_as_a_word_alone() -> None:
    masker = Masker(["test", "8000"])
    assert masker.text("password=test, the latest tests/ on port 18000") == (
        f"password={MASK}, the latest tests/ on port 18000"
    )


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_within_a_base64_text_is_hidden(before: str, encode: Callable[[bytes], bytes]) -> None:
    secret = "pass>>word??12"
    whole = encode(f"{before}{secret} and more".encode()).decode()
    masked = Masker([secret]).text(whole)
    inside = whole[8 * len(before) // 6 + 2 : 8 * (len(before) + len(secret)) // 6 - 2]
    assert inside in whole and inside not in masked
    assert MASK in masked and masked.endswith(whole[-6:])


def test_credentials_within_connection_texts_are_hidden_alone() -> None:
    masker = Masker(
        [
            "host=db user=shop password=hunter2222 sslmode=require",
            "https://db.example/x?sslpassword=more%2Fsecret",
            "https://0123456789abcdef0123@errors.example/7",
            "redis://:only-password@cache",
        ]
    )
    for said in ("hunter2222", "more%2Fsecret", "more/secret", "0123456789abcdef0123", "only-password"):
        assert masker.text(f"<{said}>") == f"<{MASK}>"
    basic = base64.b64encode(b"shop:p@ss w0rd").decode()
    assert Masker(["postgresql://shop:p%40ss%20w0rd@db/x"]).text(f"Basic {basic}") == f"Basic {MASK}"


def test_the_process_environment_is_searched_by_name_and_by_address() -> None:
    masking.hide_environment(
        {
            "GH_TOKEN": "ghs_0123456789", "DEPLOY_SSH_KEY": "line-one-of-it\nline-two-of-it",
            "REGISTRY_PASSWORD": "registry-pw", "ALERT_WEBHOOK_URL": "https://hooks.example/T/B",
            "https_proxy": "http://me:proxy-pw@proxy:3128",
            "SOPS_AGE_KEY_FILE": "/home/me/keys.txt", "SSH_AUTH_SOCK": "/tmp/agent.1", "KEEP_TOKEN": "true",
            "PATH": "/usr/bin", "MONKEY": "curious-george", "PWD": "/home/me/things", "DB_PWD": "swordfish",
        }
    )  # fmt: skip
    for said in (
        "ghs_0123456789", "line-two-of-it", "registry-pw", "https://hooks.example/T/B", "proxy-pw", "swordfish",
    ):  # fmt: skip
        assert masking.text(said) == MASK
    for said in (
        "/home/me/keys.txt", "/tmp/agent.1", "true", "/usr/bin", "curious-george", "proxy:3128", "/home/me/things",
    ):  # fmt: skip
        assert masking.text(said) == said


def test_a_text_is_masked_before_it_is_cut() -> None:
    masking.hide("0123456789abcdef", "two\nlines of it")
    assert masking.cut("x" * 10 + "0123456789abcdef", 14) == "x" * 10 + MASK
    assert masking.cut("two\nlines   of it", 100) == f"two {MASK}" or MASK in masking.cut("lines of it", 99)
    assert masking.cut("a\n b", 3) == "a b"
    assert masking.cut("abcdef", 3) == "abc…"


def test_an_error_a_document_and_a_log_hold_no_secret(tmp_path: Path) -> None:
    masking.hide("hunter22222")
    error = KickoffError("m hunter22222", causes=["c hunter22222"], at="a hunter22222", hint="h hunter22222")
    assert "hunter" not in f"{error!r}{error.render()}"
    said = "hunter22222"
    document = Evidence(
        "stage", "qa", Verdict.FAIL, said, now(), inputs={"i": said}, facts={"hint": said, "previous": said},
        rules=[RuleResult("a.rule", said, Verdict.FAIL, said, said, 1, said)], timeline=[{"at": now(), "event": said}],
        series={"s": [{"x": said}]}, log_tail=[said], release="abc1234-00000000",
    )  # fmt: skip
    text = document.write(tmp_path).read_text()
    assert "hunter" not in text + str(document)
    assert json.loads(text)["release"] == "abc1234-00000000"


def test_a_secret_named_like_a_word_of_the_schema_leaves_evidence_valid(tmp_path: Path) -> None:
    masking.hide("stage", "fail", "pass", "2026", "development")
    document = Evidence("stage", "development", Verdict.PASS, "did pass", "2026-01-01T00:00:00.000+00:00")
    document.rules.append(RuleResult("a.rule", "pass", Verdict.PASS, "pass", "pass", 1))
    read = json.loads(document.write(tmp_path).read_text())
    assert (read["verdict"], read["summary"], read["rules"][0]["verdict"]) == ("pass", "did ***", "pass")


def test_a_defect_shows_no_secret_either(capfd: pytest.CaptureFixture[str]) -> None:
    masking.hide("hunter22222")
    with pytest.raises(ValueError) as raised:
        run(lambda: int("hunter22222"))
    sys.excepthook(ValueError, raised.value, raised.tb)
    said = capfd.readouterr().err
    assert "ValueError: invalid literal for int() with base 10: '***'" in said
    assert "hunter22222'\n" not in said


@given(
    secret=st.text(min_size=8).filter(lambda text: len(text.strip()) >= 8), before=st.text(), after=st.text()
)
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    masked = Masker([secret]).text(before + secret + after)
    assert secret not in masked.replace(MASK, "\0") or secret.strip("\0*") == ""
