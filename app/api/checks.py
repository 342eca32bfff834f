"""For checks of the pipeline: they leave nothing behind."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, Field

from app.api.call import require_key
from app.api.envelope import MARKER
from app.api.problems import responses
from app.service import tenant_of
from app.storage import retention

router = APIRouter(prefix="/checks", tags=["checks"])


class Forgotten(BaseModel):
    """What a check had stored is gone."""

    deleted: int = Field(examples=[12], description="Predictions and matches.")


@router.delete(
    "",
    response_model=Forgotten,
    responses=responses(401, 422, 503, 504),
    dependencies=[Depends(require_key)],
    summary="Forget what a check stored",
)
async def forget(
    request: Request,
    check: Annotated[str, Header(alias=MARKER, min_length=1, description="Name of the check.")],
) -> dict[str, int]:
    """Delete the data of the check that `X-Kickoff-Check` names; nobody else's can be reached."""
    return {"deleted": await retention.forget(request.app.state.database, tenant_of(check))}
