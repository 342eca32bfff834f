"""Visitors of the football service. Replace this file by your own users.

The pipeline sets the address, the pace, the weights and the marker header, and checks the release that
answers; user classes only say what is asked and what a right answer looks like. It also runs alone:
``locust -f tests/performance/locustfile.py --host http://127.0.0.1:8000 LightLoadTest``.
"""

import os
import random
from collections.abc import Callable
from typing import Any, cast

from locust import FastHttpUser, SequentialTaskSet, between, constant, task

MARKER = {"X-Kickoff-Check": "performance"}
KEY = {"X-API-Key": os.environ["API_KEY"]} if os.environ.get("API_KEY") else {}
TEAMS = (
    "Arsenal",
    "Aston Villa",
    "Bournemouth",
    "Brentford",
    "Brighton",
    "Chelsea",
    "Crystal Palace",
    "Everton",
    "Fulham",
    "Leeds",
    "Leicester",
    "Liverpool",
    "Manchester City",
    "Manchester United",
    "Newcastle",
    "Nottingham Forest",
    "Southampton",
    "Tottenham",
    "West Ham",
    "Wolves",
)
# Says what is wrong with a decoded body; empty when nothing is.
Judge = Callable[[Any], str]


def match() -> dict[str, str]:
    """Return a match of two different teams."""
    home, away = random.sample(TEAMS, 2)
    return {"home_team": home, "away_team": away}


def prediction_wrong(found: dict[str, Any], asked: dict[str, str]) -> str:
    """Return what is wrong with a prediction; empty when it is the one asked for and sums to 1."""
    if {key: found.get(key) for key in asked} != asked:
        return "the prediction is for another match"
    probabilities = found.get("probabilities", found)
    values = [float(probabilities[key]) for key in ("home", "draw", "away")]
    if any(not 0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 0.01:
        return f"the probabilities {values} do not sum to 1"
    return ""


def entries(body: Any) -> list[Any]:
    """Return the list in an answer, bare or under a key."""
    if isinstance(body, list):
        return body
    found = next(value for value in body.values() if isinstance(value, list))
    return list(found)


class Visitor(FastHttpUser):
    """What all visitors share: headers, time limits and validated requests."""

    abstract = True
    wait_time = constant(1)
    default_headers = {**MARKER, **KEY}  # noqa: RUF012 - Locust's way to set it
    connection_timeout = 10.0
    network_timeout = 30.0

    def ask(self, method: str, path: str, judge: Judge, *, status: int = 200, json: object = None) -> None:
        """Send a request; a wrong status or body is a failure. Figures go by the path without its query."""
        name = path.partition("?")[0]
        with self.client.request(method, path, name=name, json=json, catch_response=True) as response:
            if not response.status_code:
                return  # no answer: the client has recorded why
            if response.status_code != status:
                response.failure(f"status {response.status_code}, expected {status}")
                return
            try:
                wrong = judge(response.text if path == "/metrics" else response.json())
            except (ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
                wrong = f"unexpected body: {type(error).__name__} {error}"
            if wrong:
                response.failure(wrong)

    def health(self) -> None:
        """Ask for the health."""
        self.ask("GET", "/health", lambda body: "" if body["status"] == "ok" else "status is not ok")

    def ready(self) -> None:
        """Ask whether the service is ready."""
        self.ask("GET", "/health/ready", lambda body: "" if body else "empty body")

    def predict(self) -> None:
        """Ask for the prediction of one match."""
        asked = match()
        self.ask("POST", "/predictions", lambda body: prediction_wrong(body, asked), status=201, json=asked)

    def predict_batch(self, size: int) -> None:
        """Ask for the predictions of several matches at once."""
        asked = [match() for _ in range(size)]

        def wrong(body: Any) -> str:
            found = entries(body)
            if len(found) != size:
                return f"{len(found)} predictions for {size} matches"
            return next(filter(None, map(prediction_wrong, found, asked)), "")

        self.ask("POST", "/predictions/batch", wrong, status=201, json={"matches": asked})

    def history(self, limit: int) -> None:
        """Ask for the latest predictions."""

        def wrong(body: Any) -> str:
            found = entries(body)
            return "" if len(found) <= limit else f"{len(found)} predictions, asked for {limit}"

        self.ask("GET", f"/predictions?limit={limit}", wrong)

    def metrics(self) -> None:
        """Ask for the metrics."""
        self.ask("GET", "/metrics", lambda text: "" if "# TYPE" in text else "no metrics in the body")


class SmokeUser(Visitor):
    """Calls everything, one after the other."""

    @task
    class Tour(SequentialTaskSet):
        """The steps. (A comparison runs each task once per side, so a task keeps no state of its own.)"""

        @task
        def health(self) -> None:
            """Ask for the health."""
            cast(Visitor, self.user).health()

        @task
        def predict(self) -> None:
            """Predict one match."""
            cast(Visitor, self.user).predict()

        @task
        def batch(self) -> None:
            """Predict five matches."""
            cast(Visitor, self.user).predict_batch(5)

        @task
        def history(self) -> None:
            """Read the latest predictions."""
            cast(Visitor, self.user).history(10)


class HealthCheckUser(Visitor):
    """A load balancer that asks for the health."""

    @task(3)
    def ask_health(self) -> None:
        """Ask for the health."""
        self.health()

    @task(1)
    def ask_ready(self) -> None:
        """Ask whether the service is ready."""
        self.ready()


class PredictionUser(Visitor):
    """Somebody who looks up matches."""

    @task(6)
    def look_up(self) -> None:
        """Predict one match."""
        self.predict()

    @task(2)
    def look_back(self) -> None:
        """Read the latest predictions."""
        self.history(20)


class HeavyLoadUser(Visitor):
    """A site that predicts whole match days."""

    @task(3)
    def match_day(self) -> None:
        """Predict ten matches."""
        self.predict_batch(10)

    @task(1)
    def archive(self) -> None:
        """Read a long page of predictions."""
        self.history(50)


class MonitoringUser(Visitor):
    """A monitoring system."""

    @task(2)
    def scrape(self) -> None:
        """Read the metrics."""
        self.metrics()

    @task(1)
    def readiness(self) -> None:
        """Ask whether the service is ready."""
        self.ready()


class _Mixed(Visitor):
    """Everybody at once, with pauses like people's."""

    abstract = True

    @task(10)
    def look_up(self) -> None:
        """Predict one match."""
        self.predict()

    @task(4)
    def look_back(self) -> None:
        """Read the latest predictions."""
        self.history(20)

    @task(2)
    def match_day(self) -> None:
        """Predict ten matches."""
        self.predict_batch(10)

    @task(2)
    def ask_health(self) -> None:
        """Ask for the health."""
        self.health()


class LightLoadTest(_Mixed):
    """5 users, 120 s, a pause of 2 to 5 s."""

    wait_time = between(2, 5)


class MediumLoadTest(_Mixed):
    """20 users, 300 s, a pause of 1 to 3 s."""

    wait_time = between(1, 3)


class HeavyLoadTest(_Mixed):
    """50 users, 600 s, a pause of 0.5 to 2 s."""

    wait_time = between(0.5, 2)
