"""Actions through the helper: hostile requests, its own processes, no free descriptor, an ordinary user."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from sockmon.kernel.identity import netns_inode
from sockmon.model.acting import CarryOutAction, CloseSockets, PrepareAction, PreparedAction
from sockmon.model.helper_protocol import (
    ActionResult,
    Apply,
    ChangeResult,
    GetHistory,
    HelperStatus,
    History,
    RequestFailed,
    ResolveHold,
)
from sockmon.tuning.acting import signals, sockets
from sockmon.tuning.helper.client import HelperClient
from sockmon.tuning.helper.config import HelperConfig
from sockmon.tuning.planning.undo import require_values
from tests.netns import inside
from tests.tuning.acting_targets import Connections, confirm, error_of, key_of, refusal, signal_to, sleeper
from tests.tuning.helper_session import HelperSession, helper_session
from tests.tuning.sample_change import ACTOR, plan
from tests.tuning.test_transaction import LONG_HOLD, guard_pid, old_values

JUNK = (
    b'{"kind":"prepare-action"}',
    b'{"kind":"prepare-action","action":{}}',
    b'{"kind":"prepare-action","action":{"act":"close"}}',
    b'{"kind":"prepare-action","action":{"act":"close","netns":-1}}',
    b'{"kind":"prepare-action","action":{"act":"close","netns":1,"sockets":7}}',
    b'{"kind":"prepare-action","action":{"act":"close","netns":1,"match":{"states":["LISTEN"],"shell":"x"}}}',
    b'{"kind":"prepare-action","action":{"act":"close","netns":1,"match":{"local_port":65536}}}',
    b'{"kind":"prepare-action","action":{"act":"flush","netns":1}}',
    b'{"kind":"prepare-action","action":{"act":"signal","pid":-1,"start":0,"signal":"KILL"}}',
    b'{"kind":"prepare-action","action":{"act":"signal","pid":0,"start":0,"signal":"KILL"}}',
    b'{"kind":"prepare-action","action":{"act":"signal","pid":1,"start":0,"signal":"SEGV"}}',
    b'{"kind":"prepare-action","action":{"act":"signal","pid":1,"start":0,"signal":9}}',
    b'{"kind":"prepare-action","action":{"act":"delete","netns":1,"flows":[{"netns":1}]}}',
    b'{"kind":"act","token":"","count":0,"word":"close"}',
    b'{"kind":"act","token":"","count":99999999,"word":"close"}',
    b'{"kind":"act","token":"' + b"0" * 65 + b'","count":1,"word":"close"}',
    b'{"kind":"act","token":"","count":1,"word":"close","also":1}',
)
VALID_AND_WRONG = (
    b'{"kind":"act","token":"","count":1,"word":"close"}',
    b'{"kind":"prepare-action","action":{"act":"close","netns":1}}',
    b'{"kind":"prepare-action","action":{"act":"delete","netns":1}}',
    b'{"kind":"prepare-action","action":{"act":"signal","pid":4194304,"start":0,"signal":"KILL"}}',
)


def send(screen: HelperSession, line: bytes) -> str:
    """Send a line as it is; return the message of the failure."""
    pipe = screen.helper.child.stdin
    os.set_blocking(pipe.fileno(), True)
    pipe.write(line + b"\n")
    pipe.flush()
    answer = next(one for one in iter(screen._next, None) if not isinstance(one, HelperStatus))
    assert isinstance(answer, RequestFailed), answer
    return answer.message


def hostile_screen() -> None:
    client, server = Connections().open(1)[0]
    with old_values() as root, helper_session(root) as screen:
        assert {send(screen, line) for line in JUNK} == {"not a valid request"}
        assert "not a valid request" not in {send(screen, line) for line in VALID_AND_WRONG}
        # It still works, and the word alone is not enough.
        action = PrepareAction(CloseSockets(netns_inode(), (key_of(client),)))
        shown = screen.ask(action, PreparedAction)
        assert "not what was shown" in send(screen, b'{"kind":"act","token":"","count":1,"word":"close"}')
        shown = screen.ask(action, PreparedAction)
        done = screen.ask(confirm(shown), ActionResult).transaction
        assert (done.state, error_of(client), error_of(server)) == ("done", errno.ECONNABORTED, errno.ECONNRESET)
        assert screen.ask(confirm(shown), RequestFailed).message
        noted = screen.ask(GetHistory(), History).transactions
        assert [one.id for one in noted] == [done.id]
        assert "no way back" in refusal(lambda: require_values(noted[0]))
        assert '"action":{"kind":"close"' in Path(root, "var/log/sockmon/audit.jsonl").read_text()


@pytest.mark.fault("X7")
@pytest.mark.usefixtures("needs_userns")
def test_x7_a_hostile_screen_acts_on_nothing_that_was_not_shown() -> None:
    inside(hostile_screen)


def our_processes() -> None:
    with old_values() as root, helper_session(root) as screen:
        held = screen.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
        guard = guard_pid(root)
        watchdog = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
        for pid in (screen.helper.child.pid, guard, watchdog):
            shown = screen.ask(PrepareAction(signal_to(pid, "KILL")), PreparedAction)
            assert (shown.refused, shown.token) == (signals.OURS, "")
        assert screen.state_after(ResolveHold("revert", held.id)) == "reverted"


@pytest.mark.usefixtures("needs_userns")
def test_helper_guard_and_watchdog_are_not_signalled() -> None:
    inside(our_processes)


def no_descriptor() -> None:
    client = Connections().open(1)[0][0]
    with old_values() as root, helper_session(root) as screen, sleeper() as pid:
        close = PrepareAction(CloseSockets(netns_inode(), (key_of(client),)))
        stop = PrepareAction(signal_to(pid, "STOP"))
        shown = screen.ask(close, PreparedAction)
        limits = resource.prlimit(screen.helper.child.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(screen.helper.child.pid, resource.RLIMIT_NOFILE, (0, limits[1]))
        failed = screen.ask(confirm(shown), ActionResult).transaction
        assert (failed.state, error_of(client)) == ("refused", 0)
        assert any("open files" in each or "descriptor" in each for each in failed.messages)
        assert "open files" in screen.ask(stop, RequestFailed).message
        resource.prlimit(screen.helper.child.pid, resource.RLIMIT_NOFILE, limits)
        for action in (close, stop):
            again = screen.ask(action, PreparedAction)
            assert screen.ask(confirm(again), ActionResult).transaction.state == "done"


@pytest.mark.fault("R3")
@pytest.mark.usefixtures("needs_userns")
def test_r3_without_a_free_descriptor_nothing_is_done_and_later_it_is() -> None:
    inside(no_descriptor)


def test_what_the_config_forbids_the_helper_refuses(tmp_path: Path) -> None:
    helper = HelperClient(HelperConfig(str(tmp_path), ACTOR, None, cannot_act="the config file does not allow it"))
    helper.start()
    try:
        screen = HelperSession(helper)
        with sleeper() as pid:
            failed = screen.ask(PrepareAction(signal_to(pid, "KILL")), RequestFailed)
            assert failed.message == "the config file does not allow it"
            assert screen.ask(CarryOutAction("", 1, "kill"), RequestFailed).message == failed.message
            os.kill(pid, 0)
    finally:
        helper.close()


@pytest.mark.fault("X1")
@pytest.mark.usefixtures("unprivileged_only")
def test_x1_a_user_signals_own_processes_and_closes_nothing() -> None:
    connections = Connections()
    client, server = connections.open(1)[0]
    with helper_session("/") as screen, sleeper() as pid, connections.listener, client, server:
        shown = screen.ask(PrepareAction(CloseSockets(netns_inode(), (key_of(client),))), PreparedAction)
        assert (shown.refused, shown.token) == (sockets.NEEDS_ROOT, "")
        assert shown.commands[0].startswith("ss -K state established src ")
        shown = screen.ask(PrepareAction(signal_to(pid, "KILL")), PreparedAction)
        done = screen.ask(confirm(shown), ActionResult).transaction
        assert done.state == "done"
        # The history belongs to root.
        assert any("history" in each for each in done.messages)
        assert error_of(client) == 0


def killed_helper() -> None:
    """The history has an action whose helper was killed before it could note the end."""
    client = Connections().open(1)[0][0]
    with old_values() as root:
        with helper_session(root) as screen:
            shown = screen.ask(PrepareAction(CloseSockets(netns_inode(), (key_of(client),))), PreparedAction)
            assert screen.ask(confirm(shown), ActionResult).transaction.state == "done"
        history = Path(root, "var/lib/sockmon/history")
        (file,) = history.iterdir()
        file.write_text(file.read_text().replace('"state":"done"', '"state":"applying"'))
        with helper_session(root) as screen:
            (noted,) = screen.ask(GetHistory(), History).transactions
            assert noted.state == "applying"
            # It does not stand in the way of a change.
            assert screen.state_after(Apply(plan(), LONG_HOLD)) == "holding"


@pytest.mark.usefixtures("needs_userns")
def test_an_interrupted_action_stays_in_the_history() -> None:
    inside(killed_helper)
