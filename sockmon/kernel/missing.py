"""A part that cannot be read is noted, and the others are still read."""

from __future__ import annotations

from sockmon.errors import ReadError
from sockmon.model.snapshot import Missing


def note_missing(missing: list[Missing] | None, error: ReadError) -> None:
    """Append reader and reason of `error` to `missing`, if there is a list."""
    if missing is not None:
        missing.append(Missing(error.reader, error.message))
