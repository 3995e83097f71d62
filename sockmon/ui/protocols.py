"""Protocols of screens that follow the samples, and the answers of the helper."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from sockmon.assess import Assessment
from sockmon.model.detail import Detail
from sockmon.model.helper_protocol import Answer


@runtime_checkable
class AssessmentView(Protocol):
    """A screen that shows samples; help and palette do not."""

    def show(self, assessment: Assessment) -> None:
        """Draw an Assessment; called with each sample while on top, and once when the screen comes on top."""

    def answer(self, detail: Detail) -> None:
        """Take a Detail that may be the answer to this screen's query."""


@runtime_checkable
class HelperListener(Protocol):
    """A screen that takes the answers of the helper while it is on top."""

    def on_helper_answer(self, answer: Answer) -> None:
        """Take an answer to this screen's request, or the helper's status."""
