"""One Report: in words for a person, as JSON for a program, with an exit code for both."""

from __future__ import annotations

import shlex
import textwrap
import time
from collections.abc import Iterator

import msgspec

from sockmon import format as words
from sockmon.agent.sampler import open_sampler
from sockmon.assess import Assessment, Assessor
from sockmon.ceilings import TITLES
from sockmon.errors import BadRecording
from sockmon.model.clean import clean
from sockmon.model.report import Reading, Remedy, Report, Severity
from sockmon.model.snapshot import Missing, Snapshot
from sockmon.sources.replay import Replay
from sockmon.tuning.advice import knobs

EXIT: dict[Severity, int] = {"ok": 0, "warning": 1, "critical": 2, "hit": 2, "unknown": 3}
ALARMS = ("warning", "critical", "hit")
GLYPHS: dict[Severity, str] = {"ok": "●", "warning": "▲", "critical": "◆", "hit": "✖", "unknown": "?"}
WORDS: dict[Severity, str] = {
    "ok": "ok",
    "warning": "WARN",
    "critical": "CRIT",
    "hit": "HIT",
    "unknown": "unknown",
}
COLOURS: dict[Severity, str] = {"ok": "32", "warning": "33", "critical": "35", "hit": "31", "unknown": "2"}
INTERVAL = 1.0
SECOND_LOOK = 0.3
"""Seconds until a queue that was full is looked at again."""
PLAN = "sockmon tune plan"
COUNTERS_LOOK = 1.0
"""Seconds until counters are read again that prove a hit, where they have ever moved."""


def report(netns: str | None = None, watch: float = 0.0) -> Report:
    """The Report of `look`."""
    return look(netns, watch).report


def look(netns: str | None = None, watch: float = 0.0) -> Assessment:
    """The Assessment after `watch` seconds of looking; with 0 after a single look, or a second one where only that
    can tell. Rates and time left need a watch."""
    with open_sampler(netns, max(min(INTERVAL, watch / 4), 0.25)) as kernel:
        assessor = Assessor(max(watch + INTERVAL, 1.0))
        assessment = assessor.add(kernel.sample(complete=True))
        if not watch and (assessor.overfull() or assessor.ever_hit()):
            # A queue that is full for a moment is no alarm, and a counter says "now" only where it moves.
            time.sleep(COUNTERS_LOOK if assessor.ever_hit() else SECOND_LOOK)
            kernel.look_again()
            assessment = assessor.add(kernel.sample())
        end = time.monotonic() + watch
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(kernel.interval, left))
            kernel.refresh()
            assessment = assessor.add(kernel.sample(complete=left <= kernel.interval))
        return assessment


def replayed(path: str) -> Report:
    """The Report at the end of the recording `path`, after all that it holds; BadRecording when it is not one."""
    assessor = Assessor()
    for line in Replay(path, pace=False).lines():
        if isinstance(line, Snapshot):
            last = _judged(assessor, line, path)
    return last


def _judged(assessor: Assessor, snapshot: Snapshot, path: str) -> Report:
    """A forged recording may have, value by value, what a kernel could say, and all together what none does."""
    try:
        return assessor.add(snapshot).report
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise BadRecording(
            f"{clean(path)} cannot be judged: {type(error).__name__}: {error}",
            "its numbers do not go together: it was forged, or this is a fault of sockmon",
        ) from error


def as_json(report: Report) -> str:
    """The contract of `check --json`: one object, indented for those who look at it."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def schema() -> str:
    """JSON Schema of `check --json`."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Report)), indent=2).decode()


def as_text(report: Report, colour: bool, width: int | None = None, plan: str = PLAN) -> str:
    """The same in words, alarms with their evidence and remedies, the rest a line each; `width` is that of the
    terminal that it is for, whose last line says what its first one did. `plan` is the command that previews a
    remedy, empty where none can be carried out: on a recording."""
    lines = [f"{report.host} · {report.kernel} · netns {report.netns} · {_mark(report.verdict, colour)}"]
    room = max((len(_numbers(reading)) for reading in report.readings), default=0)
    for reading in report.readings:
        first, *rest = _wrapped(_line(reading, room), 33, width)
        lines += [first.replace(_mark(reading.severity, False), _mark(reading.severity, colour), 1), *rest]
        if reading.severity in ALARMS:
            lines += _why(reading, width, plan)
    for missing in _unsaid(report):
        lines += _wrapped(f"? not seen: {missing.reader}: {missing.reason}", 2, width)
    if width is not None and report.verdict in ALARMS:
        worst = report.readings[0]
        lines.append(f"{_mark(report.verdict, colour)}: {TITLES[worst.ceiling]} {worst.subject}, at the top")
    return "\n".join(lines)


def _why(reading: Reading, width: int | None, plan: str) -> Iterator[str]:
    for sentence in reading.evidence:
        yield from _wrapped(f"      {sentence}", 8, width)
    for at, remedy in enumerate(reading.remedies, 1):
        yield from _wrapped(f"      {at}. {advice(remedy)}", 9, width)
    for knob in knobs(reading)[:1] if plan else ():
        # To be copied, so that it stays whole.
        yield f"      try: {plan} {knob.key}={shlex.quote(knob.value)}"


def _unsaid(report: Report) -> list[Missing]:
    """What could not be seen, less what an unknown reading has said already."""
    said = [sentence for row in report.readings if row.severity == "unknown" for sentence in row.evidence]
    return [item for item in report.missing if not any(item.reason in sentence for sentence in said)]


def _wrapped(line: str, hang: int, width: int | None) -> list[str]:
    """`line` in lines of at most `width` cells, those after the first indented by `hang`."""
    if width is None:
        return [line]
    # Ids and paths have hyphens, and are copied from here: they stay whole.
    lead = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line.strip(),
        max(width, 40),
        initial_indent=lead,
        subsequent_indent=" " * hang,
        break_on_hyphens=False,
        break_long_words=False,
    )


def advice(remedy: Remedy) -> str:
    """What to set, where it is a sysctl, and what that brings."""
    setting = f"{remedy.key} = {remedy.value}: " if remedy.kind == "sysctl" and remedy.key else ""
    return setting + remedy.text


def _mark(severity: Severity, colour: bool) -> str:
    text = f"{GLYPHS[severity]} {WORDS[severity]}"
    return f"\x1b[{COLOURS[severity]}m{text}\x1b[0m" if colour else text


def _numbers(reading: Reading) -> str:
    if reading.severity == "unknown" or reading.used is None:
        return ""
    return f"{words.count(reading.used)} / {words.count(reading.limit)}  {words.ratio(reading.ratio)}"


def _line(reading: Reading, room: int) -> str:
    mark = _mark(reading.severity, False).ljust(9)
    title = TITLES[reading.ceiling]
    if not _numbers(reading):
        return f"{mark} {title:<22} {reading.subject}: {'; '.join(reading.evidence)}"
    left = f"  full in {words.duration(reading.eta_seconds)}" if (reading.eta_seconds or 0) >= 1 else ""
    return f"{mark} {title:<22} {_numbers(reading):<{room}}  {reading.subject}{left}"
