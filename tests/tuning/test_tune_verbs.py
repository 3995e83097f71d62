"""The verbs of `sockmon tune` on a terminal: plan, apply with confirmation, keep, undo."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.netns import child_environment, inside
from tests.tuning.sample_change import OLD, SOMAXCONN, values
from tests.tuning.test_transaction import old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

TUNE = [sys.executable, "-m", "sockmon", "tune"]


def tune(root: str, *argv: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*TUNE, *argv, "--root", root],
        capture_output=True,
        text=True,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def whole_way() -> None:
    with old_values() as root:
        code, out, err = tune(root, "apply", f"{SOMAXCONN}=8192")
        assert (code, out, values()) == (1, "", OLD)
        assert "in a script, use --yes" in err
        code, out, err = tune(root, "apply", f"{SOMAXCONN}=8192", "--yes", "--hold", "600")
        assert (code, out.split()[1:]) == (0, ["holding"]), err
        assert values() == {**OLD, SOMAXCONN: "8192"}
        assert re.search(r" pending .* 4096 → 8192 \(rolled back in [0-9]+ s\)$", tune(root, "history")[1].strip())
        code, out, err = tune(root, "keep")
        assert (code, out.split()[1:]) == (0, ["kept"])
        code, out, err = tune(root, "keep")
        assert code == 1
        assert "no change is pending" in err
        code, out, err = tune(root, "undo", "--yes")
        assert (code, out.split()[1:], values()) == (0, ["holding"], OLD), err
        assert "8192 → 4096" in err
        assert tune(root, "keep")[0] == 0
        lines = tune(root, "history")[1].splitlines()
        assert [line.split()[3] for line in lines] == ["kept", "kept"]
        assert "(undoes " in lines[0]
        assert lines[1].endswith("(undone)")


def test_apply_keep_undo_history() -> None:
    inside(whole_way)


def no_time() -> None:
    with old_values() as root:
        for seconds in ("nan", "inf", "-inf", "9.9", "3601"):
            code, out, err = tune(root, "apply", f"{SOMAXCONN}=8192", "--yes", "--hold", seconds)
            assert (code, out, values()) == (64, "", OLD)
            assert "--hold" in err


def test_without_root_the_refusal_comes_before_the_question() -> None:
    user = ["unshare", "--user", "--net", "--map-user=1501", "--"]
    argv = [*user, *TUNE, "apply", f"{SOMAXCONN}=8192"]
    done = subprocess.run(argv, capture_output=True, text=True, env=child_environment(), stdin=subprocess.DEVNULL)
    assert done.returncode == 1, done.stderr
    assert "net.core.somaxconn" in done.stderr
    refusal, hint = done.stderr.splitlines()[-2:]
    assert refusal == "sockmon: not applied: changing the system takes root"
    assert re.fullmatch(r"  run: sudo \S*sockmon tune apply net\.core\.somaxconn=8192", hint)


def test_what_is_no_time_to_hold_is_refused_at_once() -> None:
    inside(no_time)


@contextmanager
def person(root: str) -> Iterator[int]:
    """Yield the terminal of a user who is asked to confirm, after a paste that came before the prompt."""
    pid, terminal = pty.fork()
    if pid == 0:
        argv = [*TUNE, "apply", f"{SOMAXCONN}=8192", "--hold", "600", "--root", root]
        os.execve(argv[0], argv, child_environment() | {"TERM": "dumb"})
    os.write(terminal, b"apply\n")
    seen(terminal, b"to cancel): ")
    try:
        yield terminal
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def seen(terminal: int, words: bytes) -> bytes:
    """Return all output up to `words`."""
    found = b""
    while words not in found:
        found += os.read(terminal, 4096)
    return found


def the_end(terminal: int) -> bytes:
    """Return all output until the end."""
    found = b""
    with suppress(OSError):
        while part := os.read(terminal, 4096):
            found += part
    return found


def type_slowly(terminal: int, word: bytes) -> bytes:
    """Type as a person does, each letter after the echo of the last; return the output."""
    time.sleep(0.5)
    drawn = b""
    with suppress(OSError):
        for letter in word:
            os.write(terminal, bytes([letter]))
            if select.select([terminal], [], [], 10.0 if letter in b"aply" else 0.3)[0]:
                drawn += os.read(terminal, 4096)
            time.sleep(0.07)
    return drawn


def by_hand(word: str) -> tuple[str, str, bool]:
    """Return the value and the output after `word` was typed, and whether the terminal was restored."""
    with old_values() as root, person(root) as terminal:
        assert values()[SOMAXCONN] == "4096"
        words = (type_slowly(terminal, word.encode()) + the_end(terminal)).decode()
        whole = termios.tcgetattr(terminal)[3] & termios.ECHO and termios.tcgetattr(terminal)[3] & termios.ICANON
        return values()[SOMAXCONN], words, bool(whole)


@pytest.mark.fault("T20")
@pytest.mark.parametrize(
    ("word", "after", "words"),
    [
        ("apply", "8192", "holding"),
        ("app\x7fpxapply", "8192", "holding"),
        ("yes\x04", "4096", "nothing was changed"),
        ("appl\n\n\x04", "4096", "nothing was changed"),
        ("appl\x03", "4096", "nothing was changed"),
    ],
    ids=["the word", "mended", "another word", "enter", "ctrl-c"],
)
def test_T20_only_the_word_typed_after_the_preview_counts(word: str, after: str, words: str) -> None:
    found, said, whole = inside(by_hand, word)
    assert found == after, said
    assert words in said
    assert whole


def pasted() -> tuple[str, int]:
    """T5 too: the terminal is closed afterwards, and `keep` comes from another one."""
    with old_values() as root:
        with person(root) as terminal:
            time.sleep(0.5)
            os.write(terminal, b"apply\n")
            seen(terminal, b"pasted text")
            time.sleep(0.5)
            # A paste whose last letter comes alone, and a mouse that is moved.
            os.write(terminal, b"appl")
            time.sleep(0.01)
            os.write(terminal, b"y\x1b[<35;10;10M")
            seen(terminal, b"letter by letter")
            assert values()[SOMAXCONN] == "4096"
            if b"holding" not in type_slowly(terminal, b"apply"):
                seen(terminal, b"holding")
        code = tune(root, "keep")[0]
        return values()[SOMAXCONN], code


@pytest.mark.fault("T5", "T20")
def test_T5_T20_a_paste_does_nothing_and_the_word_can_be_typed_and_kept_from_elsewhere() -> None:
    assert inside(pasted) == ("8192", 0)


def left() -> tuple[int, int]:
    """Exit codes after Ctrl-C, and after the terminal was closed."""
    codes = []
    with old_values() as root:
        for leave in (lambda terminal: os.write(terminal, b"\x03"), os.close):
            pid, terminal = pty.fork()
            if pid == 0:
                argv = [*TUNE, "apply", f"{SOMAXCONN}=8192", "--root", root]
                os.execve(argv[0], argv, child_environment() | {"TERM": "dumb"})
            seen(terminal, b"to cancel): ")
            leave(terminal)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        assert values() == OLD
    return codes[0], codes[1]


def test_ctrl_c_and_a_closed_terminal_change_nothing() -> None:
    interrupted, closed = inside(left)
    assert interrupted == 130
    assert closed != 0
