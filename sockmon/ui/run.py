"""The screen, from start to exit code."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace
from textual.drivers import linux_driver

from sockmon.errors import BadSettings
from sockmon.model.detail import SetInterval
from sockmon.sources import Source
from sockmon.ui import settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.feed import Desk


def _forgiving(encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
    return partial(codecs.getincrementaldecoder(encoding), errors="replace")


def run(
    source: Source,
    theme: str | None,
    interval: float | None,
    read_only: bool,
    story: str = "",
    desk: Desk | None = None,
    no_desk: str = "",
) -> int:
    """Show `source` until the user leaves; flags win over the config file, and a bad file is told, not fatal.
    `story`: two lines that say what happens here and what to look for. `no_desk`: why nothing can be changed.

    Raises what ended the source before there was anything to show."""
    fault = None
    try:
        chosen = settings.load()
    except BadSettings as error:
        chosen, fault = settings.Settings(), error
    if interval is None and chosen.interval != 1.0:
        source.ask(SetInterval(chosen.interval))
    chosen = replace(chosen, theme=theme or chosen.theme, interval=interval or chosen.interval)
    app = SockmonApp(source, chosen, read_only, story=story, desk=desk, no_desk=no_desk)
    if fault is not None:
        app.call_later(app.tell, fault.message)
    # A byte on the keyboard's line that is no UTF-8 would end Textual's input, and the screen with it.
    vars(linux_driver)["getincrementaldecoder"] = _forgiving
    try:
        app.run()
    finally:
        source.close()
        if desk is not None:
            desk.close()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
