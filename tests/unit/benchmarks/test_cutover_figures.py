"""The cutover benchmark's arithmetic, on requests written by hand."""

from benchmarks.cutover.figures import Cutover, measure, table
from benchmarks.traffic import Request


def request(began: float, ended: float, release: str, status: int = 200, error: str = "") -> Request:
    return Request(began, ended, status, release, error)


REQUESTS = [
    request(9.0, 10.5, "old"),  # in flight when it was decided
    request(9.9, 9.95, "old"),
    request(10.1, 10.12, "old"),
    request(10.15, 10.2, "new"),
    request(11.0, 11.01, "new", 503),
    request(12.0, 12.5, "", 0, "ReadError()"),
    request(30.0, 30.1, "old"),  # served again, after a rollback
]


def test_times_count_from_the_decision_to_the_next_one() -> None:
    document = measure(REQUESTS, [Cutover("old", "new", 10.0, 20.0)], [0.4])
    figures = {row["what"]: (row["median"], row["worst"]) for row in document["figures_ms"]}
    assert figures["decision to the new release's first answer"] == (200.0, 200.0)
    assert figures["decision to the old release's last request started"] == (100.0, 100.0)
    assert figures["decision to the old release's last answer"] == (500.0, 500.0)
    assert figures["rollback command, start to exit"] == (400.0, 400.0)


def test_what_a_death_costs_is_counted_apart() -> None:
    requests = [
        *REQUESTS,
        Request(40.0, 40.3, 502, "", "", write=True),
        Request(40.1, 40.2, 200, "old", "", write=False),
        Request(39.9, 40.1, 0, "", "ReadError()", write=False),
    ]
    document = measure(requests, [Cutover("old", "new", 10.0, 20.0)], [], [(40.0, 45.0)])
    assert (document["requests"], document["failed"]) == (7, 2)
    assert document["deaths"] == [{"requests": 3, "failed_reads": 1, "failed_writes": 1, "seconds": 0.3}]
    assert "1 reads and 1 writes of 3 failed" in table(document)


def test_errors_and_bad_answers_are_failed_requests() -> None:
    document = measure(REQUESTS, [Cutover("old", "new", 10.0, 20.0)], [])
    assert (document["requests"], document["failed"]) == (7, 2)
    assert "2 failed" in table(document)
