"""A frame whose note at the lower right can change without repainting what is inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region

if TYPE_CHECKING:
    from typing_extensions import Self


class Frame(Vertical):
    """A titled frame; `set_note` writes into its lower border."""

    def __init__(self, title: Content, *, id: str, classes: str | None = None) -> None:
        self._setting_note = False
        super().__init__(id=id, classes=classes)
        self.border_title = title
        self.note = Text()
        self._parts: list[Text] = []

    def set_note(self, *notes: Text) -> None:
        """Show notes in the frame, if they differ from its note."""
        self._parts = [part for part in notes if part.plain]
        note = _joined(self._parts)
        if note == self.note:
            return
        self.note = note
        self._setting_note = True
        self.border_subtitle = Content.from_rich_text(note, console=self.app.console)
        self._setting_note = False

    def note_within(self, width: int) -> Text:
        """Return the notes that fit next to the tabs of a narrow screen; always the first one."""
        fitting = [self._parts[: at + 1] for at in range(len(self._parts))]
        return _joined(next((few for few in reversed(fitting) if _joined(few).cell_len <= width), self._parts[:1]))

    def refresh(self, *regions: Region, **options: Any) -> Self:
        """Draw one line for a new note: Textual would draw the frame and all its content."""
        if self._setting_note and not regions:
            left, _ = self.content_offset
            regions = (Region(-left, self.content_size.height, self.outer_size.width, 1),)
        return super().refresh(*regions, **options)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._redraw_note())

    def _redraw_note(self) -> None:
        self.note = Text()
        self.set_note(*self._parts)


def _joined(notes: Sequence[Text]) -> Text:
    return Text.assemble((" · ", "faint")).join(notes)
