"""Logs of many languages and tools: what they say went wrong, and what is shown, kept and left out."""

import json
from collections.abc import Sequence

import pytest

from kickoff import logs

FRAMES = [
    line for i in range(30) for line in (f'  File "/lib/m{i}.py", line {i}, in call', "    await app()")
]
TRACEBACK = [
    "Traceback (most recent call last):",
    *FRAMES,
    '  File "/app/predictions.py", line 12, in predict',
    '    raise RuntimeError("broken on purpose")',
    "RuntimeError: broken on purpose",
]


def record(second: int, level: str, message: str, **more: object) -> str:
    time = f"2026-11-24T06:47:{second:02}.123+00:00"
    return json.dumps({"time": time, "level": level, "logger": "app", "message": message, **more})


def access(second: int, path: str = "/health/ready", status: int = 200) -> str:
    return record(second, "debug", f"GET {path} {status}", path=path, status=status)


JSON = [
    access(1),
    record(2, "error", "POST /predictions failed", exception="\n".join(TRACEBACK)),
    *[access(second) for second in range(3, 40)],
    record(41, "error", "POST /predictions failed", exception="\n".join(TRACEBACK)),
    record(42, "info", "POST /predictions 500", path="/predictions", status=500),
]
PINO = [
    '{"level":30,"time":1732430000000,"pid":1,"hostname":"h","msg":"up"}',
    '{"level":50,"time":1732430001000,"msg":"request errored","err":{"type":"TypeError","message":"x is not a '
    'function","stack":"TypeError: x is not a function\\n    at f (/a.js:1:2)"}}',
]
STRUCTLOG = [
    '{"event": "failed", "level": "error", "timestamp": "2026-01-01T10:00:00Z", '
    '"exception": [{"exc_type": "KeyError", "exc_value": "\'ratings\'", "frames": []}]}'
]
UVICORN = [
    'INFO:     127.0.0.1:5 - "GET /health/ready HTTP/1.1" 200 OK',
    "ERROR:    Exception in ASGI application",
    *TRACEBACK,
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    *[line.replace("broken on purpose", "second") for line in TRACEBACK],
    "INFO:     Shutting down",
]
CRASH = ["starting", *TRACEBACK[:3], "ValueError: no number in DATABASE_URL"]
NODE = [
    "listening", "/app/server.js:10", '    throw new Error("no database");', "    ^", "", "Error: no database",
    "    at Object.<anonymous> (/app/server.js:10:9)", *[f"    at f{i} (node:internal:{i})" for i in range(9)],
    "", "Node.js v20.1.0",
]  # fmt: skip
GO = [
    "2026/11/24 06:47:01 listening on :8080",
    "panic: runtime error: invalid memory address or nil pointer dereference",
    "[signal SIGSEGV: segmentation violation code=0x1]", "", "goroutine 1 [running]:", "main.(*Store).Get(...)",
    "\t/app/store.go:12", "main.main()", "\t/app/main.go:30 +0x1d", "exit status 2",
]  # fmt: skip
JAVA = [
    "2026-11-24 06:47:01.123  INFO 1 --- [main] com.acme.App : Starting App",
    "2026-11-24 06:47:02.123 ERROR 1 --- [main] o.s.boot.SpringApplication : Application run failed",
    "org.acme.BeanCreationException: Error creating bean with name dataSource",
    *[f"\tat org.spring.C{i}.m(C{i}.java:{i})" for i in range(12)],
    "Caused by: java.net.ConnectException: Connection refused",
    *[f"\tat java.N{i}.m(N.java:1)" for i in range(5)],
    "\t... 20 common frames omitted",
]
RUST = [
    "up",
    "thread 'main' panicked at src/main.rs:3:5:",
    "no database",
    "note: run with `RUST_BACKTRACE=1`",
]
LOGFMT = [
    'time=2026-01-01T10:00:00Z level=info msg="up"',
    'time=2026-01-01T10:00:01Z level=error msg="no db"',
]


@pytest.mark.parametrize(
    ("log", "essence", "shown"),
    [
        (JSON, "RuntimeError: broken on purpose", "06:47:02.123 ERROR POST /predictions failed   (2 times)"),
        (PINO, "TypeError: x is not a function", "      at f (/a.js:1:2)"),
        (STRUCTLOG, "KeyError: 'ratings'", "10:00:00 ERROR failed"),
        (UVICORN, "RuntimeError: second", "RuntimeError: second"),
        (CRASH, "ValueError: no number in DATABASE_URL", '  File "/lib/m0.py", line 0, in call'),
        (NODE, "Error: no database", "    at Object.<anonymous> (/app/server.js:10:9)"),
        (GO, GO[1], "\t/app/store.go:12"),
        (JAVA, "java.net.ConnectException: Connection refused", JAVA[15]),
        (RUST, "thread 'main' panicked at src/main.rs:3:5:", "no database"),
        (LOGFMT, LOGFMT[1], LOGFMT[0]),
    ],
    ids=["json", "pino", "structlog", "uvicorn", "python", "node", "go", "java", "rust", "logfmt"],
)
def test_a_service_log_gives_its_error_first_and_whole(log: list[str], essence: str, shown: str) -> None:
    assert logs.essence(log) == essence
    lines = logs.excerpt(log, 20).lines
    assert shown in lines
    assert any(essence in line for line in lines[:9]), "the error is at the top"
    assert len(lines) <= 20


