"""Structured logs: one JSON object per line on standard error."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from opentelemetry import trace

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def current_trace() -> str:
    """Return the id of the trace that this code is part of; empty where none is kept."""
    span = trace.get_current_span().get_span_context()
    return trace.format_trace_id(span.trace_id) if span.trace_flags.sampled else ""


class JsonFormatter(logging.Formatter):
    """One line per record: time, level, logger, message, release, the request's ids, and every ``extra``."""

    def __init__(self, release: str) -> None:
        super().__init__()
        self._release = release

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "release": self._release,
        }
        if request_id := REQUEST_ID.get():
            entry["request_id"] = request_id
        if trace_id := current_trace():
            entry["trace_id"] = trace_id
        entry.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def no_failure(record: logging.LogRecord) -> bool:
    """Make a warning of a trace that could not be sent: no request fails of it."""
    if record.name.startswith("opentelemetry.") and record.levelno > logging.WARNING:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def configure(level: str, release: str) -> None:
    """Send all logs to standard error as JSON, from ``level`` upwards."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(release))
    handler.addFilter(no_failure)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # At debug these two describe every statement twice.
    for chatty in ("aiosqlite", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.INFO)
    # That traces find no receiver is told of each batch, not of each attempt.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
