"""The one table of actions: bindings, footer, help, palette and the config file's `[keys]` come from it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Literal, NamedTuple

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character

Place = Literal["app", "main", "table", "held", "tune"]
"""Where a key lives: everywhere, on the main screen, in a table, where something is held, where one tunes."""


class Action(NamedTuple):
    """Something that a key does; `id` is its name in the config file."""

    id: str
    keys: str
    """Default keys, comma-separated, in Textual's names."""
    action: str
    description: str
    tooltip: str
    group: str
    place: Place
    footer: bool = False
    priority: bool = False
    writes: bool = False
    """Whether it leads to a change of the system: `--read-only` hides it."""


ACTIONS: tuple[Action, ...] = (
    Action("open", "enter", "open", "Open", "Go deeper: why, who, what to do", "Move", "table", True),
    Action("back", "escape", "back", "Back", "Leave: filter, zoom, screen", "Move", "app"),
    Action("row.down", "j,down", "row(1)", "Down", "Next row", "Move", "table"),
    Action("row.up", "k,up", "row(-1)", "Up", "Previous row", "Move", "table"),
    Action("row.first", "g,home", "first", "First row", "To the first row", "Move", "table"),
    Action("row.last", "G,end", "last", "Last row", "To the last row", "Move", "table"),
    Action("page.down", "pagedown,ctrl+f", "leaf(1)", "Page down", "A page further", "Move", "table"),
    Action("page.up", "pageup,ctrl+b", "leaf(-1)", "Page up", "A page back", "Move", "table"),
    Action("pane.sockets", "1", "pane('sockets')", "Sockets", "TCP states, UDP, UNIX, RAW", "Panes", "main"),
    Action(
        "pane.processes", "2", "pane('processes')", "Processes", "Who holds the descriptors", "Panes", "main"
    ),
    Action("pane.ports", "3", "pane('ports')", "Ports", "Ephemeral ports and accept queues", "Panes", "main"),
    Action(
        "pane.conntrack", "4", "pane('conntrack')", "Conntrack", "The connection table", "Panes", "main"
    ),
    Action("pane.next", "tab", "next(1)", "Next pane", "Focus the next pane", "Panes", "main"),
    Action("pane.previous", "shift+tab", "next(-1)", "Previous pane", "Focus the one before", "Panes", "main"),
    Action("zoom", "z", "zoom", "Zoom", "This pane alone on the screen, and back", "Panes", "main", True),
    Action("board", "b", "board", "Board", "The whole Headroom board, and back", "Panes", "main", True),
    Action("filter", "slash,f4", "filter", "Filter", "port: state: proc: user: or words", "Look", "main", True),
    Action("sort", "s", "sort", "Sort", "Sort by the next column", "Look", "table", True),
    Action("sort.reverse", "S", "reverse", "Reverse", "Turn the order round", "Look", "table"),
    Action("tune", "t", "tune", "Tune", "What can be changed, what it would do", "Tune", "app", True),
    Action("tune.advice", "a", "advise", "Advice", "Plan the advised value", "Tune", "tune", True),
    Action("tune.drop", "x", "drop", "Drop", "Take it out of the plan", "Tune", "tune", True),
    Action("tune.preview", "v", "preview", "Preview", "What the plan does; then do it", "Tune", "tune", True),
    Action("prove", "P", "prove", "Prove", "Measure now what a setting does", "Tune", "tune", True),
    Action("history", "h", "app.history", "History", "What was changed, by whom", "Tune", "tune", True),
    Action("undo", "u", "undo", "Undo", "Plan to take back what was kept", "Tune", "tune", True, writes=True),
    Action("keep", "K", "keep", "Keep", "While held: let it stay", "Hold", "held", priority=True, writes=True),
    Action(
        "keep.persist", "P", "keep_persist", "Keep, persist", "While held: let it stay for good", "Hold", "held",
        priority=True, writes=True,
    ),
    Action("revert", "U", "revert", "Revert", "While held: undo it", "Hold", "held", priority=True, writes=True),
    Action("pause", "p", "pause", "Pause", "Hold the screen still; counting goes on", "Time", "app", True),
    Action("refresh", "r", "refresh_now", "Refresh", "Draw the newest data, even paused", "Time", "app"),
    Action("slower", "plus,equals_sign", "pace(2)", "Slower", "Sample half as often", "Time", "app"),
    Action("faster", "minus", "pace(0.5)", "Faster", "Sample twice as often", "Time", "app"),
    Action("palette", "colon", "command_palette", "Commands", "Everything, by name", "sockmon", "app"),
    Action("help", "question_mark,f1", "help", "Help", "Keys, glyphs, how to read this", "sockmon", "app", True),
    Action("quit", "q", "leave", "Quit", "Back; from the main screen: end", "sockmon", "app", True),
    Action(
        "quit.now", "ctrl+c", "quit", "Quit now", "End from anywhere", "sockmon", "app", priority=True
    ),
)  # fmt: skip

