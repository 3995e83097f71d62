"""The keys that copy the summary of a walk, and write it to a new file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sockmon import new_file, user_dirs
from sockmon.errors import SockmonError
from sockmon.guides.summary import summary
from sockmon.guides.walk import Walk
from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.guiding.prompt import PromptScreen, path_fault


class SummaryScreen(DetailScreen):
    """A screen with a walk, of which it gives away the summary as Markdown."""

    walk: Walk

    def _summary(self) -> str:
        return summary(self.walk, self.sockmon.actor)

    def action_copy_summary(self) -> None:
        """Copy the summary to the clipboard of the terminal (OSC 52)."""
        self.app.copy_to_clipboard(self._summary())
        text = "summary copied, if the terminal supports it (OSC 52; in tmux: set-clipboard on)"
        self.sockmon.show_message(text, "information")

    def action_write_summary(self) -> None:
        """Ask for the name of a file, and write the summary to it."""
        name = f"sockmon-{self.walk.guide.name}-{time.strftime('%Y%m%d-%H%M%S')}.md"
        question = PromptScreen(
            "Summary", "Write the summary to a new file, as Markdown:", name, path_fault, str(_folder() / name)
        )
        self.app.push_screen(question, self._write)

    def _write(self, path: str | None) -> None:
        if path is None:
            return
        app = self.sockmon
        try:
            with os.fdopen(new_file.create(os.path.expanduser(path)), "w", encoding="utf-8") as file:
                file.write(self._summary())
        except SockmonError as error:
            app.show_message("; ".join(filter(None, (error.message, error.hint))), "error")
        except OSError as error:
            app.show_message(f"{path} cannot be written: {error.strerror}", "error")
        else:
            app.show_message(f"summary written to {path}", "information")


def _folder() -> Path:
    """Return the working directory; the user's home if that is not writable, or is the root directory of a lab."""
    here = Path.cwd()
    return here if os.access(here, os.W_OK) and here != here.parent else user_dirs.home()
