"""Predictions: make one, make several, list them."""

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.call import Call, CurrentCall, require_key
from app.api.problems import responses
from app.api.schemas import (
    LARGEST_PAGE,
    BatchDocument,
    BatchRequest,
    Cursor,
    MatchId,
    MatchRequest,
    PageDocument,
    PredictionDocument,
    cursor_of,
    place_of,
)
from app.service import PUBLIC, Fixture
from app.storage import predictions
from app.storage.idempotency import Reply
from app.storage.predictions import Prediction
from app.telemetry import metrics

router = APIRouter(prefix="/predictions", tags=["predictions"])
_WRITE_ERRORS = responses(400, 401, 413, 422, 503, 504)


@router.post(
    "",
    status_code=201,
    response_model=PredictionDocument,
    responses=_WRITE_ERRORS,
    dependencies=[Depends(require_key)],
    summary="Predict a match",
)
async def predict(match: MatchRequest, call: CurrentCall) -> Response:
    """Predict one match. Teams that never played count as average."""
    return await _predict(call, [match], match, lambda made: PredictionDocument.of(made[0]))


@router.post(
    "/batch",
    status_code=201,
    response_model=BatchDocument,
    responses=_WRITE_ERRORS,
    dependencies=[Depends(require_key)],
    summary="Predict several matches",
)
async def predict_batch(batch: BatchRequest, call: CurrentCall) -> Response:
    """Predict several matches at once: all predictions are stored, or none."""
    return await _predict(
        call,
        batch.matches,
        batch,
        lambda made: BatchDocument(predictions=[PredictionDocument.of(row) for row in made]),
    )


@router.get("", responses=responses(422, 503, 504), summary="List predictions")
async def history(
    call: CurrentCall,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
    cursor: Annotated[Cursor | None, Query()] = None,
    match_id: Annotated[MatchId | None, Query(description="Only predictions of this match")] = None,
) -> PageDocument:
    """List predictions, newest first. Rows that arrive meanwhile do not move the pages."""
    before = None if cursor is None else place_of(cursor)
    rows, place = await predictions.page(
        call.history, tenant=call.tenant, match_id=match_id, before=before, limit=limit
    )
    return PageDocument(
        items=[PredictionDocument.of(row) for row in rows],
        next_cursor=None if place is None else cursor_of(place),
    )


async def _predict(
    call: Call,
    matches: Sequence[MatchRequest],
    request: BaseModel,
    document: Callable[[list[Prediction]], BaseModel],
) -> Response:
    fixtures = [Fixture(match.home_team, match.away_team, match.match_id) for match in matches]
    made = await call.football.predict(fixtures, tenant=call.tenant)

    async def work(connection: AsyncConnection) -> Reply:
        await predictions.insert_predictions(connection, made)
        return Reply(201, document(made).model_dump_json())

    response = await call.once(request.model_dump_json(), work)
    if call.tenant == PUBLIC and "Idempotent-Replayed" not in response.headers:
        metrics.PREDICTIONS.inc(len(fixtures))
    return response