BY_ID = {action.id: action for action in ACTIONS}


def bindings(place: Place) -> list[Binding]:
    """The bindings of a place, for its `BINDINGS`."""
    return [binding(action.id) for action in ACTIONS if action.place == place]


def binding(id: str) -> Binding:
    """The binding of one action, for a screen that has not all of its place."""
    action = BY_ID[id]
    return Binding(
        action.keys,
        f"app.{action.action}" if action.place in ("app", "held") else action.action,
        action.description,
        show=action.footer,
        tooltip=action.tooltip,
        id=action.id,
        priority=action.priority,
    )


def show_keys(keys: str) -> str:
    """Keys as printed on the keyboard: `slash,f4` → `/ F4`."""
    return " ".join(_show(key.strip()) for key in keys.split(",") if key.strip())


MODIFIERS = {"ctrl", "shift", "alt", "super", "hyper", "meta"}
_NAMED = {key.value for key in Keys if key.value.isalnum()} | set(KEY_NAME_REPLACEMENTS.values())
_NAMES = {"/": "slash", "?": "question_mark", "+": "plus", "-": "minus", "=": "equals_sign", ":": "colon"}
"""Keys that can be written as they are printed → Textual's names."""
_PRINTED = {"enter": "Enter", "escape": "Esc", "up": "↑", "down": "↓", "tab": "Tab", "slash": "/", "plus": "+"}
_PRINTED |= {"home": "Home", "end": "End", "pagedown": "PgDn", "pageup": "PgUp", "shift+tab": "⇧Tab"}
_PRINTED |= {"minus": "-", "equals_sign": "="}


def _show(key: str) -> str:
    if key in _PRINTED:
        return _PRINTED[key]
    if key.startswith("ctrl+"):
        return f"^{key[5:].upper()}"
    if key[0] == "f" and key[1:].isdigit():
        return key.upper()
    return key_to_character(key) or key


def effective(chosen: Mapping[str, str]) -> dict[str, str]:
    """Action id → keys in force, with the config file's choices laid over the defaults."""
    return {action.id: chosen.get(action.id, action.keys) for action in ACTIONS}


def sound(chosen: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The entries of a config file's `[keys]` that can be used, and what is wrong with each of the others."""
    kept: dict[str, str] = {}
    found: list[str] = []
    for name, keys in chosen.items():
        if fault := _fault(name, keys):
            found.append(fault)
        else:
            kept[name] = ",".join(_split(keys))
    while clash := _clash(kept):
        key, first, second = clash
        found.append(f"keys: {key!r} is given to {first} and to {second}")
        del kept[second if second in kept else first]
    return kept, found


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",") if key.strip()]


def _fault(name: str, keys: str) -> str:
    if name not in BY_ID:
        return f"keys: no action is called {name!r}"
    if not _split(keys):
        return f"keys: {name} has no key"
    unknown = next((key for key in _split(keys) if not _exists(key)), None)
    return f"keys: {name}: there is no key {unknown!r}" if unknown else ""


def _exists(key: str) -> bool:
    """Whether Textual could ever report such a key."""
    *modifiers, name = key.split("+") if len(key) > 1 else [key]
    return set(modifiers) <= MODIFIERS and (len(name) == 1 or name in _NAMED or _is_character(name))


def _is_character(name: str) -> bool:
    """Whether it is the name of a character, as `question_mark`: Unicode's, where Textual has none of its own."""
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return True


def _clash(chosen: Mapping[str, str]) -> tuple[str, str, str] | None:
    """A key that stands for two actions because of `chosen`, and those; what is held may share one by default."""
    taken: dict[str, str] = {}
    for name, keys in effective(chosen).items():
        for key in _split(keys):
            other = taken.setdefault(_NAMES.get(key, key), name)
            shared = all(key in _split(BY_ID[each].keys) for each in (name, other))
            if other != name and not shared and (name in chosen or other in chosen):
                return key, other, name
    return None
