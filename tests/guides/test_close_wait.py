"""The guide for CLOSE_WAIT: on its lab, on the lab of another limit, on a healthy host, and each branch."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.guides.close_wait import GUIDE
from sockmon.guides.facts import Facts
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import Listener, Netns, Process, StateCount, States
from tests.guides.lab_walks import end, named, path, walk_on_lab
from tests.guides.walks import Stream, branches, follow, taken
from tests.snapshots import listener, netns, process

NAME = GUIDE.name
HIDDEN = netns(states=None)
LEAK = process(fds=1000, soft=1 << 20, sockets=990, close_wait=900)
UNKNOWN = process(fds=None)


def test_on_its_lab_the_process_is_named_and_nothing_is_tuned() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["many", "queue", "holder", "close", "do-not-tune"]
    assert named(walk) == {"process-fds"}
    assert walk.changes == ()
    assert any("forgetful" in line for line in end(walk).advice)


def test_on_the_lab_of_another_limit_that_one_is_named() -> None:
    walk = walk_on_lab(NAME, "process-fds", "--yes")
    assert path(walk) == ["many", "others", "other-limit"]
    assert "process-fds" in named(walk)


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    assert walk_on_lab(NAME, "busy-server", "--yes").outcome == "not-here"


def _states(close_wait: int, established: int = 100, *listeners: Listener) -> Netns:
    counts = {"CLOSE_WAIT": close_wait, "ESTABLISHED": established}
    tcp = {state: StateCount(number, number, 0) for state, number in counts.items()}
    return netns(states=States(0.0, tcp), listeners=listeners or (listener(),))


def _walk(part: Netns, *rows: Process, seconds: float = 0.0) -> tuple[Walk, Stream]:
    stream = Stream(processes=rows)
    walk = Walk(GUIDE, stream.next(part))
    if seconds:
        walk.add(stream.next(part, seconds))
    list(follow(walk))
    return walk, stream


def _fixed(*after: Netns) -> Walk:
    """Walk to the change of the application, and go on with the samples after it."""
    walk, stream = _walk(_states(900), LEAK)
    walk.take("falls")
    for part in after:
        walk.add(stream.next(part, 5))
        list(follow(walk))
    return walk


def _in_queue() -> Walk:
    return _walk(_states(60, 100, listener(60, 4096)), replace(LEAK, close_wait=0))[0]


def test_connections_that_no_process_has_yet_are_no_leak() -> None:
    walk = _in_queue()
    assert walk.step.id == "in-queue"
    assert any("0.0.0.0:8080" in line for line in walk.advice)


def test_a_moment_of_a_busy_server_is_no_leak() -> None:
    walk, _ = _walk(_states(60, 20_000), seconds=10)
    assert walk.outcome == "not-here"
    assert GUIDE.fits is not None
    assert GUIDE.fits(walk.facts) == ""


def test_it_fits_where_many_are_in_close_wait() -> None:
    assert GUIDE.fits is not None
    assert GUIDE.fits(Facts(Stream().next(_states(900))))


def test_a_process_that_is_not_visible_is_not_called_innocent() -> None:
    walk, _ = _walk(_states(900), UNKNOWN)
    assert (walk.step.id, walk.suggested) == ("queue", None)
    walk = _hidden_process()
    assert [passed.step for passed in walk.progress.path] == ["many", "queue", "holder"]
    assert walk.outcome == "cannot-be-known"


def _hidden_process() -> Walk:
    walk, stream = _walk(_states(900), UNKNOWN)
    walk.add(stream.next(_states(900), 70))
    list(follow(walk))
    return walk


def test_every_branch_is_taken() -> None:
    walks = [_in_queue(), _walk(HIDDEN)[0], _hidden_process()]
    walks += [_walk(_states(0), *rows, seconds=10)[0] for rows in ((), (process(fds=1024, soft=1024),))]
    walks += [_fixed(*[part] * 20) for part in (_states(900), _states(3), HIDDEN)]
    declined, _ = _walk(_states(900), LEAK)
    declined.take("do-not-tune")
    walks.append(declined)
    # Whether another limit has an alarm is always known, as far as it was read.
    assert branches(GUIDE) - taken(*walks) == {("others", "cannot-be-known")}
