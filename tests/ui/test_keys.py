"""The table of keys: a key that changes the system has no other use, and nothing but K and U does so alone."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from textual.actions import parse
from textual.binding import Binding
from textual.dom import DOMNode

import sockmon.ui
from sockmon.model.helper_protocol import Apply, ResolveHold
from sockmon.settings import Settings
from sockmon.ui import keys
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.tuning.history import HistoryScreen
from sockmon.ui.tuning.panel import TuningPanel
from sockmon.ui.tuning.preview import PreviewScreen
from tests.ui.fake_helper import until
from tests.ui.held_app import play
from tests.ui.main_app import text

WRITING = [action for action in keys.ACTIONS if action.writes]


def keys_of(text: str) -> set[str]:
    return {keys.canonical(key) for key in text.split(",")}


def nodes() -> Iterator[type[DOMNode]]:
    """Every app, screen and widget of ours."""
    for found in pkgutil.walk_packages(sockmon.ui.__path__, "sockmon.ui."):
        module = importlib.import_module(found.name)
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, DOMNode) and each.__module__ == found.name:
                yield each


@pytest.mark.fault("T20")
def test_T20_a_key_that_writes_is_no_other_actions_key() -> None:
    assert {action.id for action in WRITING} == {"undo", "keep", "keep.persist", "revert", "act"}
    for action in WRITING:
        others = set().union(*(keys_of(each.keys) for each in keys.ACTIONS if each is not action))
        assert not keys_of(action.keys) & (others | keys.RESERVED_KEYS), action.id


@pytest.mark.fault("T20")
def test_T20_no_screen_gives_such_a_key_another_meaning() -> None:
    ids = {action.id for action in WRITING}
    taken = set().union(*(keys_of(action.keys) for action in WRITING))
    found = list(nodes())
    assert len(found) > 20
    for node in found:
        for bound in Binding.make_bindings(node.BINDINGS):
            assert bound.id in ids or keys.canonical(bound.key) not in taken, (node, bound)


@pytest.mark.fault("T20")
def test_T20_every_write_but_keep_and_roll_back_needs_a_second_step() -> None:
    assert {action.id for action in WRITING if not action.confirmation} == {"keep", "revert"}
    assert not [action.id for action in keys.ACTIONS if action.confirmation and not action.writes]


@pytest.mark.parametrize(
    ("chosen", "fault"),
    [
        ({"prove": "P"}, "'P' is given to prove and to keep.persist"),
        ({"tune.drop": "K"}, "'K' is given to tune.drop and to keep"),
        ({"undo": "U"}, "'U' is given to undo and to revert"),
        ({"revert": "shift+p"}, "'shift+p' is given to keep.persist and to revert"),
        ({"keep": "exclamation_mark", "pause": "!"}, "is given to keep and to pause"),
        ({"keep": "m"}, "'m' is given to prove and to keep"),
        ({"keep": "left"}, "keep: 'left' scrolls, edits or types"),
        ({"keep": "ctrl+u"}, "keep: 'ctrl+u' scrolls, edits or types"),
        ({"pane.next": "n", "keep.persist": "ctrl+i"}, "keep.persist: 'ctrl+i' scrolls, edits or types"),
        ({"open": "Y", "revert": "f8,ctrl+m"}, "revert: 'ctrl+m' scrolls, edits or types"),
        ({"revert": "l"}, "revert: 'l' scrolls, edits or types"),
    ],
)
def test_a_configured_key_that_could_write_by_mistake_is_refused(chosen: dict[str, str], fault: str) -> None:
    kept, faults = keys.validate(chosen)
    assert len(faults) == 1
    assert fault in faults[0]
    assert faults[0].endswith("a key that changes the system has no other use")
    in_force = keys.effective(kept)
    for action in WRITING:
        others = set().union(*(keys_of(in_force[each]) for each in in_force if each != action.id))
        assert not keys_of(in_force[action.id]) & (others | keys.RESERVED_KEYS)


def test_an_unused_key_can_be_configured() -> None:
    chosen = {"keep": "f8,ctrl+y", "keep.persist": "f9", "revert": "f10", "undo": "K"}
    assert keys.validate(chosen) == (chosen, [])


async def test_the_refusal_is_reported_and_the_default_key_stays() -> None:
    async with play(settings=Settings(theme="sockmon", keys={"keep": "m"})) as seen:
        wanted = "'m' is given to prove and to keep"
        await until(seen.pilot, lambda: any(wanted in each.message for each in seen.app._notifications))
        await seen.held()
        assert "[K] keep" in text(seen.app)


async def test_K_P_and_U_mean_nothing_where_nothing_is_pending() -> None:
    """On no screen; proving a setting has a key of its own, `m`."""
    async with play() as seen:
        app, pilot = seen.app, seen.pilot
        for way, screen in (
            ((), type(app.screen)),
            (("b", "enter"), CeilingScreen),
            (("t",), TuningPanel),
            (("v",), PreviewScreen),
            (("escape", "h"), HistoryScreen),
        ):
            await pilot.press(*way)
            await until(pilot, lambda screen=screen: isinstance(app.screen, screen))  # type: ignore[misc]
            await seen.settle()
            depth = len(app.screen_stack)
            await pilot.press("K", "P", "U")
            await seen.settle()
            assert isinstance(app.screen, screen)
            assert len(app.screen_stack) == depth
        assert not [each for each in seen.helper.asked if isinstance(each, Apply | ResolveHold)]


def test_every_key_has_its_action() -> None:
    for kind in nodes():
        for binding in Binding.make_bindings(vars(kind).get("BINDINGS", [])):
            namespace, name, _ = parse(binding.action)
            assert namespace or hasattr(kind, f"action_{name}"), (
                f"{binding.key} of {kind.__qualname__} does nothing"
            )
