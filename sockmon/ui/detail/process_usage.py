"""What a process uses, a line each: processor, memory, I/O, descriptors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.text import Text

from sockmon import format
from sockmon.assess import Gauge
from sockmon.model.detail import ProcessDetail
from sockmon.model.process_facts import CPU, IO, MEMORY, MemoryDetail, ProcessFacts
from sockmon.model.snapshot import UNLIMITED, Process, Snapshot
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.detail.owners import bold_pair, join_dots
from sockmon.ui.levels import levels_of
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.labelled_list import Labelled


def unread(reason: str) -> Text:
    """Return `? needs root …`."""
    return Text(f"{format.UNKNOWN} {reason}".rstrip(), "sev-unknown")


def per_second(
    get: Callable[[ProcessFacts], float | None], facts: ProcessFacts, before: ProcessFacts | None
) -> float | None:
    """Return how fast a counter grew between two answers; None if one is unknown, or they are the same."""
    if before is None or facts.at <= before.at:
        return None
    now, earlier = get(facts), get(before)
    return None if now is None or earlier is None else max(now - earlier, 0.0) / (facts.at - before.at)


def cpu_text(facts: ProcessFacts, before: ProcessFacts | None, reasons: Mapping[str, str]) -> Text:
    """Return the share of a processor between two answers, and the time since the start."""
    if facts.user_seconds is None or facts.system_seconds is None:
        return unread(reasons.get(CPU, ""))
    parts = []
    user = per_second(lambda each: each.user_seconds, facts, before)
    system = per_second(lambda each: each.system_seconds, facts, before)
    if user is not None and system is not None:
        parts.append(Text.assemble((f"{100 * (user + system):.0f} %", "strong"), " of one processor"))
        parts.append(Text(f"user {100 * user:.0f} %, system {100 * system:.0f} %"))
    else:
        parts.append(Text("measuring…", "muted"))
    total = format.duration(facts.user_seconds + facts.system_seconds)
    parts.append(Text(f"{total} in all", "muted"))
    if facts.nice:
        parts.append(Text(f"nice {facts.nice}"))
    return join_dots(parts)


def memory_text(
    process: Process, detail: ProcessDetail | None, memory: MemoryDetail | None, reasons: Mapping[str, str]
) -> Text:
    """Return resident memory and its parts; PSS if it was counted."""
    facts = detail.facts if detail else None
    resident = facts.resident if facts and facts.resident is not None else process.rss
    parts = [bold_pair(format.size(resident), "resident")]
    if facts and facts.shared is not None:
        parts.append(Text(f"{format.size(facts.shared)} shared"))
    if facts and facts.swapped is not None:
        parts.append(Text(f"{format.size(facts.swapped)} in swap", "sev-warning" if facts.swapped else ""))
    if facts and facts.peak is not None:
        parts.append(Text(f"peak {format.size(facts.peak)}", "muted"))
    if memory and memory.proportional is not None:
        parts.append(Text(f"PSS {format.size(memory.proportional)}, alone {format.size(memory.unique)}"))
    elif memory:
        parts += [unread(item.reason) for item in memory.missing]
    else:
        parts.append(Text("M: PSS", "faint"))
    if MEMORY in reasons:
        parts.append(unread(reasons[MEMORY]))
    return join_dots(parts)


def files_text(process: Process, gauge: Gauge | None, snapshot: Snapshot) -> Text:
    """Return descriptors and limit in a line."""
    limit = descriptor_limit(process, snapshot)
    ratio = process.fds / limit if process.fds is not None and limit else None
    text = Text.assemble((format.count(process.fds), "strong"), f" of {format.count(limit)} descriptors")
    look = SEVERITY_STYLES[gauge.severity if gauge else "unknown"]
    if ratio is not None:
        text.append(f"  {format.ratio(ratio)}", look.style)
    if gauge and gauge.eta_seconds is not None:
        text.append(f"  {format.full_in(gauge.eta_seconds)}", look.style)
    if process.sockets is not None:
        mark = "~" if process.sampled else ""
        text.append(f"  {mark}{format.plural(process.sockets, 'socket')}", "muted")
    return text


_Counter = Callable[[ProcessFacts], int | None]
_DISK: tuple[_Counter, _Counter] = (lambda facts: facts.read_bytes), (lambda facts: facts.written_bytes)
_ALL: tuple[_Counter, _Counter] = (lambda facts: facts.read_chars), (lambda facts: facts.written_chars)


def io_lines(facts: ProcessFacts, before: ProcessFacts | None, reasons: Mapping[str, str]) -> tuple[Labelled, ...]:
    """Return what it reads and writes on disks, and of everything; a second and since the start."""
    if facts.read_bytes is None:
        return (Labelled("Disk I/O", unread(reasons.get(IO, reasons.get(CPU, "")))),)
    return tuple(
        Labelled(name, join_dots((_flow("read", get[0], facts, before), _flow("written", get[1], facts, before))))
        for name, get in (("Disk I/O", _DISK), ("All I/O", _ALL))
    )


def _flow(verb: str, get: _Counter, facts: ProcessFacts, before: ProcessFacts | None) -> Text:
    pace, total = per_second(get, facts, before), format.size(get(facts))
    if pace is None:
        return Text(f"{verb} {total}")
    return Text.assemble(f"{verb} {format.size(round(pace))}/s", (f", {total} in all", "muted"))


def descriptor_limit(process: Process, snapshot: Snapshot) -> int | None:
    """Return what accept() and open() are checked against: the soft limit, or fs.nr_open if that is lower."""
    known = [process.soft] if process.soft not in (None, UNLIMITED) else []
    if snapshot.files and process.soft is not None:
        known.append(snapshot.files.nr_open)
    return min((value for value in known if value is not None), default=None)


def descriptor_usage(process: Process, limit: int | None, gauge: Gauge | None, snapshot: Snapshot) -> Text:
    """Return `▄▄▄▄▖▁▁▁ 842 / 1,024  82 %  +0.7/s  full in ~4 min`, then the three limits."""
    ratio = process.fds / limit if process.fds is not None and limit else None
    look = SEVERITY_STYLES[gauge.severity if gauge else "unknown"]
    text = Text.assemble(
        bar(ratio, 16, gauge.severity if gauge else "unknown", levels_of(gauge, "process-fds")),
        "  ",
        (format.count(process.fds), "strong"),
        f" / {format.count(limit)}  ",
        (format.ratio(ratio), look.style),
    )
    if gauge and gauge.rate is not None:
        text.append(f"  {format.rate(gauge.rate)}", "muted")
    if gauge and gauge.eta_seconds is not None:
        text.append(f"  {format.full_in(gauge.eta_seconds)}", look.style)
    nr_open = snapshot.files.nr_open if snapshot.files else None
    three = (("soft", process.soft), ("hard", process.hard), ("fs.nr_open", nr_open))
    limits = " · ".join(f"{word} {format.limit(value)}" for word, value in three)
    return text.append(f"\n{limits}", "muted")
