"""Imports the code of the pages after the first board, so that no page opens a file when a key asks for it.

It is done in steps, between which samples are handled; a key that comes before the end waits for the rest. A
function that needs such a module imports it by itself, and one of MODULES imports it before
(tests/ui/test_later_imports.py)."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from collections import deque
from collections.abc import Sequence

log = logging.getLogger(__name__)

MODULES = (
    "sockmon.explain.symptoms",
    "sockmon.guides.guide",
    "sockmon.explain.evidence",
    "sockmon.guides",
    "sockmon.tunables.others",
    "sockmon.tuning.planning.plan",
    "sockmon.tuning.planning.reasons",
    "sockmon.ui.tuning.hold_bar",
    "sockmon.ui.help",
    "sockmon.ui.detail.ceiling",
    "sockmon.ui.detail.process",
    "sockmon.ui.detail.screen_for",
    "sockmon.ui.acting.act_screen",
    "sockmon.ui.acting.choices_of",
    "sockmon.ui.tuning.panel",
    "sockmon.ui.tuning.experiment",
    "sockmon.ui.tuning.preview",
    "sockmon.ui.tuning.history",
    "sockmon.ui.guiding.session",
    "sockmon.ui.guiding.prompt",
    "sockmon.ui.guiding.walk_screen",
    "sockmon.ui.guiding.guide_list",
)
"""In this order each takes about as long as the others."""
PAUSE_SECONDS = 0.005
"""Seconds between two steps: what waits for the loop comes first."""
RETRY_SECONDS = 1.0
"""Seconds after which a module is tried again that could not be read, for example without a free descriptor."""


class LaterImports:
    """What is left to import."""

    def __init__(self, modules: Sequence[str] = MODULES) -> None:
        self._left = deque(name for name in modules if name not in sys.modules)
        self._begun = False

    @property
    def done(self) -> bool:
        """Whether everything is imported."""
        return not self._left

    def begin(self) -> None:
        """Import the rest in steps of the running loop; does nothing the second time."""
        if self._left and not self._begun:
            self._begun = True
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._step)

    def finish(self) -> str:
        """Import the rest now; return why it cannot be read, or an empty text."""
        try:
            while self._left:
                self._import_next()
        except OSError as error:
            return error.strerror or type(error).__name__
        return ""

    def _step(self) -> None:
        pause = PAUSE_SECONDS
        try:
            if self._left:
                self._import_next()
        except OSError as error:
            log.warning("a page cannot be read: %s", error)
            pause = RETRY_SECONDS
        if self._left:
            asyncio.get_running_loop().call_later(pause, self._step)

    def _import_next(self) -> None:
        importlib.import_module(self._left[0])
        self._left.popleft()
        if not self._left:
            log.debug("all pages are imported")
