"""What ends `sockmon export`, and what does not."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest

from tests.sshd import free_port
from tests.waiting import PATIENCE, until


@contextmanager
def exporter(before: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start one by a shell that runs `before` first; yield it and its port."""
    command = f'{before} exec "$0" -m sockmon export --listen 127.0.0.1:0'
    with subprocess.Popen(["sh", "-c", command, sys.executable], stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            yield (
                child,
                next(int(found[1]) for line in child.stderr if (found := re.search(r":(\d+)/metrics", line))),
            )
        finally:
            child.kill()


def status(port: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().status


def test_signals_that_are_ignored_stay_so() -> None:
    """As by nohup(1), and by a shell of what it runs in the background."""
    with exporter("trap '' HUP INT;") as (child, port):
        child.send_signal(signal.SIGHUP)
        child.send_signal(signal.SIGINT)
        assert status(port) == 200
        assert child.poll() is None
        child.terminate()
        assert child.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_signal_ends_it_without_a_word(number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the tests were started with this signal ignored")
    with exporter("") as (child, port):
        assert status(port) == 200
        child.send_signal(number)
        assert child.wait(PATIENCE) == 0
        assert child.stderr is not None
        assert child.stderr.read() == ""


@pytest.mark.parametrize("stderr", ["/dev/full", "a pipe that nobody reads"])
def test_a_standard_error_that_cannot_be_written_does_not_end_it(stderr: str) -> None:
    port = free_port()
    command = [sys.executable, "-m", "sockmon", "export", "--listen", f"127.0.0.1:{port}"]
    with ExitStack() as stack:
        if stderr == "/dev/full":
            errors = stack.enter_context(open(stderr, "wb", buffering=0)).fileno()
        else:
            reader, errors = os.pipe()
            os.close(reader)
            stack.callback(os.close, errors)
        child = stack.enter_context(subprocess.Popen(command, stderr=errors))
        stack.callback(child.kill)

        def answers() -> bool:
            with suppress(ConnectionRefusedError):
                return status(port) == 200
            return False

        until(lambda: answers() or child.poll() is not None)
        assert child.poll() is None


@pytest.mark.parametrize(
    ("option", "message"), [("--web-config", " cannot be read: Is a directory"), ("--textfile", "does not end in")]
)
def test_a_name_that_is_empty_is_not_as_if_there_was_none(option: str, message: str) -> None:
    """An empty variable of a script must not leave out the passwords, or open a port."""
    command = [sys.executable, "-m", "sockmon", "export", option, "", "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert message in done.stderr
