"""Cells of the tables of a fleet: severity or state, limit, usage, trend, time left, age."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.fleet.hosts import FleetHost, HostLimit, State
from sockmon.model.severity import ALARMS, Severity
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.main.header import in_steps
from sockmon.ui.widgets.bar import FULL, bar
from sockmon.ui.widgets.column import cut_middle
from sockmon.ui.widgets.sparkline import sparkline

STATE_WORDS: Mapping[State, str] = {
    "stale": "? stale",
    "gone": "? gone",
    "failed": "? failed",
    "waiting": "… waits",
}
SEVERITY_ORDER: tuple[Severity, ...] = ("hit", "critical", "warning", "unknown", "ok")
"""An unknown host may be the sick one: it stands before those that are fine."""
OLD_SECONDS = 60.0
"""Age from which on a sample of a live host has a number: a younger one is as young as scrapes make it, and an age
that changes on all lines is nothing to look at."""


class HostRow(NamedTuple):
    """A host, as an answer says."""

    host: FleetHost
    answered_at: float
    """When the answer came (CLOCK_MONOTONIC)."""

    @property
    def age(self) -> float | None:
        """Return the seconds since its newest sample, in steps, so that an age alone is rarely drawn."""
        return None if self.host.age is None else in_steps(self.host.age + time.monotonic() - self.answered_at)

    @property
    def shown(self) -> object:
        """Return all that its cells depend on; of its age only what they show."""
        age = self.age
        return self.host, age is not None and max(age, OLD_SECONDS - 1)

    @property
    def limit(self) -> HostLimit | None:
        """Return its nearest limit."""
        return self.host.nearest


def style_of(severity: Severity) -> str:
    """Return the style of an alarm; empty without one."""
    return SEVERITY_STYLES[severity].style if severity in ALARMS else ""


def severity_cell(severity: Severity) -> Text:
    """Return glyph and word."""
    style = SEVERITY_STYLES[severity]
    return Text(f"{style.glyph} {style.word}", style.style)


def state_cell(host: FleetHost) -> Text:
    """Return the severity of a host, or why it has none."""
    return severity_cell(host.severity) if host.state == "live" else Text(STATE_WORDS[host.state], "sev-unknown")


def common_port(hosts: Sequence[FleetHost]) -> str:
    """Return the port that all names end with, such as `:9768`: it tells nothing and takes room; empty without."""
    ports = {host.name.rpartition(":")[1:] for host in hosts}
    port = "".join(ports.pop()) if len(ports) == 1 else ""
    return port if port[1:].isdecimal() else ""


def name_cell(host: FleetHost, port: str = "") -> Text:
    """Return the name without this port; strong if it has an alarm."""
    return Text(host.name.removesuffix(port), "strong" if host.severity in ALARMS else "")


def title_of(limit: HostLimit | None) -> str:
    """Return the title of a limit."""
    return TITLES.get(limit.ceiling, limit.ceiling.replace("-", " ")) if limit else ""


def title_cell(limit: HostLimit | None) -> Text:
    """Return the title; strong if it is an alarm."""
    return Text(title_of(limit), "strong" if limit and limit.severity in ALARMS else "")


def subject_cell(limit: HostLimit | None, width: int = 0) -> Text:
    """Return what has the limit, in so many cells; with its network namespace if that fits."""
    if limit is None:
        return Text()
    style = style_of(limit.severity) or "muted"
    whole = Text(limit.whole_subject, style)
    return whole if whole.cell_len <= width else cut_middle(Text(limit.subject, style), width)


def usage_cell(limit: HostLimit | None, width: int) -> Text:
    """Return a bar without marks: the levels of another host are not known here."""
    return bar(limit.ratio, width, limit.severity) if limit and not _unused(limit) else Text()


def _unused(limit: HostLimit) -> bool:
    """Whether nothing on the host has this limit: its severity is known, and there is no number."""
    return limit.severity == "ok" and limit.ratio is None


def used_cell(limit: HostLimit | None) -> Text:
    """Return `842/1024`; large numbers are rounded."""
    if limit is None or limit.used is None:
        return Text()
    most = "∞" if limit.limit == -1 else fmt.short(limit.limit)
    return Text.assemble((fmt.short(limit.used), style_of(limit.severity)), ("/", "faint"), (most, "muted"))


def full_cell(limit: HostLimit | None) -> Text:
    """Return how full the limit is, in per cent."""
    if limit is None or _unused(limit):
        return Text(fmt.NOTHING if limit else "", "faint")
    return Text(fmt.ratio(limit.ratio), style_of(limit.severity) or "muted")


def left_cell(limit: HostLimit | None) -> Text:
    """Return the time left: `now`, `~4 min`, or `—`."""
    seconds = limit.left if limit else None
    style = "faint" if limit is None or seconds is None else style_of(limit.severity) or "muted"
    return Text(fmt.eta(seconds), style)


def trend_cell(host: FleetHost, width: int) -> Text:
    """Return the trend of the fullest limit, its end now; where nothing was sampled it is empty."""
    size = max(-(-len(host.trend) // width), 1)
    parts = [host.trend[at : at + size] for at in range(len(host.trend) % size, len(host.trend), size)]
    points = [max((value for value in part if value is not None), default=None) for part in parts]
    known = sparkline([point for point in points if point is not None], len(points), SEVERITY_STYLES["ok"].style)
    blocks = iter(known.plain.strip())
    cells = "".join(" " if point is None else next(blocks) for point in points)
    return Text(cells.rjust(width), style_of(host.severity) or "spark")


def more_cell(host: FleetHost, width: int) -> Text:
    """Return the further alarms: the first one by name, and how many there are besides."""
    others = [limit for limit in host.limits[1:] if limit.severity in ALARMS]
    if not others:
        return Text()
    if width < 10:
        return Text(f"+{len(others)}", style_of(others[0].severity))
    more = f" +{len(others) - 1}" if len(others) > 1 else ""
    title = Text(title_of(others[0]))
    title.truncate(width - len(more), overflow="ellipsis")
    return Text.assemble((title.plain, style_of(others[0].severity)), (more, "muted"))


def age_cell(row: HostRow) -> Text:
    """Return the age of its newest sample."""
    if row.age is not None and row.age < OLD_SECONDS:
        return Text("<1 min", "faint")
    return Text(fmt.age(row.age), "sev-warning" if row.age else "faint")


def reason_span(row: HostRow) -> tuple[tuple[str, ...], Text] | None:
    """Return why nothing is known of a host, and what was known last, in place of its numbers."""
    host = row.host
    if host.state == "live" and host.nearest is not None:
        return None
    if host.state == "live":
        return ("LIMIT",), Text("no limit is in use", "muted")
    text = Text(host.reason, "sev-unknown")
    if limit := host.nearest:
        last = f" · last: {title_of(limit)} {fmt.ratio(limit.ratio)}"
        text.append(last, "muted")
    return ("LIMIT",), text


def count_line(counts: Counter[Severity]) -> Text:
    """Return `✖ 1 hit  ▲ 2 warning  ? 1 unknown  ● 46 ok`."""
    parts = []
    for level in SEVERITY_ORDER:
        if counts[level]:
            style = SEVERITY_STYLES[level]
            parts.append(Text(f"{style.glyph} {counts[level]:,} {level}", style.style))
    return Text("  ").join(parts)


def share_bar(counts: Counter[Severity], width: int) -> Text:
    """Return one bar for all hosts, a part in each colour; every severity that there is has a cell at least."""
    present = [level for level in SEVERITY_ORDER if counts[level]]
    total = sum(counts.values())
    if not total or width < len(present):
        return Text()
    cells = {level: max(1, int(counts[level] / total * width)) for level in present}
    largest = max(present, key=lambda level: counts[level])
    cells[largest] = max(1, cells[largest] + width - sum(cells.values()))
    return Text.assemble(*((FULL * cells[level], SEVERITY_STYLES[level].style) for level in present))


def labels_text(labels: Mapping[str, str], hidden: Sequence[str] = ()) -> Text:
    """Return `job=sockmon  rack=a1`."""
    shown = [(name, value) for name, value in sorted(labels.items()) if name not in hidden]
    return Text("  ").join(Text.assemble((f"{name}=", "muted"), value) for name, value in shown)
