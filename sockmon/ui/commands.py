"""The palette's commands, from the one table of actions, and a command for each theme."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from textual.app import App, SystemCommand
from textual.screen import Screen

from sockmon.ui import keys


def commands(app: App[None], screen: Screen[object], chosen: Mapping[str, str]) -> Iterator[SystemCommand]:
    """Yield the commands that are possible on `screen`, each with the keys that run it."""
    for action in keys.ACTIONS:
        # A pending change is kept or rolled back by its own key, not by a command name that is half typed.
        if action.place not in ("table", "hold") and action.id != "palette":
            shown = keys.show_keys(keys.effective(chosen)[action.id])
            everywhere = action.place == "app" or action.action.startswith("app.")
            target = app if everywhere else screen
            name = action.action.removeprefix("app.").partition("(")[0]
            if hasattr(target, f"action_{name}") and target.check_action(name, ()):
                run = partial(app.run_action, action.action, target)
                yield SystemCommand(f"{action.description}  {shown}", action.tooltip, run)
    for name in sorted(app.available_themes):
        yield SystemCommand(f"Theme: {name}", "Colours", partial(setattr, app, "theme", name))
