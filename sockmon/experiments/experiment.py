"""An experiment: a measurement on this kernel that shows what one setting does, and what it does not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sockmon.model.experiment import Result
from sockmon.sandbox.builder import LabBuilder


class Experiment(NamedTuple):
    """How the effect of one setting is measured, in private namespaces."""

    key: str
    title: str
    """What it shows, at most 72 characters."""
    run: Callable[[LabBuilder], Result]
    """A top-level function that measures, changes the setting and measures again, inside the namespaces."""
    seconds: int
    """About how long it takes."""
    needs: tuple[str, ...] = ()
    """What it needs, as `Lab.needs`."""
