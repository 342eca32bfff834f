"""The yardstick: the smallest application of the same framework."""

from fastapi import FastAPI

application = FastAPI(openapi_url=None)


@application.get("/")
async def hello() -> dict[str, str]:
    """Say hello."""
    return {"hello": "world"}
