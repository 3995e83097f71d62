"""The lines above the hosts: what is asked and how old the answer is, what is wrong, and how the fleet is."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from sockmon import format as fmt
from sockmon.fleet.feed import FleetState
from sockmon.fleet.hosts import FleetHost
from sockmon.ui.fleet.cells import count_line, share_bar
from sockmon.ui.main.header import in_steps
from sockmon.ui.widgets.text_line import justify

SLOW_SECONDS = 5.0
"""Time after which a request that is not answered is shown."""
OLD_SECONDS = 60.0
SHARE_CELLS = 40


def clock() -> Text:
    """Return the time of day."""
    return Text(time.strftime("%H:%M:%S"))


def header_line(title: str, state: FleetState, now: float, width: int) -> Text:
    """Return what is asked at the left, and the age of the answer at the right."""
    left = Text.assemble((" sockmon", "heading"), ("  fleet", "strong"), (" · ", "faint"), title)
    return justify(left, Text.assemble(_age(state, now), (" · ", "faint")), width)


def _age(state: FleetState, now: float) -> Text:
    if state.fleet is None:
        return Text("no answer" if state.error else "asking …", "sev-warning" if state.error else "muted")
    age = in_steps(now - state.at)
    if state.error or age >= OLD_SECONDS:
        return Text(f"stale {fmt.age(age)}", "sev-warning")
    return Text("live", "sev-ok")


def banner(title: str, state: FleetState, now: float) -> str:
    """Return what is wrong with the source, what comes next and how old the data is; empty if it is fine."""
    old = f" The data shown is {fmt.age(now - state.at)} old." if state.fleet is not None else ""
    if state.error:
        hint = f" ({state.hint})" if state.hint else ""
        wait = math.ceil(state.next_at - now)
        again = f"Asking again in {wait} s." if wait > 0 else f"Asking again{_since(state, now)} …"
        return f"{state.error}{hint}. {again}{old}"
    if state.asked_at and now - state.asked_at > SLOW_SECONDS:
        return f"{title} has not answered for {fmt.age(now - state.asked_at)}.{old}"
    return ""


def _since(state: FleetState, now: float) -> str:
    waited = now - state.asked_at if state.asked_at else 0.0
    return f" for {fmt.age(waited)}" if waited > SLOW_SECONDS else ""


def summary(hosts: Sequence[FleetHost], width: int) -> Text:
    """Return how many hosts there are, and how they are: a bar and the counts."""
    counts = Counter(host.severity for host in hosts)
    line = Text.assemble((f" {fmt.plural(len(hosts), 'host')}", "strong"), "  ")
    if width >= 100:
        line.append_text(share_bar(counts, SHARE_CELLS)).append("  ")
    return line.append_text(count_line(counts))
