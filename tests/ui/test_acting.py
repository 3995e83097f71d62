"""The dialog of an action: all is said before it, the word alone carries it out, and a paste does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual import events

from sockmon import settings
from sockmon.model.acting import (
    SIGNALS,
    ActionRecord,
    CarryOutAction,
    CloseSockets,
    DeleteFlows,
    PrepareAction,
    PreparedAction,
    SignalProcess,
    SocketMatch,
)
from sockmon.model.conntrack_flows import Flow, FlowQuery, FlowTerm, FlowTuple, RangeValue
from sockmon.model.detail import ProcessQuery
from sockmon.model.helper_protocol import ActionResult, Answer, Request
from sockmon.model.plan import Plan
from sockmon.model.socket_list import SocketKey
from sockmon.model.transaction import Transaction
from sockmon.tuning.confirmation import PASTED
from sockmon.ui.acting.act_screen import ActScreen
from sockmon.ui.acting.choices import (
    NO_COOKIE,
    TCP_ONLY,
    Choice,
    flow_choices,
    signal_choices,
    socket_choices,
    why_not_closable,
)
from sockmon.ui.tuning.history import HistoryScreen
from tests.ui.fake_helper import ALICE, FakeHelper, running_app, screen_text, type_text, until, without_frames

MATCH = CloseSockets(4026531840, match=SocketMatch(("CLOSE_WAIT",), 1044, 7))


def prepared(action: object = MATCH, **changes: Any) -> PreparedAction:
    """What the helper finds."""
    found = PreparedAction(
        action=action,  # type: ignore[arg-type]
        title="Close 9 TCP sockets",
        count=9,
        rows=tuple(f"CLOSE_WAIT  10.0.0.5:443 → 10.0.0.9:{port}" for port in range(7001, 7010)),
        facts=("9 CLOSE_WAIT", "of \x1b[31m[link=x]nginx[1044]"),
        effects=("The peer gets a reset.",),
        warnings=("LISTEN: the service stops listening.",),
        left_out=("1 connection: it carries the terminal that you are typing on",),
        commands=("ss -K state close-wait src 10.0.0.5:443 dst 10.0.0.9:7001",),
        word="close",
        token="t0",
    )
    return replace(found, **changes)


def acted(state: Any = "done", done: int = 9, messages: tuple[str, ...] = ()) -> Transaction:
    """The entry of the history."""
    record = ActionRecord("close", "9 TCP sockets (9 CLOSE_WAIT) of nginx[1044]", 9, done, ("CLOSE_WAIT  a → b",))
    return Transaction(
        "20261129T070000-00000000",
        Plan((), 1, "b"),
        ALICE,
        1.7e9,
        0.0,
        0.0,
        state,
        messages=messages,
        action=record,
    )


def confirmations(helper: FakeHelper) -> list[Request]:
    return helper.asked_for(CarryOutAction)


CHOICES = (Choice("all CLOSE_WAIT of this process", MATCH),)


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_the_word_carries_out_what_was_shown(size: tuple[int, int]) -> None:
    helper = FakeHelper()
    helper.prepared, helper.acted = prepared(), ActionResult(acted())
    async with running_app(helper, size) as (app, pilot):
        app.push_screen(ActScreen(CHOICES))
        await until(pilot, lambda: "Close 9 TCP sockets" in screen_text(app))
        shown = without_frames(screen_text(app))
        for words in (
            "9 CLOSE_WAIT", "[link=x]nginx[1044]", "The peer gets a reset.", "the service stops listening",
            "it carries the terminal", "There is no way back: sockmon cannot undo it.",
            "Type close to confirm, Esc to leave: _____", "10.0.0.9:7001", "1 warning",
        ):  # fmt: skip
            assert words in shown, words
        assert "\x1b" not in shown
        assert helper.asked_for(PrepareAction) == [PrepareAction(MATCH)]
        await type_text(app, pilot, "close")
        assert confirmations(helper) == [CarryOutAction("t0", 9, "close")]
        await until(pilot, lambda: "Closed 9 TCP sockets (9 CLOSE_WAIT)" in without_frames(screen_text(app)))
        # Once it is done, the word does nothing any more.
        await type_text(app, pilot, "close", after=30)
        assert len(confirmations(helper)) == 1
        await pilot.press("escape")
        assert not isinstance(app.screen, ActScreen)


@pytest.mark.fault("T20")
async def test_t20_a_paste_a_burst_and_another_word_act_on_nothing() -> None:
    helper = FakeHelper()
    helper.prepared = prepared()
    async with running_app(helper) as (app, pilot):
        app.push_screen(ActScreen(CHOICES))
        await until(pilot, lambda: "Close 9 TCP sockets" in screen_text(app))
        app.post_message(events.Paste("close"))
        await pilot.pause()
        assert PASTED in screen_text(app)
        await type_text(app, pilot, "close", gap=0.001, after=20)
        assert PASTED in screen_text(app)
        await type_text(app, pilot, "apply", after=40)
        assert 'type the word "close"' in screen_text(app)
        await type_text(app, pilot, "clos", after=60)
        app.post_message(events.Paste("e"))
        await pilot.pause()
        assert confirmations(helper) == []


async def test_each_signal_is_looked_at_before_its_word_counts() -> None:
    def script(request: Request) -> list[Answer] | None:
        if not isinstance(request, PrepareAction) or not isinstance(request.action, SignalProcess):
            return None
        name = request.action.signal
        word = "kill" if name == "KILL" else "signal"
        return [prepared(request.action, title=f"Send {name} to nginx[1044]", word=word, token=name, count=1)]

    helper = FakeHelper(script=script)
    helper.acted = ActionResult(acted("refused", 0, ("process 1044 has ended",)))
    async with running_app(helper) as (app, pilot):
        app.push_screen(ActScreen(signal_choices(1044, 7)))
        await until(pilot, lambda: "Send TERM" in screen_text(app))
        await type_text(app, pilot, "signa")
        for _ in range(len(SIGNALS) + 2):
            await pilot.press("right")
        await until(pilot, lambda: "Send KILL" in screen_text(app))
        assert "[KILL]" in screen_text(app)
        # What was typed for another signal does not count.
        assert "Type kill to confirm, Esc to leave: ____" in screen_text(app)
        await type_text(app, pilot, "kill", after=30)
        assert confirmations(helper) == [CarryOutAction("KILL", 1, "kill")]
        await until(pilot, lambda: "Nothing was done" in screen_text(app))
        assert "Process 1044 has ended." in without_frames(screen_text(app))


async def test_what_is_refused_has_a_reason_a_command_and_no_word() -> None:
    helper = FakeHelper()
    helper.prepared = prepared(refused="closing the sockets of others needs root", word="", token="")
    async with running_app(helper) as (app, pilot):
        app.push_screen(ActScreen(CHOICES))
        await until(pilot, lambda: "Refused: " in screen_text(app))
        shown = without_frames(screen_text(app))
        assert "Closing the sockets of others needs root." in shown
        assert "ss -K state close-wait" in shown
        assert "to confirm" not in shown
        await type_text(app, pilot, "close")
        assert confirmations(helper) == []
        helper.prepared = None
        app.push_screen(ActScreen(CHOICES))
        await until(pilot, lambda: "Nothing to act on." in screen_text(app))


async def test_a_failure_of_the_confirmation_is_shown() -> None:
    helper = FakeHelper()
    helper.prepared = prepared()
    async with running_app(helper) as (app, pilot):
        app.push_screen(ActScreen(CHOICES))
        await until(pilot, lambda: "Close 9 TCP sockets" in screen_text(app))
        await type_text(app, pilot, "close")
        await until(pilot, lambda: "Nothing was done: Not what was shown last." in screen_text(app))


async def test_X_opens_it_for_the_process_of_a_page() -> None:
    helper = FakeHelper()
    helper.prepared = prepared(SignalProcess(1044, 7, "TERM"))
    async with running_app(helper) as (app, pilot):
        assert "X Act" not in screen_text(app)
        app.open(ProcessQuery(1044, 7))
        await until(pilot, lambda: "X Act" in screen_text(app))
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, ActScreen))
        assert helper.asked_for(PrepareAction) == [PrepareAction(SignalProcess(1044, 7, "TERM"))]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"read_only": True}, "It was started read-only."),
        (
            {"settings": settings.Settings(theme="sockmon", why_no_actions=settings.NO_ACTIONS)},
            "The config file does not allow it",
        ),
    ],
)
async def test_read_only_or_forbidden_by_the_config_nothing_is_asked(changes: dict[str, Any], reason: str) -> None:
    helper = FakeHelper()
    helper.prepared = prepared()
    async with running_app(helper, **changes) as (app, pilot):
        app.push_screen(ActScreen(CHOICES))
        await until(pilot, lambda: reason in without_frames(screen_text(app)))
        await type_text(app, pilot, "close")
        assert helper.asked_for(PrepareAction) == confirmations(helper) == []


async def test_the_history_shows_it_and_u_says_that_there_is_no_way_back() -> None:
    helper = FakeHelper()
    helper.history = [acted()]
    async with running_app(helper, (120, 40)) as (app, pilot):
        app.history()
        await until(pilot, lambda: "closed 9 TCP sockets" in screen_text(app))
        assert isinstance(app.screen, HistoryScreen)
        shown = without_frames(screen_text(app))
        assert "● done" in shown
        assert "none: it cannot be undone" in shown
        assert "CLOSE_WAIT a → b" in shown
        await pilot.press("u")
        await until(pilot, lambda: any("has no way back" in each.message for each in app._notifications))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[actions]\nallow = true\n", ""),
        ("[actions]\nallow = false\n", settings.NO_ACTIONS),
        ("[actions]\nallow = 1\n", settings.FAULTY_ACTIONS),
        ("[actions]\nalow = true\n", settings.FAULTY_ACTIONS),
        ("[actions]\n", settings.FAULTY_ACTIONS),
        ("actions = true\n", settings.FAULTY_ACTIONS),
        ("theme = 'fjord'\n", ""),
    ],
)
def test_the_config_file_allows_or_forbids_it(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    found = settings.load(path)
    assert found.why_no_actions == reason
    assert bool(found.faults) == (reason == settings.FAULTY_ACTIONS)


THERE, BACK = FlowTuple("10.0.0.5", "10.0.0.9", 6000, 53), FlowTuple("10.0.0.9", "10.0.0.5", 53, 6000)
FLOW = Flow(4026531840, 4, "udp", 17, THERE, BACK, 0, id=7)


def test_a_list_of_flows_offers_all_only_if_it_is_narrowed() -> None:
    terms = (FlowTerm("dport", (RangeValue(53, 53),)),)
    assert [each.name for each in flow_choices(FLOW, FLOW.netns, terms, 61_204)] == [
        "this flow", "all 61,204 that match",
    ]  # fmt: skip
    assert flow_choices(FLOW, FLOW.netns, terms, 61_204)[1].action == DeleteFlows(FLOW.netns, match=terms)
    assert [each.name for each in flow_choices(FLOW, FLOW.netns, (), 61_204)] == ["this flow"]
    assert flow_choices(None, FLOW.netns, (), 61_204) == ()


async def test_X_opens_it_for_a_flow() -> None:
    helper = FakeHelper()
    helper.prepared = prepared(DeleteFlows(FLOW.netns, (FLOW,)), title="Delete 1 flow", word="delete")
    async with running_app(helper) as (app, pilot):
        app.open(FlowQuery(FLOW))
        await until(pilot, lambda: "X Act" in screen_text(app))
        await pilot.press("X")
        await until(pilot, lambda: "Type delete to confirm" in screen_text(app))
        assert helper.asked_for(PrepareAction) == [PrepareAction(DeleteFlows(FLOW.netns, (FLOW,)))]


def test_sockets_of_one_namespace_are_closed_together_and_only_tcp() -> None:
    one = SocketKey(1, "tcp", 2, 77, 5, "10.0.0.5", 443, "10.0.0.9", 7001)
    others = [replace(one, cookie=78), replace(one, netns=2, cookie=79), replace(one, protocol="udp", cookie=80)]
    this, listed = socket_choices(one, [one, *others])
    assert (this.name, this.action) == ("this socket", CloseSockets(1, (one,)))
    assert (listed.name, listed.action) == ("all 2 listed", CloseSockets(1, (one, others[0])))
    assert why_not_closable(others[2]) == TCP_ONLY
    assert why_not_closable(replace(one, cookie=0)) == NO_COOKIE
    assert socket_choices(others[2]) == ()
