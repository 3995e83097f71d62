"""The values of a host that the filter compares."""

from __future__ import annotations

from math import inf
from typing import Any

from sockmon.ceilings import TITLES
from sockmon.ui.filtering.filter import ALL, KnownFields, RowValues
from sockmon.ui.fleet.cells import HostRow

KNOWN: KnownFields = dict.fromkeys(
    ("host", "label", "state", "severity", "ceiling", "used", "limit", "full", "left"), ALL
)
EXAMPLES = "label:rack=a1 severity:hit,critical full:>80 left:<10m ceiling:conntrack state:stale !host:db"


def host_values(row: HostRow) -> RowValues:
    """Return the values of a host; those of limits are of its nearest one, `ceiling` is any of its alarms."""
    host, limit = row.host, row.limit
    values: dict[str, Any] = {
        "host": host.name,
        "label": tuple(f"{name}={value}" for name, value in host.labels.items()),
        "state": host.state,
        "severity": host.severity,
        "ceiling": tuple(word for each in host.limits for word in (each.ceiling, TITLES.get(each.ceiling, ""))),
        "subject": tuple(each.subject for each in host.limits if each.subject),
    }
    if limit is None:
        return values
    return values | {
        "used": limit.used,
        "limit": inf if limit.limit == -1 else limit.limit,
        "full": None if limit.ratio is None else 100 * limit.ratio,
        "left": limit.left,
    }
