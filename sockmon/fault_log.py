"""Faults: exceptions that a part should not raise, as a sentence for the screen and once in the log."""

from __future__ import annotations

import errno
import logging

from sockmon.errors import SockmonError
from sockmon.text import sanitize

log = logging.getLogger(__name__)

_MAX_NOTED = 256
"""Different faults that are logged; more are not."""
_MAX_CHARS = 200
_SEE_LOG = " (see the log)"


class Faults:
    """Logs each fault once for each part and kind: a fault in every sample must not fill the disk."""

    def __init__(self) -> None:
        self._noted: set[tuple[str, str, int]] = set()

    def note(self, part: str, error: Exception) -> str:
        """Log `error` with its traceback if `part` has not failed like this before; return it as a sentence."""
        kind = (part, type(error).__name__, _line(error))
        if kind not in self._noted and len(self._noted) < _MAX_NOTED:
            self._noted.add(kind)
            log.exception("%s: %s", part, describe(error), exc_info=error)
        return describe(error)


def describe(error: Exception) -> str:
    """Return `cannot be read: Input/output error (EIO)`, or `failed: KeyError: 'x' (see the log)`."""
    if isinstance(error, OSError) and error.errno:
        name = errno.errorcode.get(error.errno, str(error.errno))
        return f"cannot be read: {error.strerror} ({name})"
    if isinstance(error, SockmonError):
        return error.message
    # An agent that was sent over ssh has no log.
    see_log = _SEE_LOG if logging.getLogger().hasHandlers() else ""
    return sanitize(f"failed: {type(error).__name__}: {error}", _MAX_CHARS - len(_SEE_LOG)) + see_log


def _line(error: Exception) -> int:
    """Return the line that raised `error`, which tells two faults of one type in one part apart."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at.tb_lineno if at is not None else 0


FAULTS = Faults()
"""The faults of this process."""
