"""The one table of actions: bindings, footer, help, palette and the config file's `[keys]` come from it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Literal, NamedTuple

from textual.app import App
from textual.binding import Binding
from textual.containers import ScrollableContainer
from textual.keys import KEY_ALIASES, KEY_NAME_REPLACEMENTS, Keys, key_to_character
from textual.screen import Screen
from textual.widgets import Input

from sockmon.model.acting import WORDS
from sockmon.tuning.confirmation import WORD

Place = Literal["app", "main", "table", "process", "hold", "tune", "guide", "sockets", "fleet"]
"""Where a key works: on every screen, the main screen, a table, the page of a process, a pending change, the
tuning panel, a guide, the list of sockets, or the hosts of a fleet."""
Confirmation = Literal["", "press", "word"]
"""What must follow the key before anything is written: the same key again, or the typed word."""


class Action(NamedTuple):
    """What a key does; `id` is its name in the config file."""

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
    """Whether it changes the system. `--read-only` hides it, and its keys have no other use."""
    confirmation: Confirmation = ""


ACTIONS: tuple[Action, ...] = (
    Action("open", "enter", "open", "Open", "Open the row: cause, owners, remedies", "Move", "table", True),
    Action("back", "escape", "back", "Back", "Close filter, zoom or screen", "Move", "app"),
    Action("row.down", "j,down", "row(1)", "Down", "Next row", "Move", "table"),
    Action("row.up", "k,up", "row(-1)", "Up", "Previous row", "Move", "table"),
    Action("row.first", "g,home", "first", "First row", "Go to the first row", "Move", "table"),
    Action("row.last", "G,end", "last", "Last row", "Go to the last row", "Move", "table"),
    Action("page.down", "pagedown,ctrl+f", "page(1)", "Page down", "One page down", "Move", "table"),
    Action("page.up", "pageup,ctrl+b", "page(-1)", "Page up", "One page up", "Move", "table"),
    Action("columns.right", "right", "columns(1)", "Columns right", "Scroll to the right", "Move", "table"),
    Action("columns.left", "left", "columns(-1)", "Columns left", "Scroll to the left", "Move", "table"),
    Action("pane.sockets", "1", "pane('sockets')", "Sockets", "TCP states, UDP, UNIX, RAW", "Panes", "main"),
    Action(
        "pane.processes", "2", "pane('processes')", "Processes", "Processes and their descriptors", "Panes", "main"
    ),
    Action("pane.ports", "3", "pane('ports')", "Ports", "Ephemeral ports and accept queues", "Panes", "main"),
    Action(
        "pane.conntrack", "4", "pane('conntrack')", "Conntrack", "The connection table", "Panes", "main"
    ),
    Action(
        "pane.namespaces", "5", "pane('namespaces')", "Namespaces", "Network namespaces; Enter shows one",
        "Panes", "main",
    ),
    Action("states", "o", "process_states", "By state", "Processes by TCP state, and back", "Panes", "main"),
    Action("pane.next", "tab", "next(1)", "Next pane", "Focus the next pane", "Panes", "main"),
    Action("pane.previous", "shift+tab", "next(-1)", "Previous pane", "Focus the previous pane", "Panes", "main"),
    Action("zoom", "z", "zoom", "Zoom", "This pane alone; pane 1: list of sockets", "Panes", "main", True),
    Action("board", "b", "board", "Board", "Show all limits, and the panes again", "Panes", "main", True),
    Action("filter", "slash,f4", "filter", "Filter", "Show only the rows that match", "View", "main", True),
    Action(
        "acknowledge", "A", "acknowledge", "Acknowledge", "Dim an alarm until worse or over", "View", "main"
    ),
    Action("sockets.all", "E", "all_namespaces", "All", "All namespaces, or one", "View", "sockets", True),
    Action("sort", "s", "sort", "Sort", "Sort by the next column, hidden or not", "View", "table", True),
    Action("sort.reverse", "S", "reverse", "Reverse", "Reverse the order", "View", "table"),
    Action(
        "addresses", "i", "addresses", "Addresses", "Addresses, routes, NAT rules of the namespace", "View", "app"
    ),
    Action("descriptors", "l", "descriptors", "FDs", "List its open descriptors", "Process", "process", True),
    Action("memory", "M", "memory", "Memory", "Count its memory page by page: PSS", "Process", "process"),
    Action("tune", "t", "tune", "Tune", "What can be changed, and its effect", "Tune", "app", True),
    Action("tune.advice", "a", "advise", "Advice", "Plan the advised value", "Tune", "tune", True),
    Action("tune.drop", "x", "drop", "Drop", "Remove the value from the plan", "Tune", "tune", True),
    Action("tune.preview", "v", "preview", "Preview", "Check the plan, then apply it", "Tune", "tune", True),
    Action("prove", "m", "prove", "Prove", "Measure what a setting does", "Tune", "tune", True),
    Action("history", "h", "app.history", "History", "Changes: what, when, by whom", "Tune", "tune", True),
    Action(
        "undo", "u", "undo", "Undo", "Plan to undo a kept change", "Tune", "tune", True, writes=True,
        confirmation="word",
    ),
    Action(
        "keep", "K", "keep", "Keep", "Pending change: keep until reboot", "Pending change", "hold",
        priority=True, writes=True,
    ),
    Action(
        "keep.persist", "P", "keep_persist", "Persist", "Pending change: keep, write to disk", "Pending change",
        "hold", priority=True, writes=True, confirmation="press",
    ),
    Action(
        "revert", "U", "revert", "Roll back", "Pending change: roll back now", "Pending change", "hold",
        priority=True, writes=True,
    ),
    Action(
        "act", "X", "act", "Act", "Close a socket, delete a flow, signal", "Act", "app", True, writes=True,
        confirmation="word",
    ),
    Action("guide", "w", "guide", "Guides", "From a symptom to the proof, or back to it", "Guides", "app", True),
    Action("guide.back", "backspace", "step_back", "Step back", "Go to the step before", "Guides", "guide", True),
    Action("guide.again", "N", "again", "Again", "Begin the guide again", "Guides", "guide", True),
    Action("guide.examples", "e", "examples", "Examples", "Examples for all software, or few", "Guides", "guide"),
    Action("guide.copy", "c", "copy_summary", "Copy", "Copy the summary, as Markdown", "Guides", "guide", True),
    Action("guide.write", "f", "write_summary", "File", "Write the summary to a file", "Guides", "guide", True),
    Action("fleet.group", "L", "group", "Group", "Hosts by the next label, or by limit", "Fleet", "fleet", True),
    Action("fleet.host", "d", "details", "Details", "What is known of a host, unopened", "Fleet", "fleet", True),
    Action("pause", "p", "pause", "Pause", "Freeze the screen; sampling goes on", "Time", "app"),
    Action("refresh", "r", "refresh_now", "Refresh", "Draw the newest data, or connect now", "Time", "app"),
    Action("slower", "plus,equals_sign", "pace(2)", "Slower", "Sample half as often", "Time", "app"),
    Action("faster", "minus", "pace(0.5)", "Faster", "Sample twice as often", "Time", "app"),
    Action("palette", "colon", "command_palette", "Commands", "Run a command by its name", "sockmon", "app"),
    Action("help", "question_mark,f1", "help", "Help", "Keys, symbols, how to read it", "sockmon", "app", True),
    Action("quit", "q", "leave", "Quit", "Back; on the main screen: exit", "sockmon", "app", True),
    Action("suspend", "ctrl+z", "suspend", "Suspend", "Suspend to the shell; fg returns", "sockmon", "app"),
    Action(
        "quit.now", "ctrl+c,ctrl+q", "quit", "Quit now", "Exit from any screen", "sockmon", "app", priority=True
    ),
)  # fmt: skip

BY_ID = {action.id: action for action in ACTIONS}
ONE_USE_RULE = "a key that changes the system has no other use"


def bindings(place: Place) -> list[Binding]:
    """Return the bindings of a place, for its `BINDINGS`."""
    return [binding(action.id) for action in ACTIONS if action.place == place]


def binding(action_id: str) -> Binding:
    """Return the binding of one action, for a screen that does not have all of its place."""
    action = BY_ID[action_id]
    return Binding(
        action.keys,
        f"app.{action.action}" if action.place in ("app", "hold") else action.action,
        action.description,
        show=action.footer,
        tooltip=action.tooltip,
        id=action.id,
        priority=action.priority,
    )


def show_keys(keys: str) -> str:
    """Return keys as printed on the keyboard: `slash,f4` → `/ F4`."""
    return " ".join(_show(key.strip()) for key in keys.split(",") if key.strip())


def _reserved_keys() -> Iterator[str]:
    """Yield keys that have another use: Textual's, those of an input line, the letters of the typed word."""
    yield from ("".join((WORD, *WORDS)))
    yield from (App.COMMAND_PALETTE_BINDING, "escape", "ctrl+z")
    for kind in (App, Screen, ScrollableContainer, Input):
        for each in Binding.make_bindings(kind.BINDINGS):
            yield canonical(each.key)


