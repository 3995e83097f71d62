"""`sockmon check`: one Report as text or JSON, with an exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from sockmon import format as fmt
from sockmon.assess.selection import NOT_CHOSEN, Selection
from sockmon.assess.several import has_several, subject_in
from sockmon.assess.unjudged import unjudged_text
from sockmon.ceilings import TITLES
from sockmon.cli import console
from sockmon.cli.oneline import as_oneline, ignored_text
from sockmon.cli.text_page import terminal_width_and_colour, wrap
from sockmon.document import json_text
from sockmon.kernel.netns import is_pattern
from sockmon.model.other_netns import HOST
from sockmon.model.report import Reading, Report
from sockmon.model.severity import ALARMS, Severity, glyph_and_label
from sockmon.model.snapshot import OTHER_NETNS, OUTER_TASKS, Missing
from sockmon.observe import MOVEMENT, RECORDING, SETTINGS, current_report, report_of_recording
from sockmon.tuning.planning.advice import advised_remedies, remedy_text

EXIT_CODES: dict[Severity, int] = {"ok": 0, "warning": 1, "critical": 2, "hit": 2, "unknown": 3}
COLOURS: dict[Severity, str] = {"ok": "32", "warning": "33", "critical": "35", "hit": "31", "unknown": "2"}
OWN_SENTENCES = (MOVEMENT, OTHER_NETNS, OUTER_TASKS, NOT_CHOSEN, SETTINGS)
"""Readers in `missing` whose reason is a sentence of its own."""
PLAN_COMMAND = "sockmon tune plan"


def report_for(
    netns: Sequence[str], watch: float, recording: str | None, selection: Selection, here: bool = False
) -> Report:
    """Return what is selected of the report of this machine or a recording; print what is odd about either."""
    with console.waiting("reading the recording" if recording else "sampling"):
        found = (
            selection.apply(report_of_recording(recording))
            if recording
            else current_report(netns, watch, selection, here)
        )
    for missing in found.missing if recording else ():
        if missing.reader == RECORDING:
            console.print_notice(f"{recording}: {missing.reason}")
    for each in selection.unused(found):
        console.print_notice(f"--ignore {each}: no reading of this report matches it")
    return found


def shown(report: Report, json: bool, oneline: bool, netns: Sequence[str], recording: str | None) -> str:
    """Return the report in the form that was asked for."""
    if json:
        return as_json(report)
    if oneline:
        return as_oneline(report)
    columns, colour = terminal_width_and_colour()
    one = len(netns) == 1 and not is_pattern(netns[0])
    plan = "" if recording else f"{PLAN_COMMAND} --netns {shlex.quote(netns[0])}" if one else PLAN_COMMAND
    return as_text(report, colour, columns if sys.stdout.isatty() else None, plan)


def as_json(report: Report) -> str:
    """Return the object of `check --json`, whose fields are a contract."""
    return json_text(report)


def schema() -> str:
    """Return the JSON Schema of `check --json`."""
    return json_text(msgspec.json.schema(Report))


def as_text(report: Report, colour: bool, width: int | None = None, plan: str = PLAN_COMMAND) -> str:
    """Return the report as text: alarms with evidence and remedies, other readings on a line each.

    `width` is that of the terminal, for which reasons are grouped and the last line repeats the verdict; None for
    a file or a pipe. `plan` is the command that previews a remedy; empty for a recording, which cannot be
    changed."""
    verdict, left_out = glyph_and_label(report.verdict), "; ".join(_left_out(report))
    when = f" · recorded {fmt.utc(report.time)}" if report.recording else ""
    head = f"{report.host} · {report.kernel} · {_where(report)}{when} · {verdict}"
    lines = _coloured(_wrapped(f"{head}, {left_out}" if left_out else head, 2, width), report.verdict, colour)
    several = has_several(report)
    room = max((len(_numbers(reading)) for reading in report.readings), default=0)
    for rows in _grouped(report.readings) if width is not None else ([row] for row in report.readings):
        severity = rows[0].severity
        line = _reading_line(rows[0], room, several) if len(rows) == 1 else _group_line(rows)
        lines += _coloured(_wrapped(line, 33 if len(rows) == 1 else 10, width), severity, colour)
        if severity in ALARMS:
            lines += _evidence_lines(rows[0], width, _plan_for(rows[0], plan, several))
    if report.quiet_netns:
        others = fmt.plural(report.quiet_netns, "other network namespace")
        lines += _coloured([f"{glyph_and_label('ok'):<9} {others}: no limit is near"], "ok", colour)
    lines += _missing_lines(_not_yet_reported(report), width)
    if report.owners_known is not None and report.owners_known < 1:
        lines.append(f"? owners of {fmt.ratio(report.owners_known)} of the descriptors are known")
    if width is not None:
        summary = f"{_verdict_summary(report)}; {left_out}" if left_out else _verdict_summary(report)
        lines += _coloured(_wrapped(f"{verdict}: {summary}", 2, width), report.verdict, colour)
    return "\n".join(lines)


def _where(report: Report) -> str:
    """Return the network namespaces that were judged: `netns host and 34 others`."""
    named = {row.netns.inode for row in report.readings if row.netns}
    others = report.quiet_netns + max(len(named) - 1, 0)
    return f"netns {report.netns}" + (f" and {fmt.plural(others, 'other')}" if others > 0 else "")


def _grouped(readings: Iterable[Reading]) -> list[list[Reading]]:
    """Return the readings in their order; those without numbers that have the same reason together."""
    groups: dict[object, list[Reading]] = {}
    for row in readings:
        alone = row.counted or row.severity in ALARMS
        groups.setdefault(id(row) if alone else (row.severity, row.subject, row.evidence), []).append(row)
    return list(groups.values())


def _group_line(rows: list[Reading]) -> str:
    titles = ", ".join(TITLES[row.ceiling] for row in rows)
    return f"{glyph_and_label(rows[0].severity):<9} {titles}: {rows[0].subject}: {'; '.join(rows[0].evidence)}"


def _missing_lines(entries: Iterable[Missing], width: int | None) -> Iterator[str]:
    """Yield what could not be read; for a terminal what has the same reason in one line, and in few words."""
    groups: dict[object, list[Missing]] = {}
    for entry in entries:
        groups.setdefault(replace(entry, netns=0) if width is None else entry.reason, []).append(entry)
    for first, *others in groups.values():
        text = first.short if width is not None and first.short else first.reason
        readers, whole = dict.fromkeys(each.reader for each in (first, *others)), first.reader in OWN_SENTENCES
        yield from _wrapped(f"? {text}" if whole else f"? not read: {', '.join(readers)}: {text}", 2, width)


def _left_out(report: Report) -> Iterator[str]:
    """Yield what the verdict does not cover."""
    if ignored := ignored_text(report):
        yield ignored
    if unjudged := unjudged_text(report.missing):
        yield f"not judged: {unjudged}"


def _verdict_summary(report: Report) -> str:
    """Return the last line for a terminal, which may have scrolled the first line away."""
    if report.verdict == "unknown":
        return "no limit could be judged"
    if report.verdict not in ALARMS:
        return "no limit is near"
    worst = report.readings[0]
    return f"{TITLES[worst.ceiling]} {subject_in(worst, has_several(report))}, at the top"


def _evidence_lines(reading: Reading, width: int | None, plan: str) -> Iterator[str]:
    for sentence in reading.evidence:
        yield from _wrapped(f"      {sentence}", 8, width)
    for at, remedy in enumerate(reading.remedies, 1):
        yield from _wrapped(f"      {at}. {remedy_text(remedy)}", 9, width)
    for found in advised_remedies(reading)[:1] if plan else ():
        # Not wrapped, so that it can be copied.
        yield f"      try: {plan} {found.key}={shlex.quote(found.value)}"


def _not_yet_reported(report: Report) -> list[Missing]:
    """Return what could not be read, without the entries that an unknown reading has already reported."""
    reported = [item for row in report.readings for item in row.missing]
    return [item for item in report.missing if item not in reported]


def _wrapped(line: str, hang: int, width: int | None) -> list[str]:
    return [line] if width is None else wrap(line, max(width, 40), hang, break_words=False)


def _coloured(lines: list[str], severity: Severity, colour: bool) -> list[str]:
    """Return the lines of a paragraph with the severity in its colour."""
    label = glyph_and_label(severity)
    found = f"\x1b[{COLOURS[severity]}m{label}\x1b[0m" if colour else label
    return "\n".join(lines).replace(label, found, 1).split("\n")


def _numbers(reading: Reading) -> str:
    if not reading.counted:
        return ""
    return f"{fmt.count(reading.used)} / {fmt.count(reading.limit)}  {fmt.ratio(reading.ratio)}"


def _plan_for(reading: Reading, plan: str, several: bool) -> str:
    """Return the command that previews a remedy; if there are several namespaces, or a pattern has chosen this
    one, it names that of the reading."""
    netns = reading.netns
    chosen = netns is not None and plan == PLAN_COMMAND and (several or netns.kind not in ("", HOST))
    if netns is None or not chosen:
        return plan
    # What is called by its largest process has no name that `--netns` takes.
    return f"{plan} --netns {shlex.quote(netns.name if netns.kind else netns.entry or netns.name)}"


def _reading_line(reading: Reading, room: int, several: bool) -> str:
    label = glyph_and_label(reading.severity).ljust(9)
    title = TITLES[reading.ceiling]
    if not _numbers(reading):
        return f"{label} {title:<22} {subject_in(reading, several)}: {'; '.join(reading.evidence)}"
    left = f"  full in {fmt.duration(reading.eta_seconds)}" if (reading.eta_seconds or 0) >= 1 else ""
    return f"{label} {title:<22} {_numbers(reading):<{room}}  {subject_in(reading, several)}{left}"
