"""A part of a Snapshot that fails is missing, and the other parts are not affected."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from sockmon.agent import listener_sampler, netns_sampler, port_sampler, udp_sampler
from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.sampler import Sampler, open_sampler
from sockmon.assess import Assessor
from sockmon.cli import check
from sockmon.fault_log import FAULTS, Faults, describe
from sockmon.kernel import conntrack, host, neighbours, netstat, sockstat, softnet, sysctl
from sockmon.kernel.cgroups import cgroups
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import (
    attribution,
    descriptors,
    epoll_inotify,
    locked_memory,
    memory_maps,
    proc_files,
    process_table,
    rlimits,
    socket_owners,
)
from sockmon.kernel.sockets import datagrams
from sockmon.model.snapshot import Snapshot

ERRORS = (
    OSError(errno.EIO, "Input/output error"),
    ValueError("invalid literal"),
    ZeroDivisionError("division by zero"),
    MemoryError(),
    KeyError("entries"),
)
READERS: list[tuple[ModuleType | type, str, str]] = [
    (sockstat, "read", "sockstat"),
    (netstat, "read_counters", "counters"),
    (sysctl, "read_all", "sysctls"),
    (sysctl, "read", "sysctl"),
    (listener_sampler, "listeners", "listeners"),
    (port_sampler, "listeners", "ports"),
    (listener_sampler, "unix_listeners", "listeners"),
    (netns_sampler, "count_states", "states"),
    (port_sampler, "port_groups", "ports"),
    (port_sampler, "read_bound_idle", "ports"),
    (udp_sampler, "udp_ports", "udp ports"),
    (netns_sampler, "states", "states"),
    (conntrack, "read", "conntrack"),
    (conntrack, "read_table", "conntrack table"),
    (datagrams, "read_queues", "datagrams"),
    (host, "read_files", "files"),
    (host, "read_tasks", "tasks"),
    (neighbours, "read", "neighbours"),
    (softnet, "read", "softnet"),
    (process_table.ProcessTable, "steps", "processes"),
    (socket_owners.Owners, "refresh", "owners"),
    (attribution.Attribution, "attribute", "processes"),
    (cgroups.CgroupReader, "steps", "cgroups"),
    (memory_maps.MapCounter, "steps", "maps"),
    (epoll_inotify.WatchCounter, "steps", "watches"),
    (locked_memory.LockedMemoryReader, "steps", "locked memory"),
    (proc_files, "parse_stat", "processes"),
    (proc_files, "parse_status", "processes"),
    (proc_files, "parse_command", "processes"),
    (descriptors, "read_socket_links", "owners"),
    (rlimits, "nofile", ""),
    (memory_maps, "count", ""),
]
PARTS = ("files", "tasks", "memory", "processes", "neighbours", "softnet", "maps", "watches", "cgroups", "locked")
NETNS_PARTS = ("sockstat", "states", "listeners", "ports", "udp", "datagrams", "conntrack")


@pytest.fixture(autouse=True)
def _fresh_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAULTS, "_noted", set())


def parts(snapshot: Snapshot) -> set[str]:
    """The parts that are there."""
    found = {name for name in PARTS if getattr(snapshot, name) is not None}
    return found | {name for name in NETNS_PARTS if getattr(snapshot.netns[0], name) is not None}


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*args: object, **kwargs: object) -> object:
        raise type(error)(*error.args)

    return fail


DEPENDENT = {
    "sockstat": {"memory", "states", "ports"},
    "counters": {"states"},
    "sysctl": {"files", "tasks", "memory", "ports", "udp", "conntrack"},
    "processes": {"maps", "watches", "cgroups", "processes", "locked"},
    "owners": {"watches", "locked"},
    "locked memory": {"locked"},
    "udp ports": {"udp"},
    "listeners": {"ports"},
    "conntrack": set(),
    "conntrack table": set(),
}
"""The parts that depend on the one that failed."""


@pytest.mark.fault("Q8", "Q13")
@pytest.mark.parametrize(("where", "name", "part"), READERS, ids=lambda item: getattr(item, "__name__", item))
def test_a_reader_that_raises_does_not_affect_the_others(
    monkeypatch: pytest.MonkeyPatch, where: ModuleType | type, name: str, part: str
) -> None:
    """Any exception of any reader."""
    with open_sampler(None, 1.0) as kernel:
        whole = parts(kernel.sample(complete=True))
    for error in ERRORS:
        with monkeypatch.context() as patched, open_sampler(None, 1.0) as kernel:
            patched.setattr(where, name, _raising(error))
            snapshot = kernel.sample(complete=True)
            kernel.refresh()
            kernel.sample(complete=True)
        lost = whole - parts(snapshot)
        assert lost <= {part} | DEPENDENT.get(part, set()), (error, lost, snapshot.missing)
        if lost:
            said = " ".join(item.reason for item in snapshot.missing)
            assert any(word in said for word in (type(error).__name__, "EIO", "malformed")), (error, said)
        report = Assessor().add(snapshot).report
        assert json.loads(check.as_json(report))["schema"] == 1
        assert report.verdict in check.EXIT_CODES
        assert {row.ceiling for row in report.readings} >= {"pid-max", "process-fds", "accept-queue"}


def test_a_fault_is_logged_once_a_part_and_kind(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    with caplog.at_level(logging.ERROR, "sockmon"):
        for part in ("maps", "maps", "owners"):
            for error in (ZeroDivisionError("division by zero"), KeyError("x")):
                try:
                    raise error
                except Exception as raised:
                    faults.note(part, raised)
    assert [record.getMessage() for record in caplog.records] == [
        "maps: failed: ZeroDivisionError: division by zero (see the log)",
        "maps: failed: KeyError: 'x' (see the log)",
        "owners: failed: ZeroDivisionError: division by zero (see the log)",
        "owners: failed: KeyError: 'x' (see the log)",
    ]
    assert all(record.exc_info for record in caplog.records)


def test_the_description_of_a_fault_is_clean_and_short() -> None:
    assert describe(OSError(errno.EIO, "Input/output error")) == "cannot be read: Input/output error (EIO)"
    said = describe(ValueError("\x1b[31m" + "x" * 1000))
    assert said.isprintable()
    assert len(said) <= 200


def test_a_task_that_fails_keeps_its_last_value_and_runs_again() -> None:
    answers: Iterator[object] = iter([1, ZeroDivisionError("division by zero"), 2])

    def steps() -> Incremental[object]:
        yield
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    part = BudgetedTask("maps", steps, Budget(1.0, 0.0))
    seen = []
    for _ in range(3):
        part.run(1.0)
        seen.append((part.value, part.reason))
    assert seen == [(1, None), (1, "failed: ZeroDivisionError: division by zero (see the log)"), (2, None)]


def test_a_question_that_cannot_be_answered_is_answered_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from sockmon.agent import details, process_pages
    from sockmon.kernel.netlink import run
    from sockmon.model.detail import GroupQuery, ListenerQuery, ProcessQuery

    monkeypatch.setattr(process_pages, "read_detail", _raising(ZeroDivisionError("division by zero")))
    monkeypatch.setattr(details, "rows_or_missing", _raising(KeyError("x")))
    monkeypatch.setattr(details, "_find_listener", _raising(MemoryError()))
    with open_sampler(None, 1.0) as kernel:
        _check_answers(
            kernel,
            run,
            details.answer_query,
            (ProcessQuery(1, 1), GroupQuery(0, "a", "b", 1), ListenerQuery(0, 1)),
        )


def _check_answers(kernel: Sampler, run: Any, answer: Any, queries: tuple[object, ...]) -> None:
    for asked in queries:
        detail = run(answer(kernel, asked))
        assert detail.query == asked
        assert detail.missing[0].reason.startswith("failed: ")
