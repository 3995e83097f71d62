"""An alarm is followed over a restart of its program, if what took its place is beyond doubt: invented samples."""

from __future__ import annotations

from typing import Any

from sockmon.assess.outcome import OutcomeWatch, reason_of
from sockmon.model.limit_origin import LimitOrigin, LimitSource, Starter
from sockmon.model.outcome import NewProcess, Outcome
from sockmon.model.plan import Plan, Setting
from sockmon.model.snapshot import Listener, Owner, Process
from sockmon.model.transaction import Actor, Transaction
from tests.guides.walks import Sample, Stream
from tests.snapshots import listener, netns, process

OVERFLOWS = "TcpExt.ListenOverflows"
OLD_START, NEW_START = 7, 600
"""Clock ticks: long before the samples, and after the third of them."""


class Restarted:
    """A stream of samples, with a change after those that `broken` holds."""

    def __init__(self, *broken: Sample) -> None:
        self.stream = Stream()
        for sample in broken:
            last = self.stream.next(sample)
        (alarm,) = (row for row in last.report.readings if row.severity == "hit")
        shot = last.snapshot
        self.reason = reason_of(alarm, shot)
        plan = Plan((Setting("a", "1", "2"),), shot.netns[0].inode, shot.host.boot_id, reasons=(self.reason,))
        change = Transaction("1", plan, Actor(0, "root", "", ""), shot.wall, 60.0, 0.0, "holding")
        self.watch = OutcomeWatch(change)

    def after(self, sample: Sample, seconds: int = 12) -> Outcome:
        for _ in range(seconds):
            (found,) = self.watch.add(self.stream.next(sample))
        return found


def app(pid: int, start: int) -> Owner:
    return Owner(pid, start, "app", 1)


OLD, NEW = app(50, OLD_START), app(90, NEW_START)


def queue(*rows: Listener, overflows: int = 30) -> Sample:
    return netns(listeners=rows, counters={OVERFLOWS: overflows, "Tcp.PassiveOpens": 5})


def overflowing(*others: Listener) -> Restarted:
    full = listener(65, 64, owner=OLD)
    return Restarted(*(queue(full, *others, overflows=each) for each in (10, 20, 30)))


def files(pid: int, start: int, used: int, soft: int = 64, **more: Any) -> Process:
    return process(pid, used, soft, start=start, **more)


def rows(*processes: Process) -> dict[str, Any]:
    return {"rows": processes}


def full_process(*others: Process) -> Restarted:
    return Restarted(*3 * (rows(files(50, OLD_START, 64), *others),))


def test_a_listener_at_the_same_address_of_a_new_process() -> None:
    found = overflowing().after(queue(listener(0, 2048, owner=NEW, inode=72)))
    assert (found.kind, found.severity) == ("left", "ok")
    assert (found.limit_before, found.limit) == (64, 2048)
    assert found.new_process == NewProcess(90, NEW_START, "app")


def test_a_new_listener_that_overflows_is_no_help() -> None:
    case = overflowing()
    for step in range(25):
        found = case.after(queue(listener(65, 64, owner=NEW, inode=72), overflows=30 + step), 1)
    assert (found.kind, found.limit, found.new_process and found.new_process.pid) == ("unchanged", 64, 90)


def test_a_listener_that_a_process_makes_again_is_of_no_new_process() -> None:
    found = overflowing().after(queue(listener(0, 2048, owner=OLD, inode=72)))
    assert (found.kind, found.limit, found.new_process) == ("left", 2048, None)
    unnamed = overflowing().after(queue(listener(0, 2048, owner=None, inode=72)))
    assert (unnamed.kind, unnamed.limit, unnamed.new_process) == ("left", 2048, None)


def test_a_listener_that_a_new_worker_accepts_from() -> None:
    found = overflowing().after(queue(listener(0, 64, owner=NEW)))
    assert (found.kind, found.new_process and found.new_process.pid) == ("left", 90)


