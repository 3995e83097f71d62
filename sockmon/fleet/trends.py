"""The fullest limit of each host over the last hour: asked whole once, and then what is new."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sockmon.fleet.prometheus import Series, Server
from sockmon.fleet.queries import OLDER_TREND, TREND, selections

TREND_SECONDS, TREND_STEPS = 3600.0, 30
STEP_SECONDS = TREND_SECONDS / TREND_STEPS
PAST_STEPS = TREND_STEPS - 1
"""The newest value of a trend is that of now; the others are at multiples of STEP_SECONDS."""
ASKED_AGAIN = 2
"""Newest steps that are asked once more: their samples may not all have come when they were asked."""


class Trends:
    """The ratio of the fullest limit of each host at the end of each step."""

    def __init__(self) -> None:
        self._end: int | None = None
        """The number of the newest step, counted from the epoch; None before the first answer."""
        self._values: dict[str, list[float | None]] = {}
        """By the label `instance`; PAST_STEPS values, the newest last."""

    def update(self, server: Server, matchers: str, now: float, hosts: Iterable[str]) -> None:
        """Ask for what is new; raise PrometheusError, and keep what was known. `now`: the server's clock (seconds
        since the epoch), so that ours does not matter. `hosts`: every `instance` that has a trend."""
        end = int(now // STEP_SECONDS)
        if end == self._end:
            return
        whole = self._end is None or not 0 < end - self._end < PAST_STEPS - ASKED_AGAIN
        begin = end - PAST_STEPS + 1 if whole or self._end is None else self._end - ASKED_AGAIN + 1

        def ask(expression: str, selected: str) -> list[Series]:
            times = begin * STEP_SECONDS, end * STEP_SECONDS, STEP_SECONDS
            return server.query_range(expression.format(selected), *times)

        rows = ask(TREND, matchers)
        # An older exporter has another series; one that was updated in these steps has both.
        complete = {row.instance for row in rows if round(row.values[0][0] / STEP_SECONDS) == begin}
        older = [row for each in selections(matchers, set(hosts) - complete) for row in ask(OLDER_TREND, each)]
        self._move(end, whole)
        for row in (*older, *rows):
            self._take(row, end)

    def _move(self, end: int, whole: bool) -> None:
        """Make `end` the newest step."""
        if whole or self._end is None:
            self._values = {}
        else:
            shift = end - self._end
            moved = {name: [*values[shift:], *[None] * shift] for name, values in self._values.items()}
            self._values = {name: values for name, values in moved.items() if any(v is not None for v in values)}
        self._end = end

    def _take(self, row: Series, end: int) -> None:
        values = self._values.setdefault(row.instance, [None] * PAST_STEPS)
        for at, value in row.values:
            index = PAST_STEPS - 1 - (end - round(at / STEP_SECONDS))
            if 0 <= index < PAST_STEPS and math.isfinite(value):
                values[index] = value

    def of(self, instance: str) -> Sequence[float | None]:
        """Return PAST_STEPS values, oldest first, None where nothing was sampled; empty if nothing is known."""
        return self._values.get(instance, ())
