"""Sockets in CLOSE_WAIT of processes in other network namespaces: counted where they matter, else not known."""

from __future__ import annotations

import pytest

from sockmon.observe import observe_once
from tests.agent.private_host import few_leaked, in_private_host, leak, namespaces

pytestmark = pytest.mark.usefixtures("needs_userns")


def observed() -> object:
    """Return the sockets in CLOSE_WAIT of both processes, and what to do about the first."""
    found: dict[str, object] = {}
    with namespaces(leak, few_leaked) as (leaking, other):
        for name, others in (("all", True), ("here", False)):
            assessment = observe_once(others=others)
            rows = {row.pid: row for row in assessment.snapshot.processes.rows}  # type: ignore[union-attr]
            (reading,) = (
                row
                for row in assessment.report.readings
                if row.ceiling == "process-fds" and row.subject.endswith(f"[{leaking}]")
            )
            remedies = [remedy.kind for remedy in reading.remedies]
            found[name] = [rows[leaking].close_wait, rows[other].close_wait, remedies[:1]]
    return found


def test_a_leak_in_another_namespace_is_told_from_a_low_limit() -> None:
    found = in_private_host(observed)
    assert found["all"] == [40, None, ["application"]]
    assert found["here"][:2] == [None, None]
