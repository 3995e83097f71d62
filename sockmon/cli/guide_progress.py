"""A walk on a terminal begins where it was left: the progress is the one that the screen keeps."""

from __future__ import annotations

from contextlib import suppress

import click

from sockmon.cli import console
from sockmon.cli.guide_samples import Samples
from sockmon.errors import TuningError
from sockmon.guides import Guide
from sockmon.guides.guide import End
from sockmon.guides.progress import Progress, decode, encode
from sockmon.guides.walk import Walk, step_of
from sockmon.kept_walks import KeptWalks
from sockmon.tuning.transaction.client import history


class KeptProgress:
    """The progress of one guide in its file; a fault of the file is a notice, and the guide begins again."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._kept = KeptWalks(console.print_notice)
        self._saved: Progress | None = None

    def resume(self, samples: Samples, number: str) -> Walk | None:
        """Return the walk where it was left on this host, if the person wants that; None to begin at the first
        step. A walk with another `number` than a given one is not resumed."""
        progress = self._kept.load(self._guide.name, decode)
        if progress is None or not progress.continues_on(samples.first.snapshot):
            return None
        step = step_of(self._guide, progress)
        if not progress.path or isinstance(step, End) or number not in ("", progress.number):
            return None
        click.echo(f"You were at step {len(progress.path) + 1}: {step.title}.")
        if click.prompt("Go on: Enter; start again: a", default="", show_default=False).strip().lower() == "a":
            return None
        walk = Walk(self._guide, samples.first, samples.place, progress=progress)
        _note_changes(walk)
        return walk

    def save(self, walk: Walk) -> None:
        """Write the progress if it has changed."""
        if walk.progress is not self._saved:
            self._saved = walk.progress
            self._kept.save(walk.progress.guide, encode(walk.progress))


def _note_changes(walk: Walk) -> None:
    """Note what has become of changes that were pending when the walk was left."""
    pending = {change.id for change in walk.progress.changes if change.state == "holding"}
    if pending:
        with suppress(TuningError):
            for transaction in history():
                if transaction.id in pending:
                    walk.changed(transaction)