def test_the_end_of_a_long_traceback_is_shown_and_what_is_left_out_is_counted() -> None:
    lines = logs.excerpt(logs.keep(JSON, ["/health/ready"]), 20).text("kickoff logs --env qa")
    assert lines[1] == "  … 58 lines before"
    assert lines[4:8] == [
        "    await app()".replace("    ", "      "),
        '    File "/app/predictions.py", line 12, in predict',
        '      raise RuntimeError("broken on purpose")',
        "  RuntimeError: broken on purpose",
    ]
    assert lines[8] == "06:47:42.123 INFO POST /predictions 500"
    assert lines[9:] == ["… not kept: 38 lines of health checks; all: kickoff logs --env qa"]


def test_a_message_of_many_lines_is_not_cut() -> None:
    said = ["sqlalchemy.exc.OperationalError: no such table", *[f"detail {i}" for i in range(30)]]
    log = record(1, "error", "failed", exception="\n".join([*TRACEBACK[:-1], *said]))
    shown = logs.excerpt([log], 20).lines
    assert [line.strip() for line in shown[-31:]] == said


def test_a_long_line_is_kept_whole() -> None:
    message = "x" * 5000
    assert logs.excerpt([record(1, "error", message)], 20).lines == (f"06:47:01.123 ERROR {message}",)


def test_when_there_are_only_health_checks_the_last_one_tells() -> None:
    log = [access(second, status=503) for second in range(30)]
    assert logs.keep(log, ["/health/ready"]) == ["… not kept: 29 lines of health checks", log[-1]]
    plain = ['127.0.0.1 - "GET /ready?x=1 HTTP/1.1" 503', "no database yet"]
    assert logs.keep(plain, ["/ready"]) == ["… not kept: 1 lines of health checks", "no database yet"]


def test_a_health_check_that_raised_is_an_error_like_any_other() -> None:
    log = record(1, "error", "GET /health/ready failed", path="/health/ready", exception="\n".join(TRACEBACK))
    assert logs.keep([log], ["/health/ready"]) == [log]


def test_of_a_long_log_the_errors_and_the_end_are_kept_in_their_order() -> None:
    log = [f"line {i}" for i in range(1000)]
    log[300] = "ERROR no database"
    kept = logs.keep(log, [], 50)
    assert kept[0] == "… not kept: 950 other lines"
    assert kept[1] == "ERROR no database"
    assert kept[2:] == log[-49:]
    assert logs.essence(kept) == "ERROR no database"
    text = logs.excerpt(kept, 20).text()
    assert text == ["ERROR no database", *log[-5:], "… 44 more lines; not kept: 950 other lines"]


def test_a_log_without_errors_is_its_last_lines() -> None:
    log = [f"line {i}" for i in range(30)]
    found = logs.excerpt(log, 20)
    assert (found.lines, found.left_out, logs.essence(log)) == (tuple(log[-20:]), 10, "")
    assert logs.excerpt([], 20).text("x") == []


def test_an_orderly_end_is_nobodys_cause() -> None:
    log = [*CRASH, *TRACEBACK[:3], "asyncio.exceptions.CancelledError"]
    assert logs.essence(log) == "ValueError: no number in DATABASE_URL"


PYTEST = """\
============================= test session starts ==============================
tests/test_a.py .F.                                                      [100%]
=================================== FAILURES ===================================
___________________________________ test_sum ___________________________________

    def test_sum():
        x = 1
>       assert x + 1 == 3
E       assert 2 == 3
E        +  where 2 = 1 + 1

tests/test_a.py:12: AssertionError
----------------------------- Captured stdout call -----------------------------
noise
=========================== short test summary info ============================
FAILED tests/test_a.py::test_sum - assert 2 == 3
========================= 1 failed, 2 passed in 0.12s =========================="""
UNITTEST = """\
test_sum (test_server.T.test_sum) ... FAIL

======================================================================
FAIL: test_sum (test_server.T.test_sum)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/x/test_server.py", line 4, in test_sum
    self.assertEqual(1 + 1, 3)
AssertionError: 2 != 3

----------------------------------------------------------------------
Ran 1 test in 0.000s

FAILED (failures=1)"""
JEST = """\
FAIL src/sum.test.js
  ● sums \u203a adds

    expect(received).toBe(expected) // Object.is equality

    Expected: 3
    Received: 2

    > 3 |   expect(1 + 1).toBe(3);
        |                 ^

      at Object.toBe (src/sum.test.js:3:17)

Test Suites: 1 failed, 1 total"""
VITEST = """\
 FAIL  src/sum.test.ts > sums > adds
AssertionError: expected 2 to be 3 // Object.is equality
 \u276f src/sum.test.ts:5:17
\u23af\u23af\u23af\u23af\u23af\u23af"""
GO_TEST = """\
--- FAIL: TestAdd (0.00s)
    add_test.go:9: got 3, want 4
FAIL
FAIL	example.com/x	0.002s"""
GO_VERBOSE = """\
=== RUN   TestAdd
    add_test.go:9: got 3, want 4
--- FAIL: TestAdd (0.00s)
FAIL"""
CARGO = """\
---- tests::it_works stdout ----

thread 'tests::it_works' panicked at src/lib.rs:10:9:
assertion `left == right` failed
  left: 4
 right: 5

failures:
    tests::it_works"""
