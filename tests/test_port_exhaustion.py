"""A proxy runs out of ports: found, tuned, kept and undone on the real kernel, in the screen and on the command
line."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sockmon.errors import LabUnavailable
from sockmon.labs import find_lab
from sockmon.model.report import Reading
from sockmon.sandbox.session import RunningLab, run_lab
from tests.terminal import Terminal, on_terminal

pytestmark = pytest.mark.usefixtures("needs_userns")

LAB = "ephemeral-ports"
RANGE = "net.ipv4.ip_local_port_range"
WIDE = 64512
PATIENCE = 60.0


@pytest.fixture
def proxy() -> Iterator[RunningLab]:
    """The proxy that has taken all of its 200 ports."""
    try:
        with run_lab(find_lab(LAB)) as running:
            if not running.isolated:
                pytest.skip("this kernel does not allow mounting a /proc here: nothing can be tuned in a lab")
            yield running
    except LabUnavailable as refused:
        pytest.skip(str(refused))


@pytest.fixture
def screen() -> Iterator[Terminal]:
    """The screen on a world of the same kind."""
    with on_terminal("lab", "run", LAB) as terminal:
        if "mount its own /proc" in terminal.until("HIT"):
            pytest.skip("this kernel does not allow mounting a /proc here: nothing can be tuned in a lab")
        yield terminal


HIT_PORTS = "HIT     ephemeral ports"


def ports(running: RunningLab) -> Reading:
    """Return the reading of the proxy's ports."""
    return next(each for each in running.check(0).readings if each.ceiling == LAB)


def grown(running: RunningLab) -> Reading:
    """The same, once the proxy has taken more ports than there were."""
    end = time.monotonic() + PATIENCE
    while (now := ports(running)).used is None or now.used <= 200:
        assert time.monotonic() < end, now
    return now


def sockmon(running: RunningLab, *verb: str) -> str:
    done = running.run(["sockmon", *verb])
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
    screen.until("PENDING")
    screen.until("ok      ephemeral ports")
    # A key that is held down decides nothing.
    wait(screen, 1.0)


def test_the_wall_moves_on_the_board_and_comes_back_with_a_key(screen: Terminal) -> None:
    widen(screen)
    # Other limits, such as the input queues of the host, may be met by whatever else runs.
    assert HIT_PORTS not in screen.screen()
    screen.press("U")
    assert "PENDING" not in screen.until(HIT_PORTS)


def test_what_is_kept_stays(screen: Terminal) -> None:
    widen(screen)
    screen.press("K")
    assert "ok      ephemeral ports" in screen.until("KEPT")


@pytest.mark.fault("T5")
def test_without_keep_and_without_a_terminal_it_is_rolled_back(proxy: RunningLab) -> None:
    """T5: a pending change is rolled back when its time is up."""
    assert sockmon(proxy, "tune", "apply", f"{RANGE}=1024 65535", "--yes", "--hold", "10")
    assert (grown(proxy).limit or 0) > 60000
    end = time.monotonic() + PATIENCE
    while ports(proxy).limit != 200:
        assert time.monotonic() < end


def test_the_same_on_the_command_line(proxy: RunningLab) -> None:
    reading = ports(proxy)
    remedy = next(each for each in reading.remedies if each.key == RANGE)
    assert (reading.severity, reading.limit) == ("hit", 200)
    wanted = f"{remedy.key}={remedy.value}"
    assert "200 → 64,511 ports" in sockmon(proxy, "tune", "plan", wanted)
    assert "holding" in sockmon(proxy, "tune", "apply", wanted, "--yes")
    # ps shows the process that holds the change.
    assert {"sockmon-guard", "sockmon-watch"} <= set(
        proxy.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split()
    )
    assert grown(proxy).severity == "ok"
    assert "kept" in sockmon(proxy, "tune", "keep")
    assert "holding" in sockmon(proxy, "tune", "undo", "--yes")
    assert "kept" in sockmon(proxy, "tune", "keep")
    assert ports(proxy).severity == "hit"


@pytest.mark.fault("T20")
def test_T20_only_two_deliberate_presses_of_P_persist(screen: Terminal) -> None:
    """On a real terminal: no paste, with or without brackets, no mouse report and no key that is held down."""
    widen(screen)
    screen.press("P")
    screen.until("Press P again")
    for noise in ("KPPU", "\x1b[200~PP\x1b[201~", "\x1b[M PK", "\x1b[<35;80;24M", "[<0;80;24M", "P" * 30):
        screen.press(noise)
        wait(screen, 1.2)
        assert "PENDING" in screen.screen()
        assert "Press P again" not in screen.screen()
    screen.press("P")
    screen.until("Press P again")
    for _ in range(20):
        # As a key that is held down repeats.
        screen.press("P")
        wait(screen, 0.04)
    screen.until("Too fast")
    wait(screen, 1.2)
    screen.press("P")
    assert "written to /etc/sysctl.d/90-sockmon.conf" in screen.until("PERSISTED")
