"""A frame whose note at the lower right can change without repainting what is inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region

if TYPE_CHECKING:
    from typing_extensions import Self


class Framed(Vertical):
    """A titled frame; `say` writes into its lower border."""

    def __init__(self, title: Content, *, id: str, classes: str | None = None) -> None:
        self._saying = False
        super().__init__(id=id, classes=classes)
        self.border_title = title
        self.note = Text()
        """What the frame says; a narrow screen shows it beside the tabs."""

    def say(self, *notes: Text) -> None:
        """Put notes into the frame, where they differ from what it says."""
        note = Text.assemble((" · ", "faint")).join([part for part in notes if part.plain])
        if note == self.note:
            return
        self.note = note
        self._saying = True
        self.border_subtitle = Content.from_rich_text(note, console=self.app.console)
        self._saying = False

    def refresh(self, *regions: Region, **options: Any) -> Self:
        """As ever, but a new note costs one line: Textual would repaint the frame with all that is in it."""
        if self._saying and not regions:
            left, _ = self.content_offset
            regions = (Region(-left, self.content_size.height, self.outer_size.width, 1),)
        return super().refresh(*regions, **options)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._say_again())

    def _say_again(self) -> None:
        note, self.note = self.note, Text()
        self.say(note)
