"""Health, for whoever routes traffic here, and metrics, for whoever watches."""

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.datastructures import State

from app.storage.engine import DatabaseUnavailableError
from app.telemetry import metrics

router = APIRouter(tags=["health"])
_CHECK_SECONDS = 2.0


class Health(BaseModel):
    """The process answers."""

    status: str = Field(examples=["ok"])
    service: str = Field(examples=["football"])
    release: str = Field(examples=["1a2b3c4-5d6e7f80"])
    environment: str = Field(examples=["development"])


class Dependency(BaseModel):
    """One thing the service needs."""

    status: str = Field(examples=["up"], description="up, degraded or down")
    detail: str = Field(examples=["sqlite"])
    milliseconds: float = Field(examples=[0.6])


class Readiness(BaseModel):
    """Whether traffic should come here, and why not."""

    status: str = Field(examples=["ready"], description="ready, degraded (still ready), draining or unready")
    release: str = Field(examples=["1a2b3c4-5d6e7f80"])
    checks: dict[str, Dependency]


@router.get("/health", response_model=Health, summary="Is it there?")
async def health(request: Request) -> dict[str, str]:
    """Say who answers."""
    settings = request.app.state.settings
    return {
        "status": "ok",
        "service": "football",
        "release": settings.kickoff_release,
        "environment": settings.app_env,
    }


@router.get("/health/live", summary="Is the process alive?")
async def live() -> dict[str, str]:
    """Say that the process runs; asks nothing else, so that no outage elsewhere gets it killed."""
    return {"status": "alive"}


@router.get(
    "/health/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Send traffic elsewhere"}},
    summary="Should traffic come here?",
)
async def ready(request: Request) -> Response:
    """Check every dependency. Without Redis or replica it is degraded and ready; without database not."""
    state = request.app.state
    database, cache = await asyncio.gather(_database(state), _cache(state))
    checks = {"database": database, "cache": cache}
    if state.replica is not None:
        checks["replica"] = await _replica(state)
    if state.drain.draining:
        status = "draining"
    elif database["status"] == "down":
        status = "unready"
    else:
        degraded = any(check["status"] != "up" for check in checks.values())
        status = "degraded" if degraded else "ready"
    return JSONResponse(
        {
            "status": status,
            "release": state.settings.kickoff_release,
            "checks": checks,
        },
        200 if status in {"ready", "degraded"} else 503,
    )


@router.get("/metrics", response_class=Response, summary="Prometheus metrics")
async def prometheus(request: Request) -> Response:
    """Return the metrics of all worker processes."""
    request.app.state.measure()
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


async def _database(state: State) -> dict[str, Any]:
    begun = time.perf_counter()
    status, detail = "up", state.database.dialect
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await state.database.check()
    except TimeoutError:
        status, detail = "down", f"no answer within {_CHECK_SECONDS:g} s"
    except DatabaseUnavailableError as error:
        status, detail = "down", f"unavailable: {error}"
    except LookupError as error:
        status, detail = "down", str(error)
    return {
        "status": status,
        "detail": detail,
        "milliseconds": round((time.perf_counter() - begun) * 1000, 2),
    }


async def _replica(state: State) -> dict[str, Any]:
    begun = time.perf_counter()
    status, detail = "up", "history is read here"
    try:
        await state.replica.check()
    except DatabaseUnavailableError as error:
        status, detail = "degraded", f"history is read on the primary: {error}"
    return {
        "status": status,
        "detail": detail,
        "milliseconds": round((time.perf_counter() - begun) * 1000, 2),
    }


async def _cache(state: State) -> dict[str, Any]:
    found = await state.cache.state()
    return {
        "status": found.status,
        "detail": found.detail or found.mode,
        "milliseconds": found.milliseconds,
    }
