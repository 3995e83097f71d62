"""Which screen opens what."""

from __future__ import annotations

from textual.screen import Screen

from sockmon.model.detail import Focus, GroupFocus, ListenerFocus, ProcessFocus
from sockmon.model.report import Reading
from sockmon.ui.screens.ceiling import CeilingScreen
from sockmon.ui.screens.group import GroupScreen
from sockmon.ui.screens.listener import ListenerScreen
from sockmon.ui.screens.process import ProcessScreen


def screen_for(thing: Focus | Reading) -> Screen[None]:
    """A reading opens its ceiling, a focus its process, port group or listener."""
    if isinstance(thing, Reading):
        return CeilingScreen((thing.ceiling, thing.subject))
    if isinstance(thing, ProcessFocus):
        return ProcessScreen(thing)
    if isinstance(thing, GroupFocus):
        return GroupScreen(thing)
    assert isinstance(thing, ListenerFocus)
    return ListenerScreen(thing)
