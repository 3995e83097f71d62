"""From a wall to a wall that moved: the proxy without ports, seen, tuned, kept and taken back on the real kernel,
in the screen and from the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sockmon.errors import LabUnavailable
from sockmon.labs import find
from sockmon.labs.running import World, running
from sockmon.model.report import Reading
from tests.terminal import Terminal, on_terminal

pytestmark = pytest.mark.usefixtures("needs_userns")

LAB = "ephemeral-ports"
RANGE = "net.ipv4.ip_local_port_range"
WIDE = 64512
PATIENCE = 60.0


@pytest.fixture
def proxy() -> Iterator[World]:
    """The proxy that has taken all of its 200 ports."""
    try:
        with running(find(LAB)) as world:
            if not world.isolated:
                pytest.skip("this kernel lets nobody mount a /proc here: nothing can be tuned in a lab")
            yield world
    except LabUnavailable as refused:
        pytest.skip(str(refused))


@pytest.fixture
def screen() -> Iterator[Terminal]:
    """The screen on a world of the same kind."""
    with on_terminal("lab", "run", LAB) as terminal:
        if "no /proc of its own" in terminal.until("HIT"):
            pytest.skip("this kernel lets nobody mount a /proc here: nothing can be tuned in a lab")
        yield terminal


def ports(world: World) -> Reading:
    """How the proxy stands for ports."""
    return next(each for each in world.check(0).readings if each.ceiling == LAB)


def grown(world: World) -> Reading:
    """The same, once the proxy has taken more ports than there were."""
    end = time.monotonic() + PATIENCE
    while (now := ports(world)).used is None or now.used <= 200:
        assert time.monotonic() < end, now
    return now


def sockmon(world: World, *verb: str) -> str:
    done = world.run(["sockmon", *verb])
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait(screen: Terminal, seconds: float) -> None:
    """Read on meanwhile, so that it never waits for us."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        screen.read(left)


def widen(screen: Terminal) -> None:
    """Board → ceiling → remedy → preview → the typed word."""
    screen.press("b")
    wait(screen, 1.0)
    screen.press("\r")
    screen.until("What to do")
    screen.press("t")
    screen.until("v preview")
    screen.press("v")
    screen.until("Type apply")
    wait(screen, 1.0)
    for letter in "apply":
        screen.press(letter)
        wait(screen, 0.2)
    screen.until("HOLDING")
    screen.until("ok      ephemeral ports")
    # A key that is held down decides nothing.
    wait(screen, 1.0)


def test_the_wall_moves_on_the_board_and_comes_back_with_a_key(screen: Terminal) -> None:
    widen(screen)
    assert "HIT" not in screen.screen()
    screen.press("U")
    assert "HOLDING" not in screen.until("HIT")


def test_what_is_kept_stays(screen: Terminal) -> None:
    widen(screen)
    screen.press("K")
    assert "ok      ephemeral ports" in screen.until("KEPT")


def test_nobody_keeps_it_and_the_terminal_dies(proxy: World) -> None:
    """T5: what is held goes back by itself."""
    assert sockmon(proxy, "tune", "apply", f"{RANGE}=1024 65535", "--yes", "--hold", "10")
    assert (grown(proxy).limit or 0) > 60000
    end = time.monotonic() + PATIENCE
    while ports(proxy).limit != 200:
        assert time.monotonic() < end


def test_the_same_on_the_command_line(proxy: World) -> None:
    reading = ports(proxy)
    remedy = next(each for each in reading.remedies if each.key == RANGE)
    assert (reading.severity, reading.limit) == ("hit", 200)
    wanted = f"{remedy.key}={remedy.value}"
    assert "200 -> 64,511 ports" in sockmon(proxy, "tune", "plan", wanted)
    assert "holding" in sockmon(proxy, "tune", "apply", wanted, "--yes")
    # Whoever looks at processes sees who holds it.
    assert {"sockmon-guard", "sockmon-watcher"} <= set(
        proxy.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split()
    )
    assert grown(proxy).severity == "ok"
    assert "kept" in sockmon(proxy, "tune", "keep")
    assert "holding" in sockmon(proxy, "tune", "undo", "--yes")
    assert "kept" in sockmon(proxy, "tune", "keep")
    assert ports(proxy).severity == "hit"
