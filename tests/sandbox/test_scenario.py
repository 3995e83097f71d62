"""What a lab expects, compared with a report."""

from __future__ import annotations

from dataclasses import replace

from sockmon.labs import BY_NAME
from sockmon.model.report import Reading, Report
from sockmon.sandbox.scenario import Expect, hit
from tests.expectations import unmet_expectations

WEB = hit("process-fds", r"^web\[", 5)


def _reading(ceiling: str, severity: str, used: int = 5, scope: str = "process") -> Reading:
    return Reading(ceiling, "web[7]", scope, used, 5, 1.0, None, None, severity, ("because",), ())  # type: ignore[arg-type]


def _unmet(*readings: Reading, first: Expect | None, no_alarm: tuple[str, ...] = ()) -> list[str]:
    report = Report(1, "h", "6.1", "now", "net", "ok", readings, ())
    return unmet_expectations(
        replace(BY_NAME["process-fds"], expect_first=first, expect_also=(), expect_no_alarm=no_alarm), report
    )


def test_what_a_report_lacks() -> None:
    full = _reading("process-fds", "hit")
    queue = _reading("accept-queue", "hit")
    assert _unmet(full, queue, first=WEB) == []
    assert _unmet(_reading("system-fds", "hit", scope="host"), full, first=WEB) == []
    assert "not process-fds" in _unmet(queue, full, first=WEB)[0]
    assert "used is not in 5–5" in _unmet(_reading("process-fds", "hit", used=4), first=WEB)[0]
    assert "severity is not hit" in _unmet(_reading("process-fds", "ok"), first=WEB)[0]
    assert "unexpected alarm: accept-queue" in _unmet(full, queue, first=WEB, no_alarm=("accept-queue",))[0]
    assert "unexpected alarm: process-fds" in _unmet(full, first=None)[0]
    assert _unmet(_reading("process-fds", "ok"), first=None) == []