def test_another_address_is_another_listener() -> None:
    found = overflowing().after(queue(listener(0, 2048, owner=NEW, inode=72, port=81)))
    assert (found.kind, found.cause, found.new_process) == ("unknown", "ended", None)


def test_two_listeners_at_the_same_address_leave_a_doubt() -> None:
    new = [listener(0, 2048, owner=app(pid, NEW_START), inode=pid) for pid in (90, 91)]
    found = overflowing().after(queue(*new))
    assert (found.kind, found.cause, found.candidates) == ("unknown", "several", 2)


def test_a_listener_that_shared_the_address_did_not_take_the_place() -> None:
    sibling = listener(0, 2048, owner=app(51, OLD_START), inode=73)
    found = overflowing(sibling).after(queue(sibling))
    assert (found.kind, found.cause) == ("unknown", "ended")
    new = listener(0, 2048, owner=NEW, inode=74)
    assert overflowing(sibling).after(queue(new)).kind == "left"


def test_a_new_process_of_the_same_command_and_user() -> None:
    found = full_process().after(rows(files(90, NEW_START, 20, 8192)))
    assert (found.kind, found.limit_before, found.limit) == ("left", 64, 8192)
    assert found.new_process == NewProcess(90, NEW_START, "nginx")


def test_a_new_process_with_the_old_limit_proves_nothing_before_it_uses_as_much() -> None:
    case = full_process()
    early = case.after(rows(files(90, NEW_START, 5)), 25)
    assert (early.kind, early.cause, early.used, early.limit) == ("unknown", "restarted", 5, 64)
    full = case.after(rows(files(90, NEW_START, 64)), 1)
    assert (full.kind, full.severity) == ("unchanged", "hit")
    nearly = full_process().after(rows(files(90, NEW_START, 5, 70)))
    assert (nearly.kind, nearly.cause) == ("unknown", "restarted")


def test_a_process_that_is_not_proved_to_be_the_same_program() -> None:
    others = {
        "another command": files(90, NEW_START, 5, 8192, command="nginx: cache"),
        "another user": files(90, NEW_START, 5, 8192, uid=34),
        "it ran before the change": files(90, 150, 5, 8192),
    }
    for why, other in others.items():
        found = full_process().after(rows(other))
        assert (found.kind, found.cause) == ("unknown", "ended"), why


def test_two_processes_of_the_same_command_leave_a_doubt() -> None:
    found = full_process().after(rows(*(files(pid, NEW_START, 5, 8192) for pid in (90, 91))))
    assert (found.kind, found.cause, found.candidates) == ("unknown", "several", 2)
    sibling = files(51, OLD_START, 5, 8192)
    found = full_process(sibling).after(rows(sibling, files(90, NEW_START, 5, 8192)))
    assert (found.cause, found.candidates) == ("several", 2)


def test_a_process_of_another_unit_is_another_program() -> None:
    def origin(pid: int, start: int, unit: str) -> LimitOrigin:
        source = LimitSource("unit", unit)
        return LimitOrigin(pid, start, "nofile", 64, 64, source, source, Starter("unit", unit))

    for unit, kind in (("a.service", "left"), ("b.service", "unknown")):
        case = Restarted(
            *3 * ({**rows(files(50, OLD_START, 64)), "limit_origins": (origin(50, OLD_START, "a.service"),)},)
        )
        after = {**rows(files(90, NEW_START, 20, 8192)), "limit_origins": (origin(90, NEW_START, unit),)}
        assert case.after(after).kind == kind


def test_a_program_that_takes_another_name_is_the_same_process() -> None:
    found = full_process().after(rows(files(50, OLD_START, 20, 8192, name="web")))
    assert (found.kind, found.new_process) == ("left", None)


def test_the_command_is_not_in_the_reason() -> None:
    case = Restarted(*3 * (rows(files(50, OLD_START, 64, command="app --password=secret")),))
    assert "secret" not in str(case.reason)
