"""What the document says of requests in prose, told to schemathesis just before each request is sent."""

import re
import uuid
from typing import Any

import schemathesis


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _arguments: object) -> None:
    """Keep what a schema cannot say, and leave every value that is wrong by the schema as it is."""
    _a_team_does_not_play_against_itself(case.body)
    headers: Any = case.headers or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r"[!-~]{1,128}", key):
        # A key belongs to one request.
        headers["Idempotency-Key"] = uuid.uuid4().hex


def _a_team_does_not_play_against_itself(body: Any) -> None:
    matches = body.get("matches", [body]) if isinstance(body, dict) else []
    for match in matches if isinstance(matches, list) else []:
        home, away = (match.get("home_team"), match.get("away_team")) if isinstance(match, dict) else (0, 0)
        if isinstance(home, str) and isinstance(away, str) and _same(home, away):
            match["away_team"] = "Chelsea" if _same(home, "Arsenal") else "Arsenal"


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
