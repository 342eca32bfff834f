"""The documents that travel: what a caller sends, and what it gets back."""

import unicodedata
import uuid
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.service import Settlement
from app.storage.predictions import Prediction
from app.storage.ratings import key_of

LARGEST_BATCH = 100
LARGEST_PAGE = 200


def _printable(value: str) -> str:
    # Control characters and lone surrogates have no place in a name; databases refuse some of them.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise ValueError("control characters are not allowed")
    return value


# What ``_printable`` refuses, and a name of spaces alone, in the words of JSON Schema.
_CONTROL = r"\u0000-\u001f\u007f-\u009f"
_NAME_PATTERN = rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$"
TeamName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    AfterValidator(_printable),
    Field(
        description="Case and spaces do not tell teams apart.", json_schema_extra={"pattern": _NAME_PATTERN}
    ),
]
MatchId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$"),
    Field(examples=["2026-05-24-ars-che"], description="Your own name for the match."),
]
Cursor = Annotated[
    str,
    StringConstraints(pattern=r"^p(0|[1-9][0-9]{0,17})$"),
    Field(examples=["p1200"], description="`next_cursor` of the last page. Do not build one yourself."),
]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _TwoTeams(_Strict):
    home_team: TeamName = Field(examples=["Arsenal"])
    away_team: TeamName = Field(examples=["Chelsea"])

    @model_validator(mode="after")
    def _differ(self) -> "_TwoTeams":
        if key_of(self.home_team) == key_of(self.away_team):
            raise ValueError("a team cannot play against itself")
        return self


class MatchRequest(_TwoTeams):
    """A match to predict."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"home_team": "Arsenal", "away_team": "Chelsea", "match_id": "2026-05-24-ars-che"}]
        }
    )

    match_id: MatchId | None = Field(
        None, description="Ties the prediction to the result that you will post; it is scored then."
    )


class BatchRequest(_Strict):
    """Several matches to predict: all are stored, or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "matches": [
                        {"home_team": "Arsenal", "away_team": "Chelsea"},
                        {"home_team": "Leeds", "away_team": "Everton"},
                    ]
                }
            ]
        }
    )

    matches: list[MatchRequest] = Field(min_length=1, max_length=LARGEST_BATCH)


class ResultRequest(_TwoTeams):
    """The result of a match."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"home_team": "Arsenal", "away_team": "Chelsea", "home_goals": 2, "away_goals": 1}]
        }
    )

    home_goals: int = Field(ge=0, le=99)
    away_goals: int = Field(ge=0, le=99)


class Probabilities(BaseModel):
    """The three outcomes; they sum to 1."""

    home: Probability = Field(examples=[0.45])
    draw: Probability = Field(examples=[0.26])
    away: Probability = Field(examples=[0.29])


class ExpectedScore(BaseModel):
    """Goals the model expects, on average."""

    home: float = Field(examples=[1.5])
    away: float = Field(examples=[1.2])


class LikelyScore(BaseModel):
    """The most probable score."""

    home: int = Field(examples=[1])
    away: int = Field(examples=[1])


class Score(BaseModel):
    """How good the prediction was; lower is better for both scores."""

    outcome: str = Field(examples=["home"])
    log_loss: float = Field(examples=[0.7985])
    rps: float = Field(examples=[0.1933], description="Ranked probability score, between 0 and 1.")


class PredictionDocument(BaseModel):
    """A stored prediction."""

    id: uuid.UUID
    match_id: str | None
    home_team: str = Field(examples=["Arsenal"])
    away_team: str = Field(examples=["Chelsea"])
    probabilities: Probabilities
    expected_score: ExpectedScore
    likely_score: LikelyScore
    model_version: str = Field(examples=["dixon-coles-1"])
    results_seen: int = Field(description="How many results the ratings had learned from.")
    created_at: datetime
    score: Score | None = Field(description="Present once the match is settled.")

    @classmethod
    def of(cls, row: Prediction) -> "PredictionDocument":
        """Return the document of a stored prediction."""
        return cls(
            id=row.id,
            match_id=row.match_id,
            home_team=row.home_team,
            away_team=row.away_team,
            probabilities=Probabilities(home=row.home, draw=row.draw, away=row.away),
            expected_score=ExpectedScore(home=row.home_goals, away=row.away_goals),
            likely_score=LikelyScore(home=row.likely_home, away=row.likely_away),
            model_version=row.model_version,
            results_seen=row.results_seen,
            created_at=row.created_at,
            score=None
            if row.outcome is None or row.log_loss is None or row.rps is None
            else Score(outcome=row.outcome, log_loss=row.log_loss, rps=row.rps),
        )


class BatchDocument(BaseModel):
    """The predictions of a batch, in the order asked."""

    predictions: list[PredictionDocument]


class PageDocument(BaseModel):
    """A page of predictions, newest first."""

    items: list[PredictionDocument]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last page.")


class SettlementDocument(BaseModel):
    """What a result changed."""

    match_id: str
    home_team: str
    away_team: str
    home_goals: int
    away_goals: int
    settled_at: datetime
    created: bool = Field(description="False when this very result had been posted before.")
    rated: bool = Field(description="Whether ratings learned from it.")
    predictions_scored: int

    @classmethod
    def of(cls, settlement: Settlement) -> "SettlementDocument":
        """Return the document of a settlement."""
        match = settlement.match
        return cls(
            match_id=match.id,
            home_team=match.home_team,
            away_team=match.away_team,
            home_goals=match.home_goals,
            away_goals=match.away_goals,
            settled_at=match.settled_at,
            created=settlement.created,
            rated=settlement.rated,
            predictions_scored=len(settlement.scored),
        )


def cursor_of(place: int) -> str:
    """Return the text for a place in the history."""
    return f"p{place}"


def place_of(cursor: str) -> int:
    """Return the place that a cursor stands for."""
    return int(cursor.removeprefix("p"))
