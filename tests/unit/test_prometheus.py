"""Samples of Prometheus text."""

import pytest
from prometheus_client import parser

from kickoff.prometheus import Sample, samples

TEXT = """\
# HELP http_requests_in_flight Requests under way.
# TYPE http_requests_in_flight gauge
http_requests_in_flight{method="GET",path="/a \\"b\\" {c}"} 2
http_requests_in_flight 1.0
http_requests_in_flight_created 1.7e+09
other_total{x="y"} 9
"""


def test_only_samples_of_exactly_these_names_are_yielded() -> None:
    found = list(samples(TEXT, "http_requests_in_flight"))
    assert found == [
        Sample("http_requests_in_flight", {"method": "GET", "path": '/a "b" {c}'}, 2.0),
        Sample("http_requests_in_flight", {}, 1.0),
    ]
    assert [sample.value for sample in samples(TEXT, "other_total", "http_requests_in_flight_created")] == [
        1.7e9,
        9,
    ]
    assert list(samples("", "x")) == list(samples("<html>not found</html>", "x")) == []


@pytest.mark.parametrize("line", ["x", "x{", 'x{a="b} 1', "x one"])
def test_a_line_that_is_damaged_is_not_left_out(line: str) -> None:
    with pytest.raises(ValueError):
        list(samples(f"{line}\n", "x"))


def test_a_line_whose_value_alone_is_new_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    parse = parser.text_string_to_metric_families

    def counting(text: str) -> object:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(parser, "text_string_to_metric_families", counting)
    for value in (1.0, 2.0, float("inf")):
        text = f'asked_again_total{{le="a}} 5"}} {value} 1700000000\nasked_again_total\t{value}\n'
        found = list(samples(text, "asked_again_total"))
        assert found == [
            Sample("asked_again_total", {"le": "a} 5"}, value),
            Sample("asked_again_total", {}, value),
        ]
    assert len(parsed) == 2
