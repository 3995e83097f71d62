"""One Report: in words for a person, as JSON for a program, with an exit code for both."""

from __future__ import annotations

import time

import msgspec

from sockmon import format as words
from sockmon.agent.sampler import open_sampler
from sockmon.assess import Assessor
from sockmon.ceilings import TITLES
from sockmon.model.report import Reading, Remedy, Report, Severity

EXIT: dict[Severity, int] = {"ok": 0, "warning": 1, "critical": 2, "hit": 2, "unknown": 3}
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


def report(netns: str | None = None, watch: float = 0.0) -> Report:
    """The Report after `watch` seconds of looking; with 0 after a single look, which has no rates."""
    with open_sampler(netns, max(min(INTERVAL, watch / 4), 0.25)) as kernel:
        assessor = Assessor(max(watch + INTERVAL, 1.0))
        assessment = assessor.add(kernel.sample(complete=True))
        listeners = assessment.snapshot.netns[0].listeners or ()
        if any(item.queue > item.backlog for item in listeners):
            # A queue that is full for a moment is no alarm: one look cannot tell.
            time.sleep(SECOND_LOOK)
            assessment = assessor.add(kernel.sample())
        end = time.monotonic() + watch
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(kernel.interval, left))
            kernel.refresh()
            assessment = assessor.add(kernel.sample(complete=left <= kernel.interval))
        return assessment.report


def as_json(report: Report) -> str:
    """The contract of `check --json`: one object, indented for those who look at it."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def schema() -> str:
    """JSON Schema of `check --json`."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Report)), indent=2).decode()


def as_text(report: Report, colour: bool) -> str:
    """The same in words, alarms with their evidence and remedies, the rest a line each."""
    lines = [f"{report.host} · {report.kernel} · netns {report.netns} · {_mark(report.verdict, colour)}"]
    for reading in report.readings:
        lines.append(_line(reading, colour))
        if reading.severity in ("warning", "critical", "hit"):
            lines += [f"      {sentence}" for sentence in reading.evidence]
            lines += [f"      {at}. {_remedy(remedy)}" for at, remedy in enumerate(reading.remedies, 1)]
    lines += [f"? not seen: {item.reader}: {item.reason}" for item in report.missing]
    return "\n".join(lines)


def _remedy(remedy: Remedy) -> str:
    setting = f"{remedy.key} = {remedy.value}: " if remedy.kind == "sysctl" and remedy.key else ""
    return setting + remedy.text


def _mark(severity: Severity, colour: bool) -> str:
    text = f"{GLYPHS[severity]} {WORDS[severity]}"
    return f"\x1b[{COLOURS[severity]}m{text}\x1b[0m" if colour else text


def _line(reading: Reading, colour: bool) -> str:
    mark = _mark(reading.severity, colour) + " " * (7 - len(WORDS[reading.severity]))
    title = TITLES[reading.ceiling]
    if reading.severity == "unknown":
        return f"{mark} {title:<22} {reading.subject}: {'; '.join(reading.evidence)}"
    numbers = f"{words.count(reading.used)} / {words.count(reading.limit)}  {words.ratio(reading.ratio)}"
    left = f"  full in {words.duration(reading.eta_seconds)}" if reading.eta_seconds is not None else ""
    return f"{mark} {title:<22} {numbers:<32} {reading.subject}{left}"
