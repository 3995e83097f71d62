"""Textual's driver for Linux, with bounded input, a line that may be slow, and signals in any order."""

from __future__ import annotations

import codecs
import logging
import os
import select
import signal
import termios
import time
import tty
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Protocol, cast

from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size
from textual.message import Message

from sockmon.ui.terminal_writer import TerminalWriter

log = logging.getLogger(__name__)

READ_BYTES = 4096
BURST_BYTES, BYTES_PER_SECOND = 16_384, 4096
"""Input that passes at once (a long value that is pasted), and per second: a repeating key sends 300 bytes a
second, a mouse 2,000."""
QUIET_SECONDS = 0.1
"""Time without input after which a flood is over."""
MAX_WAITING = 100
"""Events that wait for the app; more keys than these are dropped."""
RESIZE_SECONDS = 0.1
"""Time in which a newer size of the terminal replaces an older one: each costs a layout of the whole screen."""
CHECK_SECONDS = 0.05
"""Seconds between checks whether a slow line has sent the last frame."""


class Terminal(Protocol):
    """What records whether the screen or the shell has the terminal (`sockmon.ui.terminal`)."""

    def can_be_continued(self) -> bool:
        """Return whether a shell with job control can continue a stopped screen."""

    def suspended(self) -> None:
        """The shell has the terminal."""

    def resumed(self) -> None:
        """The screen has the terminal."""

    def begin_exit(self, code: int) -> None:
        """The screen exits with this code."""


class DrivenApp(Protocol):
    """What the driver uses of the app that it draws."""

    terminal: Terminal | None

    @property
    def keys_waiting(self) -> int:
        """How many keys wait for the one before them."""

    def draw_all(self) -> None:
        """Send every cell, whatever the terminal shows."""

    def draw_skipped_frame(self) -> None:
        """Draw what changed while the line was still sending the last frame."""


class InputLimit:
    """Passes input as fast as a person can type; drops all of a flood until it pauses."""

    def __init__(self) -> None:
        self._room = float(BURST_BYTES)
        self._at = time.monotonic()
        self.dropped = 0
        """Bytes of the current flood that were dropped; 0 without a flood."""

    def admits(self, size: int) -> bool:
        """Return whether `size` more bytes pass."""
        now = time.monotonic()
        self._room = min(self._room + (now - self._at) * BYTES_PER_SECOND, BURST_BYTES)
        self._at = now
        if self.dropped or size > self._room:
            self.dropped += size
            return False
        self._room -= size
        return True

    def end_flood(self) -> int:
        """Pass input again; return how many bytes were dropped."""
        dropped, self.dropped = self.dropped, 0
        return dropped


