"""What a tunable should be, by what the Report says: the value of a remedy, and its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sockmon import format as words
from sockmon.ceilings import TITLES
from sockmon.errors import BadValue
from sockmon.model.report import Reading, Remedy, Report
from sockmon.tunables import BY_KEY, Tunable, row_of
from sockmon.tunables.value import parse

ALARMS = ("warning", "critical", "hit")
_COMMAND = re.compile(r"prlimit --pid ([0-9]+) ")
_SUBJECT = re.compile(r"\[([0-9]+)\]\Z")


@dataclass(frozen=True)
class Knob:
    """A remedy that can be set here: what to plan, and what the remedy says of it."""

    key: str
    """`net.core.somaxconn`, or `nofile@1044`."""
    value: str
    text: str


@dataclass(frozen=True)
class Advice:
    """A value that moves a wall which this machine is close to."""

    key: str
    value: str
    reason: str
    ceiling: str
    subject: str


def knobs(reading: Reading) -> list[Knob]:
    """The remedies of `reading` that can be set, best first; one whose value may not be written is left out."""
    return [knob for remedy in reading.remedies if (knob := _knob(reading, remedy)) is not None]


def advice(report: Report, tunable: Tunable, key: str = "") -> Advice | None:
    """The value that the most urgent alarm asks for; None where nothing is near its limit, as on a healthy host.

    `key` where the row has several and one is meant. A value that may not be written is not advised."""
    keys = (key,) if key else tunable.keys
    for reading in report.readings:
        for knob in knobs(reading) if reading.severity in ALARMS else ():
            if knob.key in keys:
                return Advice(knob.key, knob.value, _reason(reading, knob), reading.ceiling, reading.subject)
    return None


def _knob(reading: Reading, remedy: Remedy) -> Knob | None:
    if remedy.kind not in ("sysctl", "rlimit") or remedy.key not in BY_KEY or remedy.value is None:
        return None
    key, row = remedy.key, row_of(remedy.key)
    if remedy.kind == "rlimit":
        # A limit that all processes of a user have: the command names the one that it binds.
        pid = _COMMAND.search(remedy.text) or _SUBJECT.search(reading.subject)
        if pid is None:
            return None
        key = f"{remedy.key}@{pid[1]}"
    try:
        return Knob(key, parse(row, remedy.value, key), remedy.text) if row.settable else None
    except BadValue:
        return None


def _reason(reading: Reading, knob: Knob) -> str:
    used = ""
    if reading.used is not None and reading.limit is not None:
        used = f" has {words.count(reading.used)} of {words.limit(reading.limit)}"
    return f"{TITLES.get(reading.ceiling, reading.ceiling)}: {reading.subject}{used}: {knob.text}"
