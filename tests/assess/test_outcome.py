"""What has become of the alarms that were the reason for a change: one rule, on invented samples."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.assess.outcome import QUIET_SECONDS, OutcomeWatch, reason_of
from sockmon.model.outcome import Outcome
from sockmon.model.plan import Plan, Setting
from sockmon.model.snapshot import Netns
from sockmon.model.transaction import Actor, Transaction
from tests.guides.walks import Stream, full
from tests.snapshots import listener, netns, snapshot

OVERFLOWS = "TcpExt.ListenOverflows"
HOLD = 60.0


def queue(length: int, overflows: int) -> Netns:
    return netns(listeners=(listener(length, 64),), counters={OVERFLOWS: overflows, "Tcp.PassiveOpens": 5})


class Changed:
    """A stream of samples, with a change that was made after those that `broken` holds."""

    def __init__(self, *broken: Netns, hold: float = HOLD) -> None:
        self.stream = Stream()
        for part in broken:
            last = self.stream.next(part)
        alarms = [row for row in last.report.readings if row.severity in ("warning", "critical", "hit")]
        shot = last.snapshot
        plan = Plan(
            (Setting("net.ipv4.tcp_tw_reuse", "2", "1"),),
            shot.netns[0].inode,
            shot.host.boot_id,
            reasons=tuple(reason_of(row, shot) for row in alarms),
        )
        self.change = Transaction("1", plan, Actor(0, "root", "", ""), shot.wall, hold, 0.0, "holding")
        self.watch = OutcomeWatch(self.change)

    def after(self, seconds: float, part: Netns) -> Outcome:
        """Sample each second; return the outcome of the first reason."""
        for _ in range(int(seconds)):
            found = self.watch.add(self.stream.next(part))
        return found[0]


def test_a_limit_that_is_far_away_now_was_left_at_once_and_stays_so() -> None:
    case = Changed(full(), full())
    first = case.after(1, full(300, 64511))
    assert (first.kind, first.before, first.severity, first.seconds) == ("left", "hit", "ok", 1.0)
    assert (first.used, first.limit, first.limit_before) == (300, 64511, 28232)
    assert case.after(30, full(300, 64511)) == first


def test_what_does_not_move_is_unchanged_before_the_hold_ends() -> None:
    case = Changed(full(), full())
    assert case.after(19, full()).kind == "waiting"
    found = case.after(2, full())
    assert (found.kind, found.severity, found.seconds) == ("unchanged", "hit", 21.0)
    short = Changed(full(), full(), hold=10.0)
    assert short.after(4, full()).kind == "waiting"
    assert short.after(1, full()).kind == "unchanged"


def test_less_severe_is_not_left() -> None:
    found = Changed(full(), full()).after(21, full(25000, 28232))
    assert (found.kind, found.before, found.severity) == ("eased", "hit", "critical")


def test_more_severe_is_worse() -> None:
    found = Changed(full(25000), full(25000)).after(21, full())
    assert (found.kind, found.before, found.severity) == ("worse", "critical", "hit")


def test_a_queue_is_left_only_when_its_counter_is_quiet() -> None:
    case = Changed(queue(65, 10), queue(65, 20), queue(65, 30))
    assert case.change.plan.reasons[0].counters == ((OVERFLOWS, 30),)
    # It increased once more while the change was made.
    early = case.after(4, queue(0, 33))
    assert (early.kind, early.quiet) == ("waiting", 3.0)
    found = case.after(QUIET_SECONDS, queue(0, 33))
    assert (found.kind, found.rates, found.severity) == ("left", ((OVERFLOWS, 0.0),), "ok")
    assert case.after(1, queue(65, 43)).kind != "left"


def test_a_first_look_long_after_the_change_knows_that_no_counter_has_moved_since() -> None:
    case = Changed(queue(65, 10), queue(65, 20), queue(65, 30))
    case.stream.at += 30
    assert case.after(1, queue(0, 30)).kind == "left"
    other = Changed(queue(65, 10), queue(65, 20), queue(65, 30))
    other.stream.at += 30
    assert other.after(1, queue(0, 90)).kind == "waiting"


def test_a_queue_that_still_overflows_is_unchanged() -> None:
    case = Changed(queue(65, 10), queue(65, 20), queue(65, 30))
    for second in range(21):
        found = case.after(1, queue(65, 30 + 5 * second))
    assert found.kind == "unchanged"
    assert found.rates[0][1] == pytest.approx(5.0)


def test_what_is_gone_or_unreadable_cannot_be_known() -> None:
    assert Changed(full(), full()).after(1, netns(ports=None)).cause == "unread"
    gone = Changed(queue(65, 10), queue(65, 20), queue(65, 30)).after(1, netns(listeners=()))
    assert (gone.kind, gone.cause) == ("unknown", "ended")
    assert Changed(full(), full()).after(1, netns()).kind == "left"


def test_samples_of_another_namespace_prove_nothing() -> None:
    case = Changed(full(), full())
    elsewhere = replace(full(300, 64511), inode=full().inode + 1)
    assert case.after(1, elsewhere).cause == "elsewhere"


def test_a_sample_from_before_the_change_is_not_used() -> None:
    case = Changed(full(), full())
    old = Stream().assessor.add(snapshot(0.0, netns=(full(),)))
    assert case.watch.add(old) == ()
