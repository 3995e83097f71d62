"""The experiment on one setting: a child process measures it in private namespaces; no host setting is changed."""

from __future__ import annotations

import signal
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
from sockmon.errors import reported
from sockmon.model.experiment import ExperimentInfo, ExperimentReport
from sockmon.text import sanitize
from sockmon.ui import workers
from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

MAX_CHARACTERS = 2000
COMMAND = (sys.executable, "-I", "-m", "sockmon", "prove")


@dataclass
class Started(Message):
    """The experiment has started."""

    row: ExperimentInfo


@dataclass
class Finished(Message):
    """The report; None if nothing was measured: `message` is the reason, `hint` what to do."""

    found: ExperimentReport | None
    message: str = ""
    hint: str = ""


class ExperimentScreen(DetailScreen):
    """Runs the experiment while it is open; Esc ends both."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._since = time.monotonic()
        self._row = ExperimentInfo(key)
        self._finished: Finished | None = None

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(id="going")
        yield LabelledList(10, id="found")

    def on_mount(self) -> None:
        self._ticking = self.set_interval(1.0, self._draw_progress)
        self._draw_progress()
        workers.start_thread(self._measure)

    def on_unmount(self) -> None:
        self._closed = True
        if self._child is not None:
            with suppress(OSError):
                self._child.terminate()
                # A stopped process handles SIGTERM only once it continues.
                self._child.send_signal(signal.SIGCONT)

    def draw(self, assessment: Assessment) -> None:
        self.set_title(Text.assemble(("prove", "heading"), " · ", (sanitize(self.key), "strong"), self._state()))

    def _state(self) -> Text:
        if self._finished is None:
            return Text(" · measuring")
        if self._finished.found is None:
            return Text(" · not measured", "sev-unknown")
        if self._finished.found.confirmed:
            return Text.assemble(" · ", ("● as documented", "sev-ok"))
        return Text.assemble(" · ", ("✖ not as documented", "sev-hit"))

    # In the thread

    def _measure(self) -> None:
        """Run both children, one after the other; every outcome becomes one message."""
        try:
            self._announce()
            end = self._outcome(*self._run(self.key))
        except (OSError, msgspec.DecodeError) as error:
            end = Finished(None, f"the experiment could not be started: {error}")
        if not self._closed:
            self.post_message(end)

    def _announce(self) -> None:
        _, out, _ = self._run()
        rows = msgspec.json.decode(out, type=list[ExperimentInfo])
        found = next((row for row in rows if row.key == self.key), None)
        if found is not None:
            self.post_message(Started(found))

    def _run(self, *key: str) -> tuple[int, bytes, bytes]:
        if self._closed:
            return 1, b"", b""
        self._child = subprocess.Popen(
            [*COMMAND, *key, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C at the terminal is for the screen.
            start_new_session=True,
        )
        with self._child as child:
            if self._closed:
                child.terminate()
            out, error_text = child.communicate()
            return child.returncode, out, error_text

    @staticmethod
    def _outcome(code: int, out: bytes, error_text: bytes) -> Finished:
        if code in (0, 2) and out:
            return Finished(msgspec.json.decode(out, type=ExperimentReport))
        lines = [sanitize(line, MAX_CHARACTERS) for line in error_text.decode("utf-8", "replace").splitlines()]
        message, hint = reported(lines) or (
            " ".join(lines) or f"the experiment exited with status {code} and no message",
            "",
        )
        return Finished(None, message, hint)

    # What is shown

    def on_started(self, message: Started) -> None:
        """Show how long it takes."""
        self._row, self._since = message.row, time.monotonic()
        self._draw_progress()

    def on_finished(self, message: Finished) -> None:
        """Show the report."""
        self._finished = message
        self._ticking.stop()
        self._draw_progress()
        if self.assessment:
            self.draw(self.assessment)
        self.query_one("#found", LabelledList).show(*_result_facts(message))

    def _draw_progress(self) -> None:
        self.query_one("#going", LabelledList).show(*self._progress_facts())

    def _progress_facts(self) -> Iterator[Labelled]:
        if self._row.title:
            yield Labelled("", Text(sanitize(self._row.title, MAX_CHARACTERS), "strong"))
        if self._finished is not None:
            return
        spent, about = int(time.monotonic() - self._since), self._row.seconds
        line = Text.assemble("Measuring on this kernel, in private namespaces; the host is not changed.\n")
        if about:
            line.append_text(bar(min(spent / about, 1.0), 30, style="spark")).append(
                f"  {spent} s of about {about} s"
            )
        else:
            line.append(f"{spent} s")
        yield Labelled("", line.append("   Esc: stop", "muted"))


def _result_facts(end: Finished) -> Iterator[Labelled]:
    """Yield each setting with what was measured, then the verdict."""
    if end.found is None:
        yield Labelled("Not run", Text(end.message, "sev-unknown"))
        if end.hint:
            yield Labelled("", Text(end.hint, "muted"))
        return
    for number, step in enumerate(end.found.steps, 1):
        yield Labelled(str(number), Text(sanitize(step.setting, MAX_CHARACTERS), "strong"))
        yield Labelled("Measured", Text(sanitize(step.measured, MAX_CHARACTERS)))
        outcome = ("● as documented", "sev-ok") if step.confirmed else ("✖ not as documented", "sev-hit")
        yield Labelled("", Text.assemble(outcome, f": {sanitize(step.documented, MAX_CHARACTERS)}"), indent=2)
        yield Labelled("", Text())
    look = "sev-ok" if end.found.confirmed else "sev-hit"
    yield Labelled("Verdict", Text(sanitize(end.found.verdict, MAX_CHARACTERS), look))
    yield Labelled("", Text(f"Linux {sanitize(end.found.kernel)}", "muted"))
