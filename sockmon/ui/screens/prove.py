"""What a setting does, measured now by a child process, in namespaces of its own: nothing here is changed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from rich.text import Text
from textual.message import Message
from textual.widget import Widget

from sockmon.assess import Assessment
from sockmon.model.clean import clean
from sockmon.ui.screens.drill import Drill
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.facts import Fact, Facts

LONGEST = 2000
PATIENCE = 5.0
"""Seconds that the child has to clear its namespaces away when it is told to end."""
COMMAND = (sys.executable, "-I", "-m", "sockmon", "prove")


class Row(msgspec.Struct, frozen=True):
    """What `sockmon prove --json` says of each proof."""

    key: str
    title: str = ""
    seconds: int = 0


class Step(msgspec.Struct, frozen=True):
    """One setting, and what came of it."""

    setting: str
    measured: str
    words: str
    holds: bool


class Proved(msgspec.Struct, frozen=True):
    """What `sockmon prove KEY --json` says."""

    kernel: str
    holds: bool
    verdict: str
    steps: tuple[Step, ...]


@dataclass
class Begun(Message):
    """What is going to be measured."""

    row: Row


@dataclass
class Ended(Message):
    """What was found; None: `words` say why nothing was."""

    found: Proved | None
    words: str


class ProveScreen(Drill):
    """Runs while it is open; Esc ends it."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self._child: subprocess.Popen[bytes] | None = None
        self._left = False
        self._since = time.monotonic()
        self._row = Row(key)
        self._end: Ended | None = None

    def parts(self) -> Iterable[Widget]:
        yield Facts(id="going")
        yield Facts(10, id="found")

    def on_mount(self) -> None:
        self._ticking = self.set_interval(1.0, self._draw_going)
        self._draw_going()
        self.run_worker(self._measure, thread=True, exclusive=True, group="prove", exit_on_error=False)

    def on_unmount(self) -> None:
        self._left = True
        if self._child is not None:
            with suppress(OSError):
                self._child.terminate()

    def draw(self, assessment: Assessment) -> None:
        self.head(Text.assemble(("prove", "heading"), " · ", (clean(self.key), "strong"), self._state()))

    def _state(self) -> Text:
        if self._end is None:
            return Text(" · measuring")
        if self._end.found is None:
            return Text(" · not measured", "sev-unknown")
        if self._end.found.holds:
            return Text.assemble(" · ", ("● as told", "sev-ok"))
        return Text.assemble(" · ", ("✖ otherwise than told", "sev-hit"))

    # In the thread

    def _measure(self) -> None:
        """Both children, one after the other; whatever happens becomes one message."""
        try:
            self._begin()
            end = self._outcome(*self._run(self.key))
        except (OSError, msgspec.DecodeError) as error:
            end = Ended(None, f"it could not be run: {error}")
        if not self._left:
            self.post_message(end)

    def _begin(self) -> None:
        _, out, _ = self._run()
        rows = msgspec.json.decode(out, type=list[Row])
        found = next((row for row in rows if row.key == self.key), None)
        if found is not None:
            self.post_message(Begun(found))

    def _run(self, *key: str) -> tuple[int, bytes, bytes]:
        if self._left:
            return 1, b"", b""
        self._child = subprocess.Popen(
            [*COMMAND, *key, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A ^C at the terminal is for the screen.
            start_new_session=True,
        )
        with self._child as child:
            if self._left:
                child.terminate()
            out, words = child.communicate()
            return child.returncode, out, words

    @staticmethod
    def _outcome(code: int, out: bytes, words: bytes) -> Ended:
        if code in (0, 2) and out:
            return Ended(msgspec.json.decode(out, type=Proved), "")
        said = [clean(line, LONGEST) for line in words.decode("utf-8", "replace").splitlines()]
        return Ended(None, "\n".join(said) or f"it ended with {code}, without a word")

    # What is shown

    def on_begun(self, message: Begun) -> None:
        """Say how long it takes."""
        self._row, self._since = message.row, time.monotonic()
        self._draw_going()

    def on_ended(self, message: Ended) -> None:
        """Show what was found."""
        self._end = message
        self._ticking.stop()
        self._draw_going()
        if self.assessment:
            self.draw(self.assessment)
        self.query_one("#found", Facts).show(*_found(message))

    def _draw_going(self) -> None:
        self.query_one("#going", Facts).show(*self._going())

    def _going(self) -> Iterator[Fact]:
        if self._row.title:
            yield Fact("", Text(clean(self._row.title, LONGEST), "strong"))
        if self._end is not None:
            return
        spent, about = int(time.monotonic() - self._since), self._row.seconds
        line = Text.assemble("Measuring on this kernel, in namespaces of its own: nothing here is changed.\n")
        if about:
            line.append_text(bar(min(spent / about, 1.0), 30)).append(f"  {spent} s of about {about} s")
        else:
            line.append(f"{spent} s")
        yield Fact("", line.append("   Esc ends it", "muted"))


def _found(end: Ended) -> Iterator[Fact]:
    """Each setting with what was measured, then the verdict."""
    if end.found is None:
        first, *rest = end.words.split("\n")
        yield Fact("not here", Text(first.removeprefix("sockmon: "), "sev-unknown"))
        yield from (Fact("", Text(line.strip(), "muted")) for line in rest)
        return
    for number, step in enumerate(end.found.steps, 1):
        yield Fact(str(number), Text(clean(step.setting, LONGEST), "strong"))
        yield Fact("measured", Text(clean(step.measured, LONGEST)))
        told = ("● as told", "sev-ok") if step.holds else ("✖ NOT as told", "sev-hit")
        yield Fact("", Text.assemble(told, f": {clean(step.words, LONGEST)}"), hang=2)
        yield Fact("", Text())
    look = "sev-ok" if end.found.holds else "sev-hit"
    yield Fact("verdict", Text(clean(end.found.verdict, LONGEST), look))
    yield Fact("", Text(f"Linux {clean(end.found.kernel)}", "muted"))
