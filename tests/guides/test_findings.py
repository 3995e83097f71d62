"""What most guides ask of the facts."""

from __future__ import annotations

from dataclasses import replace

from sockmon.assess.successor import identity_of
from sockmon.guides.facts import Facts, Place
from sockmon.guides.findings import all_of, another_alarm, counter_moves, left_limit
from sockmon.model.snapshot import Owner
from tests.guides.walks import Stream, full
from tests.snapshots import listener, netns, process

OVERFLOWS = "TcpExt.ListenOverflows"


def facts(*counters: int, place: Place | None = None, seconds: float = 10.0) -> Facts:
    stream = Stream()
    for value in counters:
        now = stream.next(netns(counters={OVERFLOWS: value}), seconds)
    return Facts(now, place or Place())


def test_a_counter_that_increases() -> None:
    found = counter_moves(OVERFLOWS)(facts(5, 25))
    assert found.verdict == "supports"
    assert found.numbers == (f"{OVERFLOWS}: 25 since boot, +2.0/s",)


def test_a_counter_that_does_not_increase_needs_more_than_one_sample() -> None:
    moves = counter_moves(OVERFLOWS)
    assert moves(facts(5, 5)).verdict == "contradicts"
    assert (moves(facts(5)).verdict, moves(facts(5)).wait) == ("undecided", 8.0)
    recorded = moves(facts(5, place=Place("recording")))
    assert (recorded.verdict, recorded.wait) == ("undecided", 0.0)


def test_a_counter_that_is_not_there_is_not_zero() -> None:
    assert counter_moves("TcpExt.NoSuch")(facts(5, 5)).verdict == "undecided"


def test_all_of_several_statements() -> None:
    moves, still = counter_moves(OVERFLOWS), another_alarm()
    assert all_of(moves, moves)(facts(5, 25)).verdict == "supports"
    assert all_of(moves, still)(facts(5, 5)) == moves(facts(5, 5))


def test_what_cannot_be_read_any_more_has_not_left_its_limit() -> None:
    stream = Stream()
    key = ("ephemeral-ports", "10.0.0.5 → 10.0.0.9:5432")
    assert left_limit(Facts(stream.next(full()), focus=key)).verdict == "contradicts"
    assert left_limit(Facts(stream.next(netns(ports=None)), focus=key)).verdict == "undecided"
    assert left_limit(Facts(stream.next(netns()))).verdict == "undecided"


def test_a_restarted_listener_is_judged_on_its_new_process() -> None:
    stream = Stream()
    for overflows in (1, 2, 3):
        old = stream.next(netns(listeners=(listener(129),), counters={OVERFLOWS: overflows}))
    focus = ("accept-queue", "0.0.0.0:8080 nginx[1044]")
    known = Facts(old, focus=focus, identity=identity_of(focus[1], old.snapshot), before=old.report.readings[0])
    gone = left_limit(replace(known, now=stream.next(netns(listeners=()))))
    assert gone.verdict == "undecided"
    assert gone.wait > 0
    new = listener(0, 4096, owner=Owner(90, 600, "nginx", 1), inode=72)
    found = left_limit(replace(known, now=stream.next(netns(listeners=(new,)), 60)))
    assert found.verdict == "supports"
    assert "nginx[90]" in found.text
    assert "0 of 4,096" in found.text


def test_a_restarted_process_with_its_old_limit_is_waited_for() -> None:
    stream = Stream()
    old = stream.next({"rows": (process(50, 64, 64),)})
    focus = ("process-fds", "nginx[50]")
    known = Facts(old, focus=focus, identity=identity_of(focus[1], old.snapshot), before=old.report.readings[0])
    found = left_limit(replace(known, now=stream.next({"rows": (process(90, 5, 64, start=600),)})))
    assert found.verdict == "undecided"
    assert "nginx[90]" in found.text
    assert "5 of 64" in found.text