MODIFIERS = {"ctrl", "shift", "alt", "super", "hyper", "meta"}
_NAMED = {key.value for key in Keys if key.value.isalnum()} | set(KEY_NAME_REPLACEMENTS.values())
_PRINTED = {"enter": "Enter", "escape": "Esc", "up": "↑", "down": "↓", "tab": "Tab", "slash": "/", "plus": "+"}
_PRINTED |= {"home": "Home", "end": "End", "pagedown": "PgDn", "pageup": "PgUp", "shift+tab": "⇧Tab"}
_PRINTED |= {"left": "←", "right": "→", "backspace": "Bksp", "minus": "-", "equals_sign": "="}


def _show(key: str) -> str:
    if key in _PRINTED:
        return _PRINTED[key]
    if key.startswith("ctrl+"):
        return f"^{key[5:].upper()}"
    if key[0] == "f" and key[1:].isdigit():
        return key.upper()
    return key_to_character(key) or key


def effective(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return action id → keys in force: the defaults, and over them the choices of the config file."""
    return {action.id: chosen.get(action.id, action.keys) for action in ACTIONS}


def validate(chosen: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the entries of `[keys]` that can be used, and what is wrong with each of the others."""
    kept: dict[str, str] = {}
    found: list[str] = []
    for name, keys in chosen.items():
        if fault := _fault(name, keys):
            found.append(fault)
        else:
            kept[name] = ",".join(_split(keys))
    while clash := _clash(kept):
        key, first, second = clash
        why = f": {ONE_USE_RULE}" if BY_ID[first].writes or BY_ID[second].writes else ""
        found.append(f"keys: {key!r} is given to {first} and to {second}{why}")
        del kept[second if second in kept else first]
    return kept, found


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",") if key.strip()]


