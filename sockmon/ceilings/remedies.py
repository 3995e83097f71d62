"""Parts of remedies: advice to the application, more addresses, and the next higher limit."""

from __future__ import annotations

from sockmon.model.report import Remedy


def application(text: str, pid: int | None = None) -> Remedy:
    """Return the remedy that an application has to change, not the kernel; `pid` is the process that it names."""
    return Remedy("application", None, None, text, pid=pid)


def addresses(text: str, named: tuple[str, ...] = ()) -> Remedy:
    """Return the remedy that more addresses are used, such as those that are `named`."""
    return Remedy("addresses", None, None, text, addresses=named)


def next_limit(limit: int, factor: int = 2) -> int:
    """Return a round value above `limit`: the next power of two that is at least `factor` times as much."""
    return 1 << max(limit * factor - 1, 1).bit_length()


EFFECTIVELY_UNLIMITED = 1 << 40
"""A limit from which on raising it is never advised."""
