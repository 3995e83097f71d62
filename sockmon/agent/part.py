"""The one place that runs a part of a Snapshot: a part that fails is missing, and the others go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sockmon.errors import ReadError
from sockmon.fault_log import FAULTS
from sockmon.model.snapshot import Missing

T = TypeVar("T")


def read_or_missing(missing: list[Missing], part: str, read: Callable[[], T]) -> T | None:
    """Return what `read` returns; if it raises anything, add the reason to `missing` and return None."""
    try:
        return read()
    except Exception as error:
        missing.append(to_missing(part, error))
        return None


def to_missing(part: str, error: Exception) -> Missing:
    """Return the entry for `missing` that `error` means; an error that is not a ReadError is a fault, and is
    logged."""
    if isinstance(error, ReadError):
        return Missing(error.reader, error.message)
    return Missing(part, FAULTS.note(part, error))