def _fault(name: str, keys: str) -> str:
    if name not in BY_ID:
        near = get_close_matches(name, BY_ID, 1)
        return f"keys: unknown action {name!r}" + (f"; nearest: {near[0]!r}" if near else "")
    if not _split(keys):
        return f"keys: {name} has no key"
    unknown = next((key for key in _split(keys) if not _is_key(key)), None)
    if unknown:
        return f"keys: {name}: there is no key {unknown!r}"
    used = (
        next((key for key in _split(keys) if canonical(key) in RESERVED_KEYS), None)
        if BY_ID[name].writes
        else None
    )
    return f"keys: {name}: {used!r} scrolls, edits or types: {ONE_USE_RULE}" if used else ""


def _is_key(key: str) -> bool:
    """Return whether Textual can report such a key."""
    *modifiers, name = key.split("+") if len(key) > 1 else [key]
    return set(modifiers) <= MODIFIERS and (len(name) == 1 or name in _NAMED or _is_character(name))


def _is_character(name: str) -> bool:
    """Return whether it is the Unicode name of a character, such as `question_mark`."""
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return True


def _clash(chosen: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return a key that `chosen` gives to two actions, and the actions; None without a clash."""
    taken: dict[str, str] = {}
    for name, keys in effective(chosen).items():
        for key in _split(keys):
            other = taken.setdefault(canonical(key), name)
            if other != name:
                return key, other, name
    return None


def canonical(key: str) -> str:
    """Return one name for all names of a key: `slash` for `/`; `tab` for `ctrl+i`, sent as tab by terminals."""
    if key.startswith("shift+") and len(key) == len("shift+x"):
        return key[-1].upper()
    for name, aliases in KEY_ALIASES.items():
        if key in aliases or key == name:
            return name
    full = next((long for long, short in KEY_NAME_REPLACEMENTS.items() if short == key), key)
    return key_to_character(full) or key


RESERVED_KEYS = frozenset(_reserved_keys())