MOCHA = """\
  1 failing

  1) sum
       adds:

      AssertionError: expected 2 to equal 3"""
TAP = """\
not ok 1 - adds
  ---
  error: 'Expected values to be strictly equal: 2 !== 3'
  ...
1..1"""
MAVEN = """\
[ERROR] Tests run: 1, Failures: 1
[ERROR] Failures:
[ERROR]   FooTest.bar:12 expected: <1> but was: <2>
[INFO] """


@pytest.mark.parametrize(
    ("output", "essence"),
    [
        (PYTEST, "test_sum: assert 2 == 3 (tests/test_a.py:12)"),
        ("FAILED tests/test_a.py::test_sum - assert 2 == 3", "tests/test_a.py::test_sum: assert 2 == 3"),
        (UNITTEST, "test_sum (test_server.T.test_sum): AssertionError: 2 != 3 (/x/test_server.py:4)"),
        (JEST, "sums \u203a adds: expect(received).toBe(expected) // Object.is equality Expected: 3 Received: 2 "
               "(src/sum.test.js:3:17)"),
        (VITEST, "src/sum.test.ts > sums > adds: AssertionError: expected 2 to be 3 // Object.is equality "
                 "(src/sum.test.ts:5:17)"),
        (GO_TEST, "TestAdd: add_test.go:9: got 3, want 4"),
        (GO_VERBOSE, "TestAdd: add_test.go:9: got 3, want 4"),
        (CARGO, "tests::it_works: thread 'tests::it_works' panicked at src/lib.rs:10:9: "
                "assertion `left == right` failed left: 4 right: 5"),
        (MOCHA, "sum: AssertionError: expected 2 to equal 3"),
        (TAP, "adds: Expected values to be strictly equal: 2 !== 3"),
        (MAVEN, "FooTest.bar:12 expected: <1> but was: <2>"),
        ("src/a.ts(3,5): error TS2322: no.\nFound 1 error.", "src/a.ts(3,5): error TS2322: no."),
        ("src/a.ts:3:5 - error TS2322: no", "src/a.ts:3:5 - error TS2322: no"),
        ("   Compiling x\nerror[E0308]: mismatched types\n --> src/main.rs:2:18", "error[E0308]: mismatched types"),
        ("cc -c x.c\nx.c:3:5: error: expected ';'", "x.c:3:5: error: expected ';'"),
        ("A.java:3: error: cannot find symbol", "A.java:3: error: cannot find symbol"),
        ("# x\n./x.go:3:5: undefined: y", "./x.go:3:5: undefined: y"),
        ("src/a.py:3: error: Incompatible types  [assignment]", "src/a.py:3: error: Incompatible types  [assignment]"),
        ("a.py:1:8: F401 `os` imported but unused", "a.py:1:8: F401 `os` imported but unused"),
        ("ERROR: failed to solve: denied", "ERROR: failed to solve: denied"),
        ("npm error code ERESOLVE", "npm error code ERESOLVE"),
        ("unauthorized: authentication required", "unauthorized: authentication required"),
    ],
)  # fmt: skip
def test_a_command_gives_its_first_failure(output: str, essence: str) -> None:
    log = [*["compiling"] * 100, *output.split("\n")]
    kept = logs.of_command(log, 40)
    assert logs.essence(kept) == essence
    first = logs.excerpt(kept, 20).lines[0]
    assert first != "compiling"
    assert first in output.split("\n")
    assert any(line.startswith("… not kept: ") for line in kept)


def test_a_failure_far_from_the_end_is_found() -> None:
    log = [*PYTEST.split("\n"), *["coverage of a file"] * 500]
    assert "AssertionError" in "\n".join(logs.of_command(log, 40))
    assert logs.essence(logs.of_command(log, 40)).startswith("test_sum: assert 2 == 3")


@pytest.mark.parametrize("log", [["x"], ["{}"], ["{broken"], ['{"a": 1}'], ["", " "], ["\x00"], ["…"]])
def test_odd_lines_are_no_error(log: Sequence[str]) -> None:
    assert logs.essence(log) == ""
    assert logs.excerpt(log, 20).left_out == 0