class SockmonDriver(LinuxDriver):
    """Draws on the terminal of standard error, reads keys from standard input."""

    _writer: TerminalWriter | None = None
    _sent = _arrived = 0
    """Keys that the thread of the input gave to the loop, and those that the loop took: a loop that has no time
    leaves them in none of the queues."""
    _deferring = False
    """Whether drawing waits for the line."""
    _new_size: events.Resize | None = None
    """The newest size, which the app has not received yet."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._end_of_input = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Readable once the thread of the input is to end."""

    # Input

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            # The terminal is gone, and the process ends with it.
            return

    def run_input_thread(self) -> None:
        """Read keys until input is disabled. While no key comes this thread does not wake."""
        limit = InputLimit()
        read = self._reader()
        while not self.exit_event.is_set():
            timeout = QUIET_SECONDS if limit.dropped or read.incomplete else None
            ready = select.select([self.fileno, self._end_of_input], [], [], timeout)[0]
            if self.fileno in ready:
                data = os.read(self.fileno, READ_BYTES)
                if not data:
                    return
                if limit.admits(len(data)):
                    read(data)
            elif ready:
                return
            elif dropped := limit.end_flood():
                log.warning("%d bytes of input dropped: they came faster than anyone can type", dropped)
                # The flood may have ended inside an escape sequence or a paste.
                read = self._reader()
            else:
                read(b"")

    def _reader(self) -> _Reader:
        return _Reader(self)

    def disable_input(self) -> None:
        """End the thread of the input, and drop what it has not read."""
        os.eventfd_write(self._end_of_input, 1)
        super().disable_input()

    def send_message(self, message: Message) -> None:
        """Post an event to the app, unless MAX_WAITING events wait already."""
        if isinstance(message, (events.Key, events.Paste, events.MouseMove)):
            if self._sent - self._arrived + self._waiting() > MAX_WAITING:
                return
            self._sent += 1
            super().send_message(message)
            self._loop.call_soon_threadsafe(self._arrive)
        elif isinstance(message, events.Resize):
            self._loop.call_soon_threadsafe(self._resize, message)
        else:
            super().send_message(message)

    def _arrive(self) -> None:
        self._arrived += 1

    def _on_size_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._in_band_window_resize:
            size = Size(*self._get_terminal_size())
            self._loop.call_soon_threadsafe(self._resize, events.Resize(size, size))

    def _resize(self, message: events.Resize) -> None:
        """Keep the newest size, and post it to the app after RESIZE_SECONDS: dragging a window sends hundreds."""
        if self._new_size is None:
            self._loop.call_later(RESIZE_SECONDS, self._send_size)
        self._new_size = message

    def _send_size(self) -> None:
        newest, self._new_size = self._new_size, None
        if newest is not None:
            super().send_message(newest)

    def _waiting(self) -> int:
        pumps = [self._app, self._app.focused] if self._app.screen_stack else [self._app]
        queued = sum(pump._message_queue.qsize() for pump in pumps if pump is not None)
        return queued + self._sockmon.keys_waiting

    # Output

    def start_application_mode(self) -> None:
        """Take the terminal."""
        loop = self._loop
        hold = partial(loop.call_soon_threadsafe, self._defer_drawing)
        # Textual takes the class from its module; its own class blocks the app when the queue is full.
        vars(linux_driver)["WriterThread"] = partial(TerminalWriter, on_full=hold)
        with suppress(BlockingIOError):
            os.eventfd_read(self._end_of_input)
        super().start_application_mode()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGWINCH, self._on_size_signal)
        self._writer = cast(TerminalWriter, self._writer_thread)

    def write(self, data: str) -> None:
        """Send `data`; the next frame waits until a slow line has sent it."""
        super().write(data)
        if self._writer is not None and self._writer.behind:
            self._defer_drawing()

    def _defer_drawing(self) -> None:
        """Collect changes of the screen until the line is free, then draw them in one frame."""
        if not self._deferring:
            self._deferring = True
            self._app._begin_batch()
            self._loop.call_later(CHECK_SECONDS, self._draw_when_sent)

    def _draw_when_sent(self) -> None:
        if self._writer is not None and self._writer.behind and self._app._running:
            self._loop.call_later(CHECK_SECONDS, self._draw_when_sent)
            return
        self._deferring = False
        self._app._end_batch()
        self._sockmon.draw_skipped_frame()

    # Signals

    @property
    def _sockmon(self) -> DrivenApp:
        return cast(DrivenApp, self._app)

    def suspend_application_mode(self) -> None:
        """Give the terminal to the shell."""
        super().suspend_application_mode()
        if self._sockmon.terminal is not None:
            self._sockmon.terminal.suspended()

    def resume_application_mode(self) -> None:
        """Take the terminal again; SIGCONT calls this also if the screen was not suspended."""
        if self._key_thread is None:
            return
        if not self._key_thread.is_alive():
            super().resume_application_mode()
            self._redraw()
            if self._sockmon.terminal is not None:
                self._sockmon.terminal.resumed()
        elif self._in_background():
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            self._retake_terminal()

    def _in_background(self) -> bool:
        try:
            return os.tcgetpgrp(self.fileno) != os.getpgrp()
        except OSError:
            return False

    def _retake_terminal(self) -> None:
        """Restore the modes that a shell may have changed; the threads keep running."""
        try:
            modes = termios.tcgetattr(self.fileno)
            modes[tty.LFLAG] = self._patch_lflag(modes[tty.LFLAG])
            modes[tty.IFLAG] = self._patch_iflag(modes[tty.IFLAG])
            termios.tcsetattr(self.fileno, termios.TCSANOW, modes)
        except termios.error:
            return
        flags = (
            linux_driver.KITTY_DISAMBIGUATE_ESCAPE_CODES
            | linux_driver.KITTY_REPORT_ALL_KEYS
            | linux_driver.KITTY_REPORT_ASSOCIATED_TEXT
        )
        # The keys are set, not pushed: they are popped once.
        self.write(f"\x1b[?1049h\x1b[?25l\x1b[?1004h\x1b[={flags};1u\x1b[?2004h\x1b[?7l")
        self._enable_mouse_support()
        self._redraw()

    def _redraw(self) -> None:
        self._loop.call_soon_threadsafe(self._app.call_later, self._sockmon.draw_all)

    def stop_application_mode(self) -> None:
        """Give the terminal back."""
        # Textual turns these reports on and does not turn them off.
        self.write("\x1b[?1016l")
        super().stop_application_mode()


class _Reader:
    """Turns bytes into events; bytes that are not UTF-8 become a replacement character."""

    def __init__(self, driver: SockmonDriver) -> None:
        self._driver = driver
        self._parser = XTermParser(False)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    @property
    def incomplete(self) -> bool:
        """Whether the last bytes may be the begin of a sequence, or a single Esc."""
        return self._parser._timeout_time is not None

    def __call__(self, data: bytes) -> None:
        """Parse more bytes; no bytes mean that time has passed, which ends a single Esc."""
        try:
            if data and (text := self._decode(data)):
                for message in self._parser.feed(text):
                    self._driver.process_message(message)
            for message in self._parser.tick():
                self._driver.process_message(message)
        except Exception:
            log.exception("input that could not be parsed: %r", data[:80])
            self._parser = XTermParser(False)
