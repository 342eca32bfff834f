"""Files that a reader sees whole or not at all, and the clock of all evidence."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path


def folder() -> Path:
    """Return where evidence goes: what ``KICKOFF_EVIDENCE_DIR`` names, or ``.kickoff/evidence``."""
    return Path(os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence")


def now() -> str:
    """Return the current time as ISO 8601 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_atomic(target: Path, text: str, mode: int = 0o644) -> None:
    """Write ``text`` so that a reader sees the old file or the new one, and a crash loses neither."""
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
