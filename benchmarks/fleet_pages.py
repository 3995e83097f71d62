"""What the synthetic hosts of a fleet publish: one real page of `sockmon export`, with other values."""

from __future__ import annotations

import math
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.benchmark import SOCKMON

KINDS = 100
"""Different pages; hosts of one kind have the same values at one time."""
ALARMS = ("hit", "critical", "critical", "warning", "warning")
"""Of 100 kinds; the others are ok, one of them with a limit that is unknown."""
RATIOS = {"hit": 1.0, "critical": 0.92, "warning": 0.82}
FULLEST = (
    "cgroup-memory",
    "memlock",
    "pid-max",
    "conntrack-table",
    "process-fds",
    "system-fds",
    "neighbour-table",
)
"""The limit that a kind is nearest to, in turn."""
UNKNOWN = 50
OF_A_KIND = ("sockmon_subject_", "sockmon_fullest_", "sockmon_unknown_ceilings")
"""What the page of a host has by its kind, and not as the machine has it."""


class Line(NamedTuple):
    """One series, without the labels that a scrape adds."""

    name: str
    labels: dict[str, str]
    value: float


def real_page() -> list[Line]:
    """Return what `sockmon export` publishes on this machine, without the series of its other network namespaces
    and of its subjects: an idle host has few of them."""
    with tempfile.TemporaryDirectory(prefix="sockmon-benchmark-") as folder:
        path = Path(folder) / "page.prom"
        subprocess.run([*SOCKMON, "export", "--textfile", str(path), "--once"], check=True)
        families = list(text_string_to_metric_families(path.read_text()))
    # A name of this machine could have quotes; what is measured does not depend on it.
    clean = str.maketrans({'"': "'", "\\": "/", "\n": " "})
    return [
        Line(each.name, {name: value.translate(clean) for name, value in each.labels.items()}, each.value)
        for family in families
        for each in family.samples
        if each.labels.get("netns", "host") == "host" and not each.name.startswith(OF_A_KIND)
    ]


class Kind:
    """A host with its own severity, and its own use of each limit."""

    def __init__(self, page: Sequence[Line], number: int, older: bool = False) -> None:
        """`older`: the host has an exporter without the metrics of its fullest limit."""
        self._random = random.Random(number)
        self.severity = ALARMS[number] if number < len(ALARMS) else "ok"
        self.fullest = FULLEST[number % len(FULLEST)]
        self._unknown = "conntrack-buckets" if number == UNKNOWN else ""
        self._phase = self._random.random() * 6
        self._bases = {
            line.labels["ceiling"]: self._random.random() * 0.3
            for line in page
            if line.name == "sockmon_ceiling_ratio"
        }
        self._bases[self.fullest] = RATIOS.get(self.severity, 0.35 + self._random.random() * 0.1)
        self._limits = {
            line.labels["ceiling"]: line.value for line in page if line.name == "sockmon_ceiling_limit"
        }
        self.lines = [line for line in page if self._is_published(line)]
        self.lines += self._of_alarm() if self.severity != "ok" else []
        self.lines += [] if older else self._of_fullest()

    def _is_published(self, line: Line) -> bool:
        return line.labels.get("ceiling", "none") != self._unknown or line.name in (
            "sockmon_ceiling_severity",
            "sockmon_ceiling_subjects",
        )

    def _of_alarm(self) -> list[Line]:
        """Return what the subject with an alarm has."""
        labels = {"ceiling": self.fullest, "netns": "", "subject": "a-service"}
        levels = ("hit", "critical", "warning", "ok", "unknown")
        states = [
            Line("sockmon_subject_severity", {**labels, "sockmon_subject_severity": level}, 0) for level in levels
        ]
        numbers = [
            Line(f"sockmon_subject_{each}", labels, 0) for each in ("ratio", "used", "limit", "left_seconds")
        ]
        left = Line("sockmon_ceiling_left_seconds", {"ceiling": self.fullest}, 0)
        return [*states, *numbers, left]

    def _of_fullest(self) -> list[Line]:
        labels = {"ceiling": self.fullest}
        numbers = [Line(f"sockmon_fullest_{each}", labels, 0) for each in ("ratio", "used", "limit")]
        return [*numbers, Line("sockmon_unknown_ceilings", {}, float(bool(self._unknown)))]

    def values(self, at: float) -> list[float]:
        """Return the value of each line at a time (seconds since the epoch)."""
        swing = 1 + 0.03 * math.sin(at / 700 + self._phase) + 0.01 * self._random.random()
        return [self._value(line, at, swing) for line in self.lines]

    def _value(self, line: Line, at: float, swing: float) -> float:
        ceiling = line.labels.get("ceiling", "")
        if line.name == "sockmon_sample_timestamp_seconds":
            return at - 2.5
        if line.name == "sockmon_verdict":
            return float(line.labels["sockmon_verdict"] == self.severity)
        if line.name.endswith("_severity"):
            alarm = ceiling == self.fullest and (
                line.name != "sockmon_subject_severity" or line.labels["subject"] == "a-service"
            )
            level = "unknown" if ceiling == self._unknown else self.severity if alarm else "ok"
            return float(line.labels[line.name] == level)
        what = line.name.rpartition("_")[2]
        if (
            line.name.startswith(("sockmon_ceiling_", "sockmon_subject_", "sockmon_fullest_"))
            and ceiling in self._bases
        ):
            ratio = round(
                self._bases[ceiling] * (swing if self.severity == "ok" or ceiling != self.fullest else 1), 4
            )
            limit = self._limits.get(ceiling, 1000.0)
            return {"ratio": ratio, "used": round(ratio * limit), "limit": limit, "seconds": 300.0}.get(
                what, line.value
            )
        # Counters, which grow.
        return line.value + at % 86400 // 60 if line.name.endswith("_total") else line.value
