"""The screen, from start to exit code."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from sockmon import settings
from sockmon.model.detail import SetCpuPercent, SetInterval
from sockmon.model.transaction import Actor
from sockmon.sources import Source
from sockmon.ui.app import UNKNOWN_ACTOR, SockmonApp
from sockmon.ui.driver import Terminal
from sockmon.ui.starting import forget_odd_size, load_settings, require_theme
from sockmon.ui.workers import Helper


def run(
    source: Source,
    theme: str | None,
    interval: float | None,
    read_only: bool,
    lab_intro: str = "",
    helper: Helper | None = None,
    no_helper: str = "",
    terminal: Terminal | None = None,
    actor: Actor = UNKNOWN_ACTOR,
    netns: str = "",
    on_return: Callable[[], object] | None = None,
) -> int:
    """Show `source` until the user leaves, and return the exit code; raise what ended the source before its first
    sample.

    Flags win over the config file; what is wrong with the file is shown on the screen. `lab_intro`: two lines,
    what the lab does and what to watch. `no_helper`: why nothing can be changed. `actor`: who walks a guide.
    `netns`: the namespace as `--netns` names it. `on_return`: as SockmonApp has it."""
    forget_odd_size()
    chosen = load_settings(theme)
    if interval is None and chosen.interval != 1.0:
        source.ask(SetInterval(chosen.interval))
    if chosen.cpu_percent != settings.Settings().cpu_percent:
        source.ask(SetCpuPercent(chosen.cpu_percent))
    chosen = replace(chosen, interval=interval or chosen.interval)
    app = SockmonApp(
        source,
        chosen,
        read_only,
        lab_intro=lab_intro,
        helper=helper,
        no_helper=no_helper,
        terminal=terminal,
        actor=actor,
        netns=netns,
        on_return=on_return,
    )
    try:
        require_theme(app, theme)
        app.run()
    finally:
        source.close()
        if helper is not None:
            helper.close()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
