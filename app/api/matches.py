"""Results of matches."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.call import CurrentCall, require_key
from app.api.problems import responses
from app.api.schemas import MatchId, ResultRequest, SettlementDocument
from app.service import Settlement
from app.storage.idempotency import Reply
from app.storage.matches import Match

router = APIRouter(prefix="/matches", tags=["matches"])


@router.post(
    "/{match_id}/result",
    status_code=201,
    response_model=SettlementDocument,
    responses={
        200: {"model": SettlementDocument, "description": "This result was posted before"},
        **responses(400, 401, 409, 413, 422, 503, 504),
    },
    dependencies=[Depends(require_key)],
    summary="Post a result",
)
async def post_result(
    match_id: Annotated[MatchId, Path()], result: ResultRequest, call: CurrentCall
) -> Response:
    """Store a result: ratings learn from it, and predictions of the match are scored, in one transaction."""
    match = Match(call.tenant, match_id, settled_at=datetime.now(UTC), **result.model_dump())
    done: list[Settlement] = []

    async def work(connection: AsyncConnection) -> Reply:
        settlement = await call.football.settle(connection, match)
        done.append(settlement)
        status = 201 if settlement.created else 200
        return Reply(status, SettlementDocument.of(settlement).model_dump_json())

    response = await call.once(result.model_dump_json(), work)
    for settlement in done:
        await call.football.settled(settlement)
    return response
