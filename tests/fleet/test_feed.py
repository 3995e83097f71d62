"""The source of the fleet screen: one request at a time, less often after a failure, and streams that fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sockmon.errors import Misuse, SockmonError, SourceLost
from sockmon.fleet import feed as feeds
from sockmon.fleet import streams
from sockmon.fleet.feed import Feed, FleetState, PollingFeed
from sockmon.fleet.hosts import Fleet, HostLimit
from sockmon.fleet.streams import StreamsFeed
from sockmon.sources import Event, Interruption
from tests.ui.fake_app import FakeSource, busy

EMPTY = Fleet(1, "x", "", "ok", ())


def no_limits(name: str) -> tuple[HostLimit, ...]:
    """Nobody asks."""
    raise AssertionError(name)


def states_of(feed: Feed, enough: Callable[[list[FleetState]], bool]) -> list[FleetState]:
    """Run a feed until its states are enough."""
    found: list[FleetState] = []

    def take(state: FleetState) -> None:
        found.append(state)
        if enough(found):
            feed.close()

    thread = threading.Thread(target=feed.run, args=(take,))
    thread.start()
    thread.join(20)
    feed.close()
    assert not thread.is_alive()
    return found


def test_a_failure_keeps_the_last_answer_and_says_when_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "READ_SECONDS", 0.01)
    monkeypatch.setattr(feeds, "MIN_RETRY_SECONDS", 0.02)
    answers: Iterator[Fleet | Exception] = iter([EMPTY, SockmonError("gone", "look"), KeyError("x"), EMPTY])

    def read() -> Fleet:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = states_of(PollingFeed("x", read, no_limits), lambda states: len(states) == 8)
    asking, answered = found[::2], found[1::2]
    assert all(state.asked_at and not state.next_at for state in asking)
    assert [bool(state.error) for state in answered] == [False, True, True, False]
    assert answered[1].fleet is EMPTY
    assert (answered[1].error, answered[1].hint, answered[1].at) == ("gone", "look", answered[0].at)
    assert "KeyError" in answered[2].error
    waits = [state.next_at - before.asked_at for state, before in zip(answered[1:3], asking[1:3], strict=True)]
    assert waits[1] > waits[0] > 0


def test_a_key_reads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "READ_SECONDS", 600.0)
    feed = PollingFeed("x", lambda: EMPTY, no_limits)

    def enough(states: list[FleetState]) -> bool:
        if states[-1].next_at:
            feed.refresh()
        return len(states) == 4

    assert len(states_of(feed, enough)) == 4


def test_a_server_that_needs_long_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "READ_SECONDS", 0.0)

    def read() -> Fleet:
        time.sleep(0.1)
        return EMPTY

    asking, answered = states_of(PollingFeed("x", read, no_limits), lambda states: len(states) == 2)
    assert answered.next_at - asking.asked_at >= (1 + feeds.PAUSES) * 0.1


class BrokenSource(FakeSource):
    """Says that its connection is lost, after a sample or before; then it ends, or an error ends it."""

    def __init__(self, sampled: bool, error: Exception | None = None) -> None:
        super().__init__()
        self._sampled, self._error = sampled, error

    def lines(self) -> Iterator[Event]:
        if self._sampled:
            yield busy()
        yield Interruption("the line is cut", time.monotonic() + 9, "is it on?")
        if self._error:
            raise self._error
        time.sleep(1.5)


def test_streams_that_never_begin_break_and_end() -> None:
    sources = {
        "ssh://closed": BrokenSource(False),
        "ssh://broken": BrokenSource(True),
        "ssh://fault": BrokenSource(True, KeyError("x")),
        "ssh://lost": BrokenSource(False, SourceLost("no process")),
    }
    feed = StreamsFeed(list(sources), open_stream=lambda spec, threaded: sources[spec])
    states = states_of(feed, lambda found: len(found) > 9 or _settled(found[-1]))
    hosts = {host.name: host for state in states if state.fleet for host in state.fleet.hosts}
    assert {host.severity for host in hosts.values()} == {"unknown"}
    assert hosts["closed"].state == "failed"
    assert hosts["closed"].reason in (
        "the line is cut; is it on?; again in 10 s",
        "the stream ended; again in 5 s",
    )
    assert hosts["broken"].state in ("stale", "failed")
    assert hosts["broken"].nearest
    assert "KeyError" in hosts["fault"].reason
    assert hosts["lost"].reason.startswith("no process; again in ")
    assert feed.specs["closed"] == "ssh://closed"


def _settled(state: FleetState) -> bool:
    """Whether each stream has got to its last event but the end."""
    hosts = {host.name: host for host in state.fleet.hosts} if state.fleet else {}
    begun = all(host.state not in ("waiting", "live") for host in hosts.values())
    return begun and "KeyError" in hosts["fault"].reason and "no process" in hosts["lost"].reason


def test_too_many_streams() -> None:
    with pytest.raises(Misuse, match="too many"):
        StreamsFeed([f"ssh://web-{number}" for number in range(streams.MAX_STREAMS + 1)])
